"""Where elements stand in a document: lines and columns, from 1.

The reader keeps no places; the document is read a second time for those that are asked for.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from fhirserver.model.json_position import Position, Steps
from fhirserver.xml.parser import local_name, parser, run

_Way: TypeAlias = tuple[tuple[str, int], ...]  # names of elements, each with its place


def xml_positions(data: bytes, wanted: Iterable[Steps]) -> dict[Steps, Position]:
    """Where the element of each way begins, or the last one on it that is there.

    The ways are those of the resource's JSON. `data` was read before.
    """
    ways = {way: _elements(way) for way in wanted}
    prefixes = {elements[:end] for elements in ways.values() for end in range(len(elements) + 1)}
    found = _Reader(prefixes).read(data)
    return {
        way: next(
            found[elements[:end]] for end in range(len(elements), -1, -1) if elements[:end] in found
        )
        for way, elements in ways.items()
    }


def _elements(way: Steps) -> _Way:
    made: list[tuple[str, int]] = []
    for step in way:
        if isinstance(step, str):
            made.append((step.removeprefix("_"), 0))
        elif made:
            made[-1] = (made[-1][0], step)
    return tuple(made)


class _Reader:
    def __init__(self, wanted: set[_Way]) -> None:
        self._wanted = wanted
        self._found: dict[_Way, Position] = {}
        self._way: _Way = ()
        self._above: list[tuple[_Way, dict[str, int]]] = []
        self._counts: dict[str, int] = {}  # of each name among the elements so far

    def read(self, data: bytes) -> dict[_Way, Position]:
        made = self._parser = parser()
        made.StartElementHandler, made.EndElementHandler = self._start, self._end
        run(made, data)
        return self._found

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._above.append((self._way, self._counts))
        local = local_name(name)
        if not local[:1].isupper():  # a resource is no step of its own
            count = self._counts.get(local, 0)
            self._counts[local] = count + 1
            self._way = (*self._way, (local, count))
        self._counts = {}
        if self._way in self._wanted and self._way not in self._found:
            made = self._parser
            place = Position(made.CurrentLineNumber, made.CurrentColumnNumber + 1)
            self._found[self._way] = place

    def _end(self, name: str) -> None:
        self._way, self._counts = self._above.pop()
