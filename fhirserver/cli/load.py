"""`fhirserver load`: files of resources into a store, or into a running server."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

import typer
from msgspec.structs import replace

from fhirserver.cli.configuration import Data, TenantName, refuse, settings_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from fhirserver.load.engine import Tally, Watcher
    from fhirserver.load.journal import Journal
    from fhirserver.load.source import Source
    from fhirserver.settings import Settings

Run: TypeAlias = "Callable[[list[Source], Journal, Watcher, int], Coroutine[Any, Any, Tally]]"

_REFUSED: Final = 1
_RESUME: Final = "The same command goes on from here."


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
    data: Data = None,
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
    restore: Annotated[
        bool,
        typer.Option(
            "--restore", help="Keep versions and times of an export; into an empty store."
        ),
    ] = False,
    tenant: TenantName = None,
) -> None:
    """Load resources from files; goes on where a stopped load was."""
    if url and (data or tenant):
        refuse("Give --url (a running server), or --data and --tenant (a store), not both.")
    if restore:
        _restore(paths, url, data, tenant)
        return
    run: Run
    if url:
        kept = journal or _journal_for(url)
        run = partial(into_server, url, token)
    else:
        settings = settings_of(tenant, data=data)
        kept = journal or settings.data / "load.journal"
        run = partial(into_store, settings)
    if again:
        kept.unlink(missing_ok=True)
    raise typer.Exit(_REFUSED if _load(run, paths, kept, report, in_flight) else 0)


def _load(run: Run, paths: list[Path], kept: Path, report: Path | None, in_flight: int) -> int:
    """Loads the paths with a bar; gives the number of refusals."""
    import asyncio

    from rich.console import Console

    from fhirserver.app import NotRunnable
    from fhirserver.cli.progress import LoadProgress
    from fhirserver.errors import FhirError
    from fhirserver.load.journal import Journal
    from fhirserver.load.source import sources
    from fhirserver.load.target import Unreachable

    found, refused = sources(paths)
    found, passed = _without_trails(found)
    size = sum(source.size for source in found)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    tune()
    try:
        with LoadProgress(console, size, report) as progress, Journal(kept) as done:
            for refusal in refused:
                progress.refused(refusal)
            tally = asyncio.run(run(found, done, progress, in_flight))
    except Unreachable as error:
        refuse(str(error), _RESUME)
    except KeyboardInterrupt:
        refuse("Stopped.", _RESUME)
    except (FhirError, NotRunnable, OSError) as error:
        refuse(str(error))
    progress.tell(tally, kept)
    if passed:
        console.print(f"{passed:,} AuditEvents passed over: they tell of where they were made.")
    return progress.refusals


def _without_trails(found: list[Source]) -> tuple[list[Source], int]:
    """The sources but files of AuditEvents; and how many events these hold."""
    kept, passed = [], 0
    for source in found:
        if source.path.name.startswith("AuditEvent.ndjson"):
            with source.open() as opened:
                passed += sum(1 for _ in opened.content)
        else:
            kept.append(source)
    return kept, passed


def _restore(paths: list[Path], url: str | None, data: Path | None, tenant: str | None) -> None:
    """Makes an empty store what an export is of."""
    import asyncio

    from rich.console import Console

    from fhirserver.app import NotRunnable
    from fhirserver.errors import FhirError
    from fhirserver.export.restore import NotRestorable

    if url:
        refuse("A restore goes into a store (--data), not through a running server.")
    if len(paths) != 1:
        refuse("Name one folder, that of an export.")
    settings = settings_of(tenant, data=data)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        with console.status("Restoring") as status:
            said = lambda number: status.update(f"Restoring: {number:,}")  # noqa: E731
            count = asyncio.run(_restored(settings, paths[0], said))
    except KeyboardInterrupt:
        refuse("Stopped.", _RESUME)
    except (NotRestorable, FhirError, NotRunnable, OSError) as error:
        refuse(str(error))
    console.print(f"{count:,} versions restored.")


async def _restored(settings: Settings, folder: Path, told: Callable[[int], None]) -> int:
    from fhirserver.app import whole_store
    from fhirserver.definitions.packaged import packaged
    from fhirserver.export.restore import restore
    from fhirserver.indexing.marks import without_custom
    from fhirserver.search.index import Indexer

    indexer = Indexer(packaged(), settings.full_text)
    async with whole_store(settings) as store:
        await without_custom(store, store.records, settings.full_text)
        return await restore(store, folder, indexer, _base(settings), told)


def _base(settings: Settings) -> str:
    from fhirserver.app import local_base

    return settings.base_url or local_base(settings)


def tune() -> None:
    """Sets the interpreter for a load.

    Decoded resources are many and in no cycles: such garbage is looked for less often. The
    writer's thread asks for the interpreter at each statement: it gets it sooner than in 5 ms.
    """
    from fhirserver.app.warm import collect_garbage_seldom, switch_threads_soon

    collect_garbage_seldom()
    switch_threads_soon()


async def into_store(
    settings: Settings, found: list[Source], done: Journal, watcher: Watcher, in_flight: int
) -> Tally:
    """Loads through the gate of a store; what is referred to may come later.

    The size of a Bundle, which is bounded for clients, is the operator's own affair here.
    """
    from fhirserver.app import open_gate
    from fhirserver.load.engine import Load
    from fhirserver.load.gate import GateTarget

    base = _base(settings)
    free: dict[str, object] = {"integrity_on_write": False, "max_bundle_entries": 10_000_000}
    if settings.validation_on_load == "off":
        free |= {"validation": "off", "validation_modes": ()}
    async with open_gate(replace(settings, **free)) as dispatch:
        return await Load(GateTarget(dispatch, base), done, watcher, in_flight).run(found)


async def into_server(
    url: str,
    token: str | None,
    found: list[Source],
    done: Journal,
    watcher: Watcher,
    in_flight: int,
) -> Tally:
    """Loads into a running server."""
    from fhirserver.load.engine import Load
    from fhirserver.load.http import HttpTarget

    target = HttpTarget(url, token, in_flight)
    try:
        await target.check()
        return await Load(target, done, watcher, in_flight).run(found)
    finally:
        target.close()


def _journal_for(url: str) -> Path:
    """A file in the working folder, one for each server."""
    name = re.sub(r"[^A-Za-z0-9]+", "-", url.partition("//")[2]).strip("-")
    return Path(f"fhirserver-load-{name}.journal")
