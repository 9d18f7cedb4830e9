"""`fhirserver demo`: an open server on this machine, with synthetic patients."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Final

import typer

from fhirserver.cli.configuration import refuse, settings_of

if TYPE_CHECKING:
    from rich.console import Console

    from fhirserver.model.json import Resource
    from fhirserver.settings import Settings

_TOGETHER: Final = 4
"""Patients whose records are stored at a time."""

EXAMPLES: Final = (
    ("A patient", "Patient/patient-1"),
    ("Patients by family name", "Patient?family=a&_count=5"),
    ("High blood pressure", "Condition?code=I10&_include=Condition:subject"),
    ("Systolic pressure over 150", "Observation?component-code-value-quantity=8480-6$gt150"),
    ("Patients with diabetes", "Patient?_has:Condition:patient:code=E11.9"),
    ("Next appointments", "Appointment?status=booked&_sort=date&_include=Appointment:patient"),
    ("What this server can do", "metadata"),
)


def demo(
    patients: Annotated[int, typer.Option(min=0, max=100_000, help="Patients to make up.")] = 50,
    port: Annotated[int | None, typer.Option(help="Port to listen on [8080].")] = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder to keep the data in [a temporary one].")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same patients.")] = 1,
    host: Annotated[str | None, typer.Option(help="A loopback address [127.0.0.1].")] = None,
) -> None:
    """Run an open server with synthetic patients, for this machine only."""
    from rich.console import Console

    from fhirserver.app import NotRunnable
    from fhirserver.cli.serve import run
    from fhirserver.errors import FhirError

    console = Console(highlight=False, soft_wrap=True)
    with _folder(data) as folder:
        settings = settings_of(host=host, port=port, data=folder, auth="none")
        try:
            _fill(console, settings, patients, seed)
        except (FhirError, NotRunnable, OSError) as error:
            refuse(str(error))
        _tell(console, settings, is_kept=data is not None)
        run(settings)


@contextmanager
def _folder(data: Path | None) -> Iterator[Path]:
    """The folder given, or one that is removed in the end."""
    if data is not None:
        yield data
        return
    # The server ends itself with the signal that stopped it; the folder shall go before.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with TemporaryDirectory(prefix="fhirserver-demo-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _fill(console: Console, settings: Settings, patients: int, seed: int) -> None:
    """Makes up patients and stores them, unless the folder has some already."""
    import asyncio

    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("Making up patients"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=patients)
        found = asyncio.run(
            fill(settings, patients, seed, lambda count: progress.update(task, advance=count))
        )
    if found:
        console.print(f"{settings.data} has {found} patients already: no others were made up.")


async def fill(settings: Settings, patients: int, seed: int, done: Callable[[int], None]) -> int:
    """How many patients were there already; if none, so many are made up and stored.

    `done` is told how many more are stored.
    """
    import asyncio

    from fhirserver.app import open_gate
    from fhirserver.demo.population import patients as bundles
    from fhirserver.interactions.request import Request
    from fhirserver.model.json import decode

    base = f"http://{settings.host}:{settings.port}/fhir"
    async with open_gate(settings) as dispatch:
        count = Request("search-type", base, "Patient", parameters=(("_summary", "count"),))
        there = decode((await dispatch(count)).body or b"{}")["total"]
        if there:
            return int(there)

        async def store(bundle: Resource) -> None:
            await dispatch(Request("transaction", base, resource=bundle, prefer="minimal"))

        made = bundles(patients, seed, datetime.now().astimezone().date())
        await store(next(made))  # the hospital
        while group := list(islice(made, _TOGETHER)):
            await asyncio.gather(*map(store, group))
            done(len(group))
    return 0


def _tell(console: Console, settings: Settings, *, is_kept: bool) -> None:
    where = f"in {settings.data}" if is_kept else "in a temporary folder, gone when it stops"
    console.print(f"[bold]Demonstration server[/bold] with synthetic patients, kept {where}.")
    console.print(
        "It is open: this version has no authorization, so everybody on this machine may read "
        "and change everything. Do not put real patients in.",
        style="yellow",
    )
    name = f"[{settings.host}]" if ":" in settings.host else settings.host
    base = f"http://{name}:{settings.port}/fhir" if settings.port else "[base]"
    for title, path in EXAMPLES:
        console.print(f"  {title:<28}{base}/{path}", markup=False)
