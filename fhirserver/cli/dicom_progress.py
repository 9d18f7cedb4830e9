"""How an import of DICOM files is shown."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

from fhirserver.cli.progress import Shown
from fhirserver.imaging.importing import Tally


class ImportProgress(Shown):
    """A `fhirserver.imaging.importing.Watcher` that draws and writes the report."""

    def __init__(self, console: Console, files: int, report: Path | None) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        super().__init__(console, report, columns)
        self._task = self._progress.add_task("Importing", total=files)

    def done(self, path: Path) -> None:
        """See `Watcher.done`."""
        self._progress.update(self._task, advance=1)

    def refused(self, path: Path, reason: str) -> None:
        """See `Watcher.refused`."""
        self._refuse(f"{path}: {reason}", {"file": str(path), "reason": reason})

    def projecting(self) -> None:
        """The files are in; their ImagingStudies are made."""
        self._progress.update(self._task, description="Making ImagingStudies")

    def tell(self, tally: Tally) -> None:
        """Prints the summary."""
        self._tell_done(tally.stored, f"instances of {tally.studies:,} studies stored")
        if tally.there:
            self._console.print(f"{tally.there:,} files were there already.")
        self._tell_refused(tally.refused)
