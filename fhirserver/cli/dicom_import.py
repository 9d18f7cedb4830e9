"""`fhirserver dicom import`: DICOM files into the archive."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fhirserver.cli.configuration import Data, TenantName, refuse, settings_of

if TYPE_CHECKING:
    from fhirserver.cli.dicom_progress import ImportProgress
    from fhirserver.imaging.importing import Tally
    from fhirserver.load.journal import Journal
    from fhirserver.settings import Settings

_REFUSED = 1
_RESUME = "The same command goes on from here."


def import_(
    paths: Annotated[list[Path], typer.Argument(help="DICOM files, or folders of them.")],
    data: Data = None,
    report: Annotated[
        Path | None, typer.Option(help="File for what was refused, a JSON object per line.")
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Forget the journal: look at every file anew.")
    ] = False,
    tenant: TenantName = None,
) -> None:
    """Bring DICOM files into the archive; goes on where a stopped import was."""
    import asyncio

    from rich.console import Console

    from fhirserver.app import NotRunnable
    from fhirserver.cli.dicom_progress import ImportProgress
    from fhirserver.errors import FhirError
    from fhirserver.imaging.importing import files
    from fhirserver.load.journal import Journal

    missing = [path for path in paths if not path.exists()]
    if missing:
        refuse(f"There is no {missing[0]}.")
    settings = settings_of(tenant, data=data)
    kept = settings.data / "dicom-import.journal"
    if again:
        kept.unlink(missing_ok=True)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    number = sum(1 for _ in files(paths))
    try:
        with ImportProgress(console, number, report) as progress, Journal(kept) as journal:
            tally = asyncio.run(into_archive(settings, paths, journal, progress))
    except KeyboardInterrupt:
        refuse("Stopped.", _RESUME)
    except (FhirError, NotRunnable, OSError) as error:
        refuse(str(error), _RESUME)
    progress.tell(tally)
    raise typer.Exit(_REFUSED if tally.refused else 0)


async def into_archive(
    settings: Settings, paths: list[Path], journal: Journal, progress: ImportProgress
) -> Tally:
    """Imports, and brings the ImagingStudies up to date."""
    from fhirserver.app import now, open_imaging_gate
    from fhirserver.imaging.importing import Importer

    async with open_imaging_gate(settings) as gate:
        importer = Importer(gate.dispatch, gate.imaging.blobs.spool, gate.base, now)
        tally = await importer.run(paths, journal, progress)
        progress.projecting()
        await gate.projector.settle()
        return tally
