"""`fhirserver export`: a store as files, to be kept, read elsewhere, or moved to another store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from fhirserver.cli.configuration import TenantName, refuse, settings_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from fhirserver.export.layout import Manifest
    from fhirserver.export.write import Export
    from fhirserver.settings import Settings

_NO_INSTANT: Final = "--since is an instant, such as 2026-01-31T12:00:00Z."


def export(
    folder: Annotated[Path, typer.Argument(help="A new or empty folder for the files.")],
    data: Annotated[
        Path | None, typer.Option(help="Folder of all that the server keeps [fhirserver-data].")
    ] = None,
    type: Annotated[
        list[str] | None, typer.Option(help="A resource type; may be given several times [all].")
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Only what was written at or after that instant.")
    ] = None,
    history: Annotated[
        bool, typer.Option("--history", help="All versions, deletions too, not current ones only.")
    ] = False,
    gzip: Annotated[bool, typer.Option("--gzip", help="Pack the files.")] = False,
    tenant: TenantName = None,
) -> None:
    """Write resources to files, as the store holds them at one moment."""
    import asyncio

    from rich.console import Console

    from fhirserver.app import NotRunnable
    from fhirserver.definitions.packaged import packaged
    from fhirserver.errors import FhirError
    from fhirserver.export.write import Export
    from fhirserver.model.temporal import interval

    settings = settings_of(tenant, data=data)
    types = tuple(dict.fromkeys(type or ()))
    for name in types:
        if name not in packaged().resource_types:
            refuse(f"'{name}' is not a resource type of FHIR R4.")
    try:
        if since is not None:
            interval(since)
    except (FhirError, ValueError):
        refuse(_NO_INSTANT)
    what = Export(types, since, history, gzip)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        with console.status("Exporting") as status:
            said = lambda number: status.update(f"Exporting: {number:,}")  # noqa: E731
            manifest = asyncio.run(_export(settings, folder, what, said))
    except KeyboardInterrupt:
        refuse("Stopped: nothing was kept of it.")
    except (FhirError, NotRunnable, OSError) as error:
        refuse(str(error))
    count = sum(file.count for file in manifest.files)
    console.print(f"{count:,} versions in {len(manifest.files)} files of {folder}.")


async def _export(
    settings: Settings, folder: Path, what: Export, told: Callable[[int], None]
) -> Manifest:
    from fhirserver.app import whole_store
    from fhirserver.app.audit import recorded
    from fhirserver.export import write

    counts: dict[str, int] = {}
    async with (
        whole_store(settings) as store,
        recorded(settings, store, "export", counts),
    ):
        manifest = await write.export(store, folder, what, told)
        counts["versions"] = sum(file.count for file in manifest.files)
        return manifest
