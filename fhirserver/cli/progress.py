"""How a command that takes long is shown: a bar while it runs, refusals and a summary after it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

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
from fhirserver.model.json import Json, encode

_SHOWN: Final = 20
"""Refusals that are shown; the report has all of them."""


class Shown:
    """A bar while something runs, and what was refused: on the console, and in a report."""

    def __init__(
        self, console: Console, report: Path | None, columns: Sequence[ProgressColumn]
    ) -> None:
        self.refusals = 0
        self._console = console
        self._begun = time.monotonic()
        self._report: IO[bytes] | None = report.open("wb") if report else None
        self._report_path = report
        self._progress = Progress(*columns, console=console)

    def __enter__(self) -> Self:
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

    def _refuse(self, line: str, told: Json) -> None:
        """Counts a refusal; `told` is what the report says of it."""
        self.refusals += 1
        if self._report:
            self._report.write(encode(told) + b"\n")
        if self.refusals <= _SHOWN:
            self._progress.console.print(line, style="red", markup=False)
        elif self.refusals == _SHOWN + 1:
            self._progress.console.print("More are not shown here.", style="red")

    def _tell_done(self, count: int, what: str) -> None:
        """Prints how many there were, and how fast."""
        seconds = time.monotonic() - self._begun
        rate = count / seconds if seconds else 0
        self._console.print(f"{count:,} {what} in {seconds:.1f} s ({rate:,.0f} a second).")

    def _tell_refused(self, count: int) -> None:
        if count:
            more = f": see {self._report_path}" if self._report_path else " (--report lists them)"
            self._console.print(f"{count:,} refused{more}.", style="red")


class _Rate(ProgressColumn):
    """Resources a second since the start."""

    def render(self, task: Task) -> Text:
        seconds = task.elapsed or 0.0
        loaded = task.fields["loaded"]
        return Text(f"{loaded:,} resources  {loaded / seconds if seconds else 0:,.0f}/s")


class LoadProgress(Shown):
    """A `fhirserver.load.engine.Watcher` that draws; writes refusals to the report as they come."""

    def __init__(self, console: Console, size: int, report: Path | None) -> None:
        columns = (
            TextColumn("Loading"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            _Rate(),
            TextColumn("[red]{task.fields[refused]}"),
            TimeRemainingColumn(),
        )
        super().__init__(console, report, columns)
        self._task = self._progress.add_task("", total=max(size, 1), loaded=0, refused="")

    def advanced(self, size: int, loaded: int) -> None:
        """See `Watcher.advanced`."""
        self._progress.update(self._task, advance=size, loaded=loaded)

    def refused(self, refusal: Refusal) -> None:
        """See `Watcher.refused`."""
        self._refuse(_line(refusal), refusal.as_json())
        self._progress.update(self._task, refused=f"{self.refusals} refused")

    def tell(self, tally: Tally, journal: Path) -> None:
        """Prints the summary."""
        self._tell_done(tally.loaded, "resources loaded")
        if tally.before:
            self._console.print(
                f"{tally.before:,} files or parts of files had been loaded before ({journal})."
            )
        self._tell_refused(self.refusals)


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
