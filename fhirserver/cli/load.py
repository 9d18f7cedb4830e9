"""`fhirserver load`: files of resources into a store, or into a running server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple
from urllib.parse import urlsplit

import typer

from fhirserver.cli.configuration import refuse, settings_of

if TYPE_CHECKING:
    from fhirserver.cli.progress import LoadProgress
    from fhirserver.load.engine import Tally
    from fhirserver.load.journal import Journal
    from fhirserver.load.source import Source
    from fhirserver.settings import Settings

_REFUSED: Final = 1


def load(
    paths: Annotated[
        list[Path], typer.Argument(help="Files or folders: .json .ndjson, also with .gz.")
    ],
    url: Annotated[
        str | None, typer.Option(help="Base URL of a running server; else the store of --data.")
    ] = None,
    token: Annotated[
        str | None, typer.Option(envvar="FHIR_TOKEN", help="Bearer token for --url.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder of all that the server keeps [fhirserver-data].")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="File for what was refused, a JSON object per line.")
    ] = None,
    journal: Annotated[
        Path | None,
        typer.Option(help="File that tells what was loaded [in the data folder, or here]."),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Forget the journal: load everything anew.")
    ] = False,
    in_flight: Annotated[
        int, typer.Option(min=1, max=64, help="Bundles that are under way together.")
    ] = 4,
) -> None:
    """Load resources from files; goes on where a stopped load was."""
    from rich.console import Console

    from fhirserver.cli.progress import LoadProgress
    from fhirserver.load.journal import Journal
    from fhirserver.load.source import sources

    if url and data:
        refuse("Give --url (a running server) or --data (a store), not both.")
    if url:
        kept = journal or _journal_for(url)
        goal: _Server | Settings = _Server(url, token)
    else:
        goal = settings_of(data=data)
        kept = journal or goal.data / "load.journal"
    found, refused = sources(paths)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    with (
        LoadProgress(console, sum(source.size for source in found), report) as progress,
        Journal(kept, anew=again) as done,
    ):
        for refusal in refused:
            progress.refused(refusal)
        tally = _loaded(found, goal, done, progress, in_flight)
    progress.tell(tally, kept)
    raise typer.Exit(_REFUSED if progress.refusals else 0)


class _Server(NamedTuple):
    url: str
    token: str | None


def _loaded(
    found: list[Source],
    goal: _Server | Settings,
    done: Journal,
    progress: LoadProgress,
    in_flight: int,
) -> Tally:
    import asyncio

    from fhirserver.load.target import Unreachable

    run = _into_server if isinstance(goal, _Server) else _into_store
    try:
        return asyncio.run(run(found, goal, done, progress, in_flight))
    except Unreachable as error:
        refuse(str(error), "The same command goes on from here.")
    except KeyboardInterrupt:
        refuse("Stopped. The same command goes on from here.")
