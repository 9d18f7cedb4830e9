"""How a load is shown: a bar while it runs, refusals and a summary after it."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType
from typing import IO, Final

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from fhirserver.load.engine import Tally
from fhirserver.load.finding import Refusal
from fhirserver.model.json import encode

_SHOWN: Final = 20
"""Refusals that are shown; the report has all of them."""


class _Rate(ProgressColumn):
    """Resources a second since the start."""

    def render(self, task: Task) -> Text:
        seconds = task.elapsed or 0.0
        loaded = task.fields["loaded"]
        return Text(f"{loaded:,} resources  {loaded / seconds if seconds else 0:,.0f}/s")


class LoadProgress:
    """A `fhirserver.load.engine.Watcher` that draws; writes refusals to the report as they come."""

    def __init__(self, console: Console, size: int, report: Path | None) -> None:
        self.refusals = 0
        self._console = console
        self._begun = time.monotonic()
        self._report: IO[bytes] | None = report.open("wb") if report else None
        self._report_path = report
        self._progress = Progress(
            TextColumn("Loading"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            _Rate(),
            TextColumn("[red]{task.fields[refused]}"),
            TimeRemainingColumn(),
            console=console,
        )
        self._task = self._progress.add_task("", total=max(size, 1), loaded=0, refused="")

    def __enter__(self) -> LoadProgress:
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

    def advanced(self, size: int, loaded: int) -> None:
        """See `Watcher.advanced`."""
        self._progress.update(self._task, advance=size, loaded=loaded)

    def refused(self, refusal: Refusal) -> None:
        """See `Watcher.refused`."""
        self.refusals += 1
        self._progress.update(self._task, refused=f"{self.refusals} refused")
        if self._report:
            self._report.write(encode(refusal.as_json()) + b"\n")
        if self.refusals <= _SHOWN:
            self._progress.console.print(_line(refusal), style="red", markup=False)
        elif self.refusals == _SHOWN + 1:
            self._progress.console.print("More are not shown here.", style="red")

    def tell(self, tally: Tally, journal: Path) -> None:
        """Prints the summary."""
        seconds = time.monotonic() - self._begun
        rate = tally.loaded / seconds if seconds else 0
        say = self._console.print
        say(f"{tally.loaded:,} resources loaded in {seconds:.1f} s ({rate:,.0f} a second).")
        if tally.before:
            say(f"{tally.before:,} files or parts of files had been loaded before ({journal}).")
        if self.refusals:
            more = f": see {self._report_path}" if self._report_path else " (--report lists them)"
            say(f"{self.refusals:,} refused{more}.", style="red")


def _line(refusal: Refusal) -> str:
    place = str(refusal.path)
    if refusal.position is not None:
        place += f" [{refusal.position}]"
    if refusal.resource:
        place += f" {refusal.resource}"
    errors = [issue for issue in refusal.issues if issue.is_error]
    where = f" ({errors[0].expression})" if errors and errors[0].expression else ""
    text = errors[0].text if errors else refusal.text
    more = f" and {len(errors) - 1} more" if len(errors) > 1 else ""
    return f"{place}: {text}{where}{more}"
