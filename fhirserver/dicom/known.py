"""Elements that were read before: of a series, most are the same in all instances."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

_MOST: Final = 2048  # elements

BRIEF: Final = 128
"""Bytes of a value that is remembered, at the most."""


class Element(NamedTuple):
    """One as it stands in a dataset: not to be changed, since others have the same one."""

    tag: int
    name: str
    attribute: dict[str, Any]


class Run(NamedTuple):
    """Elements in ascending order that came behind each other: their bytes, and what these are."""

    whole: bytes
    dataset: dict[str, Any]
    first: int
    last: int


class Known:
    """What one sender's elements became, by their bytes. For explicit VR little endian.

    Elements that follow each other in one data set mostly do so in the next, and are taken then
    at once.
    """

    def __init__(self) -> None:
        self._by_codec: dict[str, dict[bytes, Element]] = {}
        self._room = _MOST
        self._runs: dict[str, dict[bytes, Run]] = {}
        self._run_room = _MOST

    def runs(self, codec: str) -> dict[bytes, Run]:
        """Those whose text was read by a codec, by the bytes of their first element."""
        return self._runs.setdefault(codec, {})

    def follow(self, codec: str, whole: bytes) -> None:
        """Remembers that known elements followed each other. Where others followed the first of
        them before, what both have in common at their beginning."""
        known, runs = self.of(codec), self.runs(codec)
        size = _size(whole, 0)
        before = runs.get(whole[:size])
        dataset: dict[str, Any] = {}
        at, first, last = 0, -1, -1
        while at < len(whole):
            stop = at + _size(whole, at)
            found = known.get(whole[at:stop])
            is_other = before is not None and before.whole[at:stop] != whole[at:stop]
            if found is None or found.tag <= last or is_other:
                break
            dataset[found.name] = found.attribute
            first = found.tag if first < 0 else first
            last, at = found.tag, stop
        if len(dataset) > self._run_room:
            self._runs.clear()
            self._run_room = _MOST
            runs = self.runs(codec)
        if dataset:
            self._run_room -= len(dataset)
            runs[whole[:size]] = Run(whole[:at], dataset, first, last)

    def of(self, codec: str) -> dict[bytes, Element]:
        """Those whose text was read by a codec."""
        return self._by_codec.setdefault(codec, {})

    def add(self, codec: str, whole: bytes, element: Element) -> None:
        """Remembers one; begins anew when they are too many."""
        if not self._room:
            self._by_codec.clear()
            self._room = _MOST
        self._room -= 1
        self.of(codec)[whole] = element


def _size(data: bytes, at: int) -> int:
    """Bytes of an element with a length of two bytes."""
    return 8 + (data[at + 6] | data[at + 7] << 8)
