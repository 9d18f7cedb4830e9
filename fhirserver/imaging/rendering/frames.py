"""Where each frame of an instance is (PS3.5, A.4 and 8.2; offset tables: PS3.3, C.7.6.3.1.8)."""

from __future__ import annotations

from array import array
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from fhirserver.errors import NotFound, Unprocessable
from fhirserver.imaging.rendering.layout import (
    BIG_ENDIAN,
    END_OF_SEQUENCE,
    ITEM,
    Piece,
    Pixels,
)

_MAX_FRAMES: Final = 10_000_000
_MAX_FRAGMENTS: Final = 10_000_000
_SMALL: Final = 64 * 1024
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

    @property
    def is_encapsulated(self) -> bool:
        """Whether the frames are compressed."""
        return bool(self.starts)

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
        if self.transfer_syntax == BIG_ENDIAN and self.shape.bits_allocated > 8:
            swapped = array({16: "H", 32: "I", 64: "Q"}[self.shape.bits_allocated], data)
            swapped.byteswap()
            return swapped.tobytes()
        return data


def frames(pixels: Pixels, shape: Shape) -> Generator[Piece, bytes, Frames]:
    """The frames of pixels. Raises `Unprocessable` where these are not what they are said to be."""
    if not 0 < shape.frames <= _MAX_FRAMES or shape.bits <= 0:
        raise Unprocessable("The instance does not tell how large its frames are.")
    if pixels.length is not None:
        needed = (shape.bits * shape.frames + 7) // 8
        if needed > pixels.length:
            raise Unprocessable("The instance has fewer pixels than its attributes say.")
        return Frames(shape.frames, pixels.transfer_syntax, shape, native_start=pixels.value)
    return (yield from _encapsulated(pixels, shape))


def _encapsulated(pixels: Pixels, shape: Shape) -> Generator[Piece, bytes, Frames]:
    head = yield Piece(pixels.value, 8)
    tag, length = _item(head)
    if tag != ITEM:
        raise _broken()
    first = pixels.value + 8 + length
    starts: Sequence[int] | None = None
    if pixels.extended is not None and pixels.extended[1] == 8 * shape.frames:
        table = yield Piece(*pixels.extended)
        starts = _offsets("Q", table, first, shape.frames)
    elif length == 4 * shape.frames and shape.frames > 1:
        table = yield Piece(pixels.value + 8, length)
        starts = _offsets("I", table, first, shape.frames)
    if starts is not None:
        end = yield from _end_from(starts[-1])
        return Frames(shape.frames, pixels.transfer_syntax, shape, starts=starts, end=end)
    starts, end = yield from _scanned(first, shape.frames)
    return Frames(shape.frames, pixels.transfer_syntax, shape, starts=starts, end=end)


def _offsets(code: str, table: bytes, first: int, count: int) -> Sequence[int] | None:
    """Absolute offsets of a table; None for one that is none."""
    if len(table) != count * array(code).itemsize:
        return None
    found = array("Q", (first + offset for offset in array(code, table)))
    if found[0] != first or any(a >= b for a, b in zip(found, found[1:], strict=False)):
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
    found = array("Q", (start for start, is_first in zip(fragments, begins, strict=True) if is_first))
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
