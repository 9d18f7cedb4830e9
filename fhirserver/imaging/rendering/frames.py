"""Where each frame of an instance is (PS3.5, A.4 and 8.2; offset tables: PS3.3, C.7.6.3.1.8).

`frames` is a generator that asks for pieces of the file: it yields a `Piece` and is sent the bytes
there. So no file is read whole, however many frames it has.
"""

from __future__ import annotations

from array import array
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple

from fhirserver.dicom.pixels import Pixels
from fhirserver.dicom.transfer_syntax import EXPLICIT_BIG
from fhirserver.errors import NotFound, Unprocessable

ITEM: Final = 0xFFFEE000
END_OF_SEQUENCE: Final = 0xFFFEE0DD

_MAX_FRAMES: Final = 10_000_000
_MAX_FRAGMENTS: Final = 10_000_000
_SMALL: Final = 64 * 1024
_TABLE_HEAD: Final = 12  # tag, VR, two bytes and the length of an Extended Offset Table
_JPEG_STARTS: Final = (b"\xff\xd8", b"\xff\x4f")  # SOI of JPEG and JPEG-LS, SOC of JPEG 2000


@dataclass(frozen=True, slots=True)
class Shape:
    """What tells how large a frame is: attributes of the Image Pixel module (PS3.3, C.7.6.3)."""

    rows: int
    columns: int
    samples: int = 1
    bits_allocated: int = 16
    frames: int = 1
    photometric: str = "MONOCHROME2"

    @property
    def bits(self) -> int:
        """Of one native frame."""
        pixels = self.rows * self.columns
        if self.photometric == "YBR_FULL_422" and self.samples == 3:
            return pixels * 2 * self.bits_allocated
        return pixels * self.samples * self.bits_allocated


class Piece(NamedTuple):
    """Bytes from `start` on that are asked for; there are fewer only at the end of the file."""

    start: int
    length: int


class Span(NamedTuple):
    """Bytes of a file. Of native frames of single bits, `shift` bits of the first are not its."""

    start: int
    length: int
    shift: int = 0


@dataclass(frozen=True, slots=True)
class Frames:
    """The frames of an instance. `span` is where the one of a number is, counted from 1.

    Encapsulated ones are spans of fragments, which `unwrapped` takes out of their items.
    """

    count: int
    transfer_syntax: str
    shape: Shape
    native_start: int = 0
    starts: Sequence[int] = ()
    end: int = 0
    in_words: bool = False

    @property
    def is_encapsulated(self) -> bool:
        """Whether the frames are compressed."""
        return bool(self.starts)

    @property
    def is_in_place(self) -> bool:
        """Whether native frames are stored as they are had: in little-endian order."""
        return self.transfer_syntax != EXPLICIT_BIG

    def span(self, number: int) -> Span:
        """Where a frame is. Raises `NotFound` for a number that there is not."""
        if not 1 <= number <= self.count:
            raise NotFound("The instance has no such frame.")
        index = number - 1
        if self.starts:
            start = self.starts[index]
            end = self.starts[index + 1] if number < self.count else self.end
            return Span(start, end - start)
        first = index * self.shape.bits
        last = first + self.shape.bits
        start = first // 8
        return Span(self.native_start + start, (last + 7) // 8 - start, first % 8)

    def native(self, data: bytes, span: Span) -> bytes:
        """A native frame in little-endian order, its bits from the first one on."""
        if span.shift:
            length = (self.shape.bits + 7) // 8
            data = (int.from_bytes(data, "little") >> span.shift).to_bytes(len(data), "little")
            data = data[:length]
        if self.shape.bits % 8 and data:
            mask = (1 << self.shape.bits % 8) - 1
            data = data[:-1] + bytes([data[-1] & mask])
        if self.transfer_syntax == EXPLICIT_BIG and (width := self._width(len(data))):
            swapped = array(width, data)
            swapped.byteswap()
            return swapped.tobytes()
        return data

    def _width(self, length: int) -> str | None:
        """The words that are in big-endian order. Single bytes are kept in such, too (OW)."""
        if self.shape.bits_allocated <= 8:
            return "H" if self.in_words and length % 2 == 0 else None
        return {16: "H", 32: "I", 64: "Q"}.get(self.shape.bits_allocated)


def frames(pixels: Pixels, transfer_syntax: str, shape: Shape) -> Generator[Piece, bytes, Frames]:
    """The frames of pixels. Raises `Unprocessable` where these are not what they are said to be."""
    if not 0 < shape.frames <= _MAX_FRAMES or shape.bits <= 0:
        raise Unprocessable("The instance does not tell how large its frames are.")
    if pixels.length is not None:
        needed = (shape.bits * shape.frames + 7) // 8
        if needed > pixels.length:
            raise Unprocessable("The instance has fewer pixels than its attributes say.")
        return Frames(
            shape.frames,
            transfer_syntax,
            shape,
            native_start=pixels.value,
            in_words=pixels.vr == "OW",
        )
    starts, end = yield from _encapsulated(pixels, shape)
    return Frames(shape.frames, transfer_syntax, shape, starts=starts, end=end)


def _encapsulated(
    pixels: Pixels, shape: Shape
) -> Generator[Piece, bytes, tuple[Sequence[int], int]]:
    """The starts of all frames, and the end of the last."""
    head = yield Piece(pixels.value, 8)
    tag, length = _item(head)
    if tag != ITEM:
        raise _broken()
    first = pixels.value + 8 + length
    starts = yield from _extended(pixels, first, shape.frames)
    if starts is None and length == 4 * shape.frames and shape.frames > 1:
        table = yield Piece(pixels.value + 8, length)
        starts = _offsets("I", table, first, shape.frames)
    if starts is None:
        return (yield from _scanned(first, shape.frames))
    end = yield from _end_from(starts[-1])
    return starts, end


def _extended(
    pixels: Pixels, first: int, count: int
) -> Generator[Piece, bytes, Sequence[int] | None]:
    """The Extended Offset Table, which stands before the pixels, followed by that of lengths."""
    size = _TABLE_HEAD + 8 * count
    for place in (pixels.element - 2 * size, pixels.element - size):
        if count == 1 or place < 0:
            return None
        head = yield Piece(place, _TABLE_HEAD)
        if head == b"\xe0\x7f\x01\x00OV\0\0" + (8 * count).to_bytes(4, "little"):
            table = yield Piece(place + _TABLE_HEAD, 8 * count)
            return _offsets("Q", table, first, count)
    return None


def _offsets(code: str, table: bytes, first: int, count: int) -> Sequence[int] | None:
    """Absolute offsets of a table; None for one that is none."""
    if len(table) != count * array(code).itemsize:
        return None
    found = array("Q", (first + offset for offset in array(code, table)))
    if found[0] != first or any(a >= b for a, b in pairwise(found)):
        return None
    return found


def _end_from(position: int) -> Generator[Piece, bytes, int]:
    """Where the sequence ends whose items go on from there."""
    while True:
        tag, length = _item((yield Piece(position, 8)))
        if tag == END_OF_SEQUENCE or tag is None:
            return position
        if tag != ITEM:
            raise _broken()
        position += 8 + length


def _scanned(first: int, count: int) -> Generator[Piece, bytes, tuple[Sequence[int], int]]:
    """The starts of frames found by going from fragment to fragment."""
    fragments, begins = array("Q"), array("B")
    position, window, base, length = first, b"", first, 0
    while True:
        offset = position - base
        if offset + 10 > len(window):
            window = yield Piece(position, _SMALL if length < _SMALL else 10)
            base, offset = position, 0
        tag, length = _item(window[offset : offset + 8])
        if tag == END_OF_SEQUENCE or tag is None:
            break
        if tag != ITEM or len(fragments) >= _MAX_FRAGMENTS:
            raise _broken()
        fragments.append(position)
        begins.append(window[offset + 8 : offset + 10] in _JPEG_STARTS)
        position += 8 + length
    if count == 1 and fragments:
        return fragments[:1], position
    if len(fragments) == count:
        return fragments, position
    found = array(
        "Q", (start for start, is_first in zip(fragments, begins, strict=True) if is_first)
    )
    if len(found) != count:
        raise Unprocessable("It cannot be told which fragments belong to which frame.")
    return found, position


def unwrapped(data: bytes) -> bytes:
    """The compressed frame of a span: what is in its items, one after the other."""
    fragments = []
    position = 0
    while position + 8 <= len(data):
        tag, length = _item(data[position : position + 8])
        if tag != ITEM:
            break
        fragments.append(data[position + 8 : position + 8 + length])
        position += 8 + length
    return fragments[0] if len(fragments) == 1 else b"".join(fragments)


def _item(head: bytes) -> tuple[int | None, int]:
    if len(head) < 8:
        return None, 0
    group, element = int.from_bytes(head[:2], "little"), int.from_bytes(head[2:4], "little")
    return group << 16 | element, int.from_bytes(head[4:8], "little")


def _broken() -> Unprocessable:
    return Unprocessable("The compressed pixels of the instance cannot be taken apart.")
