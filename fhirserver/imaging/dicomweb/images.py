"""The pixels of instances in the blob store: headers, frames, and where these are."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator
from typing import Final

import msgspec

from fhirserver.archive.port import Held
from fhirserver.archive.query import Retrieved
from fhirserver.blobs.port import Blobs
from fhirserver.dicom.pixels import Pixels, decoded_pixels
from fhirserver.errors import NotFound, TooLarge
from fhirserver.imaging.rendering.frames import Frames, Shape, frames, unwrapped

SMALL: Final = 1024 * 1024
"""Bytes that are read at once; more, in pieces."""

_MAX_HEADER: Final = 64 * 1024 * 1024
_MAX_FRAME: Final = 512 * 1024 * 1024
_CACHED: Final = 4_000_000  # offsets that are remembered, of all instances


class _Attribute(msgspec.Struct):
    Value: list[int | float | str | None] = []


class _Image(msgspec.Struct):
    """The attributes of a DICOM JSON object that tell how large its frames are."""

    samples: _Attribute | None = msgspec.field(default=None, name="00280002")
    photometric: _Attribute | None = msgspec.field(default=None, name="00280004")
    frames: _Attribute | None = msgspec.field(default=None, name="00280008")
    rows: _Attribute | None = msgspec.field(default=None, name="00280010")
    columns: _Attribute | None = msgspec.field(default=None, name="00280011")
    bits_allocated: _Attribute | None = msgspec.field(default=None, name="00280100")


_DECODER: Final = msgspec.json.Decoder(_Image)


class Images:
    """Reads instances of one tenant's blobs; remembers where their frames are."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._known: OrderedDict[str, Frames] = OrderedDict()
        self._size = 0

    def pieces(self, held: Held) -> AsyncIterator[bytes]:
        """The whole file, in pieces."""
        return self.part(held, 0, held.size)

    async def part(self, held: Held, start: int, end: int) -> AsyncIterator[bytes]:
        """A part of the file, in pieces."""
        if end - start <= SMALL:
            yield await self._blobs.get(held.blob, start, end)
            return
        async for piece in self._blobs.read(held.blob, start, end):
            yield piece

    async def whole(self, held: Held, limit: int) -> bytes:
        """The whole file at once. Raises `TooLarge`."""
        if held.size > limit:
            raise TooLarge("The instance is larger than what is transcoded here.")
        return await self._blobs.get(held.blob)

    async def header(self, held: Held) -> bytes:
        """The file up to its pixels. Raises `TooLarge`, `NotFound` where it has none."""
        pixels = pixels_of(held)
        if pixels.element > _MAX_HEADER:
            raise TooLarge("The header of the instance is larger than what is read here.")
        return await self._blobs.get(held.blob, 0, pixels.element)

    async def frames(self, held: Held, retrieved: Retrieved) -> Frames:
        """Where the frames are of one of the instances that were retrieved.

        Raises `NotFound` where it has no pixels, `Unprocessable` where they are not in order.
        """
        known = self._known.get(held.blob)
        if known is not None:
            self._known.move_to_end(held.blob)
            return known
        pixels = pixels_of(held)
        async for one, header in retrieved.headers():
            if one.instance == held.instance:
                found = await self._located(held, pixels, _shape(header))
                self._remember(held.blob, found)
                return found
        raise NotFound("There are no such instances.")

    async def frame(self, held: Held, located: Frames, number: int) -> bytes:
        """A frame: as it is compressed, or native in little-endian order.

        Raises `NotFound` for a number that there is not.
        """
        span = located.span(number)
        if span.length > _MAX_FRAME:
            raise TooLarge("The frame is larger than what is read here.")
        data = await self._blobs.get(held.blob, span.start, span.start + span.length)
        return unwrapped(data) if located.is_encapsulated else located.native(data, span)

    async def _located(self, held: Held, pixels: Pixels, shape: Shape) -> Frames:
        asking = frames(pixels, held.transfer_syntax, shape)
        try:
            piece = next(asking)
            while True:
                end = piece.start + piece.length
                piece = asking.send(await self._blobs.get(held.blob, piece.start, end))
        except StopIteration as stop:
            found: Frames = stop.value
            return found

    def _remember(self, digest: str, found: Frames) -> None:
        if digest in self._known:  # others looked at the same time
            return
        self._known[digest] = found
        self._size += len(found.starts) + 100
        while self._size > _CACHED:
            _, old = self._known.popitem(last=False)
            self._size -= len(old.starts) + 100


def pixels_of(held: Held) -> Pixels:
    """Where the pixels of an instance are. Raises `NotFound` where it has none to be found."""
    found = decoded_pixels(held.frames)
    if found is None:
        raise NotFound("The instance has no pixels.")
    return found


def _shape(header: bytes) -> Shape:
    image = _DECODER.decode(header)
    return Shape(
        rows=_number(image.rows, 0),
        columns=_number(image.columns, 0),
        samples=_number(image.samples, 1),
        bits_allocated=_number(image.bits_allocated, 0),
        frames=_number(image.frames, 1),
        photometric=str(image.photometric.Value[0])
        if image.photometric is not None and image.photometric.Value
        else "",
    )


def _number(attribute: _Attribute | None, usual: int) -> int:
    if attribute is None or not attribute.Value or attribute.Value[0] is None:
        return usual
    try:
        return int(attribute.Value[0])
    except ValueError:
        return usual
