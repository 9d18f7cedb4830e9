"""Definitions of one resource type by canonical URL, kept as JSON and decoded on first use.

A registry of the whole standard is then a few megabytes of text, scanned in milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

import msgspec

from fhirserver.definitions.structure import base_name, type_name
from fhirserver.model.json import Resource, decode

Line: TypeAlias = bytes | memoryview
"""A definition as JSON."""


class Header(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """What can be asked of a definition without decoding the whole of it."""

    url: str
    version: str | None = None
    kind: str = ""
    type: str | bool = ""  # of an operation: whether it can be called on a type
    abstract: bool = False
    derivation: str | None = None
    base_definition: str | None = None

    @property
    def is_type(self) -> bool:
        """Whether a structure defines a type, rather than constrains one."""
        return self.derivation != "constraint"

    @property
    def name(self) -> str:
        return type_name(str(self.type))

    @property
    def base(self) -> str | None:
        return base_name(self.base_definition, self.derivation)


_HEADER = msgspec.json.Decoder(Header)


class Shelf(Mapping[str, Resource]):
    """JSON definitions by canonical URL; of two with one URL the later counts."""

    __slots__ = ("_lines", "headers")

    def __init__(self, lines: Iterable[Line]) -> None:
        self.headers: dict[str, Header] = {}
        self._lines: dict[str, Line] = {}
        for line in lines:
            header = _HEADER.decode(line)
            self.headers[header.url] = header
            self._lines[header.url] = line

    def with_others(self, others: Shelf) -> Shelf:
        """A shelf of these definitions and others."""
        made = Shelf(())
        made.headers = self.headers | others.headers
        made._lines = self._lines | others._lines
        return made

    def __getitem__(self, url: str) -> Resource:
        found: Resource = decode(bytes(self._lines[url]))
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._lines)

    def __len__(self) -> int:
        return len(self._lines)

    def __contains__(self, url: object) -> bool:
        return url in self._lines
