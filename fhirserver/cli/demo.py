"""`fhirserver demo`: a server on this machine with synthetic patients and people to sign in as."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from pathlib import Path
from socket import AF_INET, AF_INET6, socket
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Final

import typer

from fhirserver.access.grant import SERVER
from fhirserver.cli.configuration import refuse, settings_of
from fhirserver.cli.demo_people import SignIn, people, sample_app
from fhirserver.cli.demo_studies import make_studies
from fhirserver.demo.systems import ACCESSION, MRN

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
    ("Images, with their orders", "ImagingStudy?_include=ImagingStudy:basedon"),
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
    auth: Annotated[
        str | None,
        typer.Option(metavar="smart|none", help="Authorization [smart]; `none`: open."),
    ] = None,
) -> None:
    """Run a server with synthetic patients and sample users, for this machine only."""
    import asyncio

    from rich.console import Console

    from fhirserver.app import NotRunnable
    from fhirserver.cli.serve import run
    from fhirserver.errors import FhirError
    from fhirserver.settings import is_loopback

    console = Console(highlight=False, soft_wrap=True)
    with _folder(data) as folder:
        settings = settings_of(
            host=host,
            port=_free_port(host) if port == 0 else port,
            data=folder,
            auth=auth or "smart",
            sample_app=True,
            dicom_patient_system=MRN,
            dicom_accession_system=ACCESSION,
        )
        if not is_loopback(settings.host):
            refuse(f"A demonstration is for this machine only, and {settings.host} is not.")
        try:
            _fill(console, settings, patients, seed)
            known = [] if settings.auth == "none" else asyncio.run(_prepare(settings))
        except (FhirError, NotRunnable, OSError) as error:
            refuse(str(error))
        _tell(console, settings, known, is_kept=data is not None)
        run(settings)


async def _prepare(settings: Settings) -> list[SignIn]:
    """The people and the app of the demonstration."""
    from fhirserver.app import open_jobs

    async with open_jobs(settings) as running:
        await sample_app(running, settings)
        return await people(running)


def _free_port(host: str | None) -> int:
    """A port that nobody listens on: the app is registered by its address beforehand."""
    with socket(AF_INET6 if host and ":" in host else AF_INET) as found:
        found.bind((host or "127.0.0.1", 0))
        number: int = found.getsockname()[1]
        return number


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
    elif patients:
        asyncio.run(make_studies(settings))


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
        count = Request(
            "search-type", base, "Patient", parameters=(("_summary", "count"),), grant=SERVER
        )
        there = decode((await dispatch(count)).body or b"{}")["total"]
        if there:
            return int(there)

        async def store(bundle: Resource) -> None:
            await dispatch(
                Request("transaction", base, resource=bundle, prefer="minimal", grant=SERVER)
            )

        made = bundles(patients, seed, datetime.now().astimezone().date())
        await store(next(made))  # the hospital
        while group := list(islice(made, _TOGETHER)):
            await asyncio.gather(*map(store, group))
            done(len(group))
    return 0


def _tell(console: Console, settings: Settings, known: Sequence[SignIn], *, is_kept: bool) -> None:
    where = f"in {settings.data}" if is_kept else "in a temporary folder, gone when it stops"
    console.print(f"[bold]Demonstration server[/bold] with synthetic patients, kept {where}.")
    name = f"[{settings.host}]" if ":" in settings.host else settings.host
    root = f"http://{name}:{settings.port}"
    console.print("Do not put real patients in.", style="yellow")
    if known:
        console.print(f"\nSign in at {root}/auth/sign-in as", markup=False)
        for item in known:
            line = f"  {item.name:<10}{item.password:<45}{item.display}"
            console.print(line, markup=False)
        console.print(f"\nSample app   {root}/sample-app/\n", markup=False)
        return
    console.print(
        "It is open: everybody on this machine may read and change everything.", style="yellow"
    )
    for title, path in EXAMPLES:
        console.print(f"  {title:<28}{root}/fhir/{path}", markup=False)
