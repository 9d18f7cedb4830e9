"""How an import of DICOM files is shown: a bar while it runs, a summary after it."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType
from typing import IO, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fhirserver.imaging.importing import Tally
from fhirserver.model.json import encode

_SHOWN: Final = 20
"""Refusals that are shown; the report has all of them."""


class ImportProgress:
    """A `fhirserver.imaging.importing.Watcher` that draws and writes the report."""

    def __init__(self, console: Console, files: int, report: Path | None) -> None:
        self._console = console
        self._begun = time.monotonic()
        self._refusals = 0
        self._report_path = report
        self._report: IO[bytes] | None = report.open("wb") if report else None
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
        )
        self._task = self._progress.add_task("Importing", total=files)

    def __enter__(self) -> ImportProgress:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()
        if self._report:
            self._report.close()

    def done(self, path: Path) -> None:
        """See `Watcher.done`."""
        self._progress.update(self._task, advance=1)

    def refused(self, path: Path, reason: str) -> None:
        """See `Watcher.refused`."""
        self._refusals += 1
        if self._report:
            self._report.write(encode({"file": str(path), "reason": reason}) + b"\n")
        if self._refusals <= _SHOWN:
            self._progress.console.print(f"{path}: {reason}", style="red", markup=False)
        elif self._refusals == _SHOWN + 1:
            self._progress.console.print("More are not shown here.", style="red")

    def projecting(self) -> None:
        """The files are in; their ImagingStudies are made."""
        self._progress.update(self._task, description="Making ImagingStudies")

    def tell(self, tally: Tally) -> None:
        """Prints the summary."""
        seconds = time.monotonic() - self._begun
        rate = tally.stored / seconds if seconds else 0
        say = self._console.print
        say(
            f"{tally.stored:,} instances of {tally.studies:,} studies stored in {seconds:.1f} s "
            f"({rate:,.0f} a second)."
        )
        if tally.there:
            say(f"{tally.there:,} files were there already.")
        if tally.refused:
            more = f": see {self._report_path}" if self._report_path else " (--report lists them)"
            say(f"{tally.refused:,} refused{more}.", style="red")
