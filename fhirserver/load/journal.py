"""The record of what was loaded, so that a load that was stopped goes on where it was.

A line is written after the server or store has made the unit durable. A line that is missing
because the machine stopped only makes the unit be sent again, which changes nothing; so lines
are not synced one by one.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from types import TracebackType

END = 2**53
"""Behind the last position of any content."""

Span = tuple[int, int]


class Journal:
    """Which positions of which contents (by SHA-256) were loaded; kept in a file of lines."""

    def __init__(self, path: Path | None) -> None:
        self._done: defaultdict[str, list[Span]] = defaultdict(list)
        self._file = None
        if path is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = path.read_text("ascii", errors="replace") if path.exists() else ""
        self._read(lines)
        self._file = path.open("a", encoding="ascii")
        if lines and not lines.endswith("\n"):
            self._file.write("\n")  # the last line was cut off

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file:
            self._file.close()

    def add(self, digest: str, start: int, end: int) -> None:
        """Notes that the positions from `start` to before `end` are loaded."""
        self._note(digest, start, end)
        if self._file:
            self._file.write(json.dumps({"content": digest, "span": [start, end]}) + "\n")
            self._file.flush()

    def has(self, digest: str, start: int, end: int) -> bool:
        """Whether all positions from `start` to before `end` were loaded before."""
        spans = self._done.get(digest, ())
        return any(first <= start and end <= last for first, last in spans)

    def _read(self, lines: str) -> None:
        for line in lines.splitlines():
            try:
                entry = json.loads(line)
                start, end = entry["span"]
                self._note(str(entry["content"]), int(start), int(end))
            except (ValueError, KeyError, TypeError):
                continue  # a line that was cut off

    def _note(self, digest: str, start: int, end: int) -> None:
        spans = self._done[digest]
        spans.append((start, end))
        spans.sort()
        merged: list[Span] = []
        for first, last in spans:
            if merged and first <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
            else:
                merged.append((first, last))
        self._done[digest] = merged
