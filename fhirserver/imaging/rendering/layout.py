"""Where the pixels are in a DICOM file, found from a few pieces of it (PS3.5, 7 and A.4; PS3.10, 7.1).

These are generators that ask for pieces: each yields a `Piece` and is sent the bytes there. A file
in an object store, sealed or not, is so never read whole, however many frames it has.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from fhirserver.errors import Unprocessable

IMPLICIT: Final = "1.2.840.10008.1.2"
EXPLICIT: Final = "1.2.840.10008.1.2.1"
DEFLATED: Final = "1.2.840.10008.1.2.1.99"
BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
NATIVE: Final = frozenset({IMPLICIT, EXPLICIT, BIG_ENDIAN})
"""Transfer syntaxes whose pixels are not compressed and can be found in place."""

UNDEFINED: Final = 0xFFFFFFFF
ITEM: Final = 0xFFFEE000
END_OF_ITEM: Final = 0xFFFEE00D
END_OF_SEQUENCE: Final = 0xFFFEE0DD
EXTENDED_OFFSETS: Final = 0x7FE00001
_PIXELS: Final = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
_LAST: Final = 0x7FE00010
_LONG: Final = frozenset(
    {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
)
_META_END: Final = 0x00030000
_MAX_DEPTH: Final = 64
_WINDOW: Final = 64 * 1024


class Piece(NamedTuple):
    """What a generator asks for: bytes from `start` on, fewer than `length` only at the end."""

    start: int
    length: int


Asking: TypeAlias = Generator[Piece, bytes, None]


@dataclass(frozen=True, slots=True)
class Pixels:
    """The element of the pixels: its `tag`, where it and its value start, and its `length`.

    `length` is None where the frames are encapsulated. `extended` is where the value of the
    Extended Offset Table is, and its length.
    """

    transfer_syntax: str
    tag: int
    start: int
    value: int
    length: int | None
    extended: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    """`body` is where the data set starts; `pixels` is None where it has none (or is deflated)."""

    transfer_syntax: str
    body: int
    pixels: Pixels | None


class _File:
    """The window of a file that was asked for last."""

    __slots__ = ("_base", "_bytes")

    def __init__(self) -> None:
        self._base = 0
        self._bytes = b""

    def at(self, start: int, length: int, window: int = _WINDOW) -> Generator[Piece, bytes, bytes]:
        """The bytes there, fewer at the end of the file."""
        offset = start - self._base
        if offset < 0 or offset + length > len(self._bytes):
            self._bytes = yield Piece(start, max(length, window))
            self._base, offset = start, 0
        return self._bytes[offset : offset + length]


def layout() -> Generator[Piece, bytes, Layout]:
    """Where the data set and its pixels are. Raises `Unprocessable` for what is no DICOM file."""
    file = _File()
    head = yield from file.at(128, 4)
    if head != b"DICM":
        raise _broken()
    syntax, position = yield from _meta(file)
    body = position
    if syntax == DEFLATED:
        return Layout(syntax, body, None)
    extended = None
    vr = yield from file.at(body + 4, 2)
    # As it is, not as it is said to be: some files are in implicit VR that should not be.
    explicit = syntax == BIG_ENDIAN or (vr.isalpha() and vr.isupper())
    walk = _Walk(file, explicit=explicit, order="big" if syntax == BIG_ENDIAN else "little")
    while True:
        element = yield from walk.element(position)
        if element is None or element.tag > _LAST:
            return Layout(syntax, body, None)
        if element.tag in _PIXELS:
            length = None if element.length == UNDEFINED else element.length
            found = Pixels(syntax, element.tag, position, element.value, length, extended)
            return Layout(syntax, body, found)
        if element.tag == EXTENDED_OFFSETS:
            extended = (element.value, element.length)
        position = yield from walk.end_of(element)


class _Element(NamedTuple):
    tag: int
    value: int
    length: int
    is_unknown: bool  # its items, if any, are in implicit VR (PS3.5, 6.2.2)


@dataclass(frozen=True, slots=True)
class _Walk:
    """Steps from element to element."""

    file: _File
    explicit: bool
    order: str

    def element(self, position: int) -> Generator[Piece, bytes, _Element | None]:
        """The element there; None at the end of the file."""
        data = yield from self.file.at(position, 12)
        if len(data) < 8:
            return None
        group, number = self._number(data[:2]), self._number(data[2:4])
        tag = group << 16 | number
        if not self.explicit or group == 0xFFFE:
            return _Element(tag, position + 8, self._number(data[4:8]), False)
        vr = data[4:6]
        if vr in _LONG:
            if len(data) < 12:
                raise _broken()
            return _Element(tag, position + 12, self._number(data[8:12]), vr == b"UN")
        return _Element(tag, position + 8, self._number(data[6:8]), False)

    def end_of(self, element: _Element) -> Generator[Piece, bytes, int]:
        """Where the next element starts."""
        if element.length != UNDEFINED:
            return element.value + element.length
        return (yield from self._end_of_open(element))

    def _end_of_open(self, element: _Element) -> Generator[Piece, bytes, int]:
        walks = [_Walk(self.file, explicit=False, order="little") if element.is_unknown else self]
        position = element.value
        while walks:
            found = yield from walks[-1].element(position)
            if found is None:
                raise _broken()
            position = found.value
            if found.tag in (END_OF_ITEM, END_OF_SEQUENCE):
                walks.pop()
            elif found.length != UNDEFINED:
                position += found.length
            elif len(walks) >= _MAX_DEPTH:
                raise Unprocessable("The sequences of the instance are nested too deep.")
            else:
                inner = walks[-1]
                if found.is_unknown:
                    inner = _Walk(self.file, explicit=False, order="little")
                walks.append(inner)
        return position

    def _number(self, data: bytes) -> int:
        return int.from_bytes(data, "little" if self.order == "little" else "big")


def _meta(file: _File) -> Generator[Piece, bytes, tuple[str, int]]:
    """The transfer syntax, and where the file meta information ends."""
    walk = _Walk(file, explicit=True, order="little")
    position = 132
    syntax = ""
    while True:
        element = yield from walk.element(position)
        if element is None or element.tag >= _META_END:
            break
        if element.length == UNDEFINED:
            raise _broken()
        if element.tag == 0x00020010:
            value = yield from file.at(element.value, element.length)
            syntax = value.rstrip(b"\0 ").decode("ascii", "replace")
        position = element.value + element.length
    return syntax or IMPLICIT, position


def _broken() -> Unprocessable:
    return Unprocessable("The stored instance cannot be read as a DICOM file.")
