"""What is sent at once: a transaction or batch made from a stretch of a file.

https://hl7.org/fhir/R4/bundle.html
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from fhirserver.load.source import Source
from fhirserver.model.json import Json, Resource


class Piece(NamedTuple):
    """An entry and where it comes from: the number, from 0, of an entry of a file or a line."""

    position: int
    entry: Json


@dataclass(frozen=True, slots=True)
class Unit:
    """A transaction or batch of all pieces of a content from position `start` to before `end`.

    `is_whole`: all or nothing is wanted; otherwise it may be sent in parts. `size` is its share
    of the file on disk.
    """

    source: Source
    digest: str
    start: int
    end: int
    type: str
    pieces: tuple[Piece, ...]
    is_whole: bool
    size: int

    @property
    def bundle(self) -> Resource:
        entries = [piece.entry for piece in self.pieces]
        return {"resourceType": "Bundle", "type": self.type, "entry": entries}

    @property
    def keys(self) -> frozenset[str]:
        """The addresses it puts; of two units that share one, the first must be done first."""
        requests = [_part(piece.entry, "request") for piece in self.pieces]
        return frozenset(str(one.get("url")) for one in requests if one.get("method") == "PUT")

    def halves(self) -> tuple[Unit, Unit]:
        """The same in two parts that meet."""
        middle = len(self.pieces) // 2
        at = self.pieces[middle].position
        return (
            replace(self, end=at, pieces=self.pieces[:middle]),
            replace(self, start=at, pieces=self.pieces[middle:]),
        )

    def resource_at(self, index: int) -> str | None:
        """The type and id of the resource of an entry, as far as it has them."""
        resource = _part(self.pieces[index].entry, "resource")
        type_, id_ = resource.get("resourceType"), resource.get("id")
        if not isinstance(type_, str):
            return None
        return f"{type_}/{id_}" if isinstance(id_, str) else type_


def _part(entry: Json, name: str) -> Resource:
    part = entry.get(name) if isinstance(entry, dict) else None
    return part if isinstance(part, dict) else {}
