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


class Known:
    """What one sender's elements became, by their bytes. For explicit VR little endian."""

    def __init__(self) -> None:
        self._by_codec: dict[str, dict[bytes, Element]] = {}
        self._room = _MOST

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
