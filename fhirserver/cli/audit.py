"""`fhirserver audit`: whether the trail is whole, and who saw whose record."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from fhirserver.cli.configuration import Data, TenantName, refuse, settings_of

if TYPE_CHECKING:
    from fhirserver.audit.accounting import Seen
    from fhirserver.audit.verify import Verified
    from fhirserver.settings import Settings

_BROKEN: Final = 1
_SHOWN: Final = 100  # problems that are told one by one


def verify(data: Data = None, tenant: TenantName = None) -> None:
    """Find any event that was removed, altered, reordered or put in. Nothing is written.

    Ends with 1 where something was found. A server may run meanwhile.
    """
    import asyncio

    from fhirserver.app import NotRunnable
    from fhirserver.errors import FhirError

    settings = settings_for(data, tenant)
    try:
        found = asyncio.run(_verified(settings))
    except (FhirError, NotRunnable, OSError) as error:
        refuse(str(error))
    for problem in found.problems[:_SHOWN]:
        typer.echo(f"{problem.place} {problem.text}.")
    if len(found.problems) > _SHOWN:
        typer.echo(f"... and {len(found.problems) - _SHOWN} more.")
    how = "The trail is NOT whole" if found.problems else "The trail is whole"
    typer.echo(f"{how}: {found.events:,} events in {found.lanes:,} lanes.")
    raise typer.Exit(_BROKEN if found.problems else 0)


def who_saw(
    patient: Annotated[
        str | None, typer.Argument(help="A patient (Patient/123, or the id alone).")
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(help="Only what this user (Practitioner/1), account or client did."),
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="From this date or time on (2026-11, 2026-11-20T08:00Z).")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Before this date or time.")] = None,
    csv: Annotated[
        Path | None, typer.Option(help="Write the list to this file, with all columns.")
    ] = None,
    data: Data = None,
    tenant: TenantName = None,
) -> None:
    """List who had access to a patient's record, when, to what, and for what purpose.

    Without a patient, with --by: whose records somebody had access to. That the list was made is
    recorded in the trail as well.
    """
    import asyncio

    from fhirserver.app import NotRunnable
    from fhirserver.errors import FhirError

    if patient is None and by is None:
        refuse("Name a patient, or with --by whose accesses are to be listed.")
    settings = settings_for(data, tenant)
    try:
        rows = asyncio.run(seen(settings, patient, by, since, until))
        if csv is not None:
            write(csv, rows)
    except (FhirError, NotRunnable, OSError) as error:
        refuse(str(error))
    if csv is None:
        _show(rows)
    _sum_up(rows)


def settings_for(data: Path | None, tenant: str | None) -> Settings:
    """The settings of a store that is there."""
    settings = settings_of(tenant, data=data)
    if not settings.is_mongodb and not settings.database.exists():
        refuse(f"{settings.database} is not there: nothing is stored yet.")
    return settings


async def _verified(settings: Settings) -> Verified:
    from fhirserver.app.audit import verification_of
    from fhirserver.app.opening import whole_store

    async with whole_store(settings) as store:
        return await verification_of(settings, store).run()


async def seen(
    settings: Settings, patient: str | None, by: str | None, since: str | None, until: str | None
) -> list[Seen]:
    """The accesses, in order of time; that they were listed is recorded first."""
    from fhirserver.app.audit import operator, trail_of
    from fhirserver.app.opening import whole_store
    from fhirserver.audit.accounting import accesses
    from fhirserver.audit.recorder import Event
    from fhirserver.model.temporal import interval

    id = patient.removeprefix("Patient/") if patient else None
    async with whole_store(settings) as store:
        trail = trail_of(settings, store)
        # The list is recorded before it is made, as every answer is.
        await trail.record(Event("who-saw", account=operator(), patient=id))
        await trail.settle()
        found = accesses(
            store,
            patient=id,
            agent=by,
            since=interval(since).start if since else None,
            until=interval(until).start if until else None,
        )
        rows = sorted([row async for row in found])
        await trail.close()
    return rows


def write(path: Path, rows: Sequence[Seen]) -> None:
    """The list as CSV, which only its owner can read."""
    import csv
    import os

    from fhirserver.audit.accounting import COLUMNS

    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows([[_plain(cell) for cell in row] for row in rows])
    typer.echo(f"{path}: {len(rows):,} accesses.")


def _plain(cell: str) -> str:
    """The text as a spreadsheet must not run it (CWE-1236)."""
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell


def _show(rows: Sequence[Seen]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("when", "who", "client", "patient", "what", "of", "purpose", "outcome")
    for row in rows:
        table.add_row(
            row.when,
            row.who,
            row.client,
            row.patient,
            row.action,
            row.classes,
            row.purpose,
            row.outcome,
        )
    Console().print(table)


def _sum_up(rows: Sequence[Seen]) -> None:
    people = {row.who or row.client for row in rows}
    patients = {id for row in rows for id in row.patient.split(", ") if id}
    first = f", the first at {rows[0].when}" if rows else ""
    typer.echo(f"{len(rows):,} accesses by {len(people)} to {len(patients)} patients{first}.")
