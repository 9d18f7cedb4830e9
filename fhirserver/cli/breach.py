"""`fhirserver audit breach`: whom a breach concerns, and by when who has to be told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fhirserver.cli.audit import seen, settings_for, write
from fhirserver.cli.configuration import Data, TenantName, refuse

if TYPE_CHECKING:
    from fhirserver.audit.accounting import Seen
    from fhirserver.audit.breach import Notice
    from fhirserver.settings import Settings


def breach(
    discovered: Annotated[
        str, typer.Option(help="When it was discovered (2026-11-20T08:00Z); a date is UTC.")
    ],
    patient: Annotated[str | None, typer.Argument(help="Only accesses to this patient.")] = None,
    by: Annotated[
        str | None, typer.Option(help="Only accesses by this user, account or client.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="Accesses from this date or time on.")] = None,
    until: Annotated[str | None, typer.Option(help="Accesses before this date or time.")] = None,
    others: Annotated[
        int, typer.Option(min=0, help="People concerned beside those whom the trail tells.")
    ] = 0,
    keep: Annotated[
        str | None,
        typer.Option(help="Name of the breach; keeps each notice as a Task with its deadline."),
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(help="Write the accesses to this file, with all columns.")
    ] = None,
    data: Data = None,
    tenant: TenantName = None,
) -> None:
    """Tell whom a breach concerns, what kinds of data, and the deadlines of notices.

    By 45 CFR 164.404 to 164.408 and GDPR articles 33 and 34; other law may ask for more.
    """
    import asyncio

    from fhirserver.app import NotRunnable
    from fhirserver.errors import FhirError

    if patient is None and by is None and since is None:
        refuse("Name a patient, with --by somebody, or with --since a time.")
    settings = settings_for(data, tenant)
    try:
        moment = _moment(discovered)
        rows = asyncio.run(seen(settings, patient, by, since, until))
        people = _people(rows)
        states = asyncio.run(_states(settings, people))
        due = _due(moment, len(people) + others, states)
        if csv is not None:
            write(csv, rows)
        _show(settings, rows, len(people) + others, states, due)
        if keep is not None:
            count = asyncio.run(_kept(settings, due, keep, moment, len(people) + others))
            typer.echo(f"{count} Tasks are kept for '{keep}'.")
    except (FhirError, NotRunnable, OSError) as error:
        refuse(str(error))


def _moment(text: str) -> datetime:
    from fhirserver.model.temporal import interval

    return datetime.fromtimestamp(interval(text).start / 1_000_000, UTC)


def _people(rows: Sequence[Seen]) -> list[str]:
    """The patients whose data somebody got."""
    told = (row for row in rows if row.outcome == "success" and row.action != "who-saw")
    return sorted({id for row in told for id in row.patient.split(", ") if id})


async def _states(settings: Settings, people: Sequence[str]) -> Counter[str]:
    """Where they live: the state, or else the country, of each address that is in use."""
    from fhirserver.app import whole_store
    from fhirserver.model.json import decode

    found: Counter[str] = Counter()
    async with whole_store(settings) as store:
        for id in people:
            version = await store.read("Patient", id)
            body = decode(version.body) if version is not None and version.body else {}
            addresses = [one for one in body.get("address", ()) if one.get("use") != "old"]
            found.update({one.get("state") or one.get("country") or "" for one in addresses})
    found.pop("", None)
    return found


def _due(discovered: datetime, affected: int, states: Counter[str]) -> list[Notice]:
    from fhirserver.audit.breach import notices

    return notices(discovered, affected, states)


def _show(
    settings: Settings,
    rows: Sequence[Seen],
    affected: int,
    states: Counter[str],
    due: Sequence[Notice],
) -> None:
    kinds = sorted({part.partition(" ")[0] for row in rows for part in row.classes.split(", ")})
    typer.echo(f"{affected:,} people are concerned, {len(rows):,} accesses.")
    if rows:
        typer.echo(f"First access {rows[0].when}, last {rows[-1].when}.")
    typer.echo(f"Kinds of data: {', '.join(one for one in kinds if one) or 'none'}.")
    if states:
        typer.echo(
            f"Where they live: {', '.join(f'{k} {n:,}' for k, n in sorted(states.items()))}."
        )
    is_on = settings.encryption == "on"
    typer.echo(
        "The store is encrypted: files without its keys are not unsecured (45 CFR 164.402); what "
        "was read through the server is."
        if is_on
        else "The store is not encrypted: what was taken is unsecured (45 CFR 164.402)."
    )
    for one in due:
        typer.echo(f"{one.until:%Y-%m-%d %H:%M} UTC  {one.to}: {one.rule}.")


async def _kept(
    settings: Settings, due: Sequence[Notice], name: str, discovered: datetime, affected: int
) -> int:
    """Writes the Tasks; those of the same breach from before are brought up to date."""
    from urllib.parse import quote

    from fhirserver.access.grant import SERVER
    from fhirserver.app import open_gate
    from fhirserver.app.edge import local_base
    from fhirserver.audit.breach import SYSTEM, task_of
    from fhirserver.interactions.request import Request

    base = settings.base_url or local_base(settings)
    entries = []
    for one in due:
        task = task_of(one, name, discovered, affected)
        key = quote(f"{SYSTEM}|{task['identifier'][0]['value']}", safe="")
        where = {"method": "PUT", "url": f"Task?identifier={key}"}
        entries.append({"resource": task, "request": where})
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    async with open_gate(settings) as dispatch:
        await dispatch(Request("transaction", base, resource=bundle, grant=SERVER))
    return len(entries)
