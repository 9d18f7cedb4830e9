"""Frames of an instance (PS3.18, 10.4.1.1.5), and its bulk data (10.4.1.1.4)."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

from fhirserver.archive.port import Held
from fhirserver.archive.query import Retrieved
from fhirserver.dicom.header import read_header
from fhirserver.dicom.part10 import read_file_meta
from fhirserver.dicom.pixels import decoded_pixels
from fhirserver.dicom.reader import Place
from fhirserver.dicom.transfer_syntax import EXPLICIT_LITTLE
from fhirserver.errors import NotAcceptable, NotFound
from fhirserver.imaging.dicomweb.accept import OCTETS, Wanted
from fhirserver.imaging.dicomweb.byte_range import ACCEPTED, byte_range, content_range
from fhirserver.imaging.dicomweb.choice import Choice, frames_as
from fhirserver.imaging.dicomweb.images import Images
from fhirserver.imaging.dicomweb.multipart_writer import MultipartWriter
from fhirserver.imaging.dicomweb.response import Streamed
from fhirserver.imaging.rendering.frames import Frames
from fhirserver.imaging.rendering.processes import Processes
from fhirserver.imaging.rendering.transcode import COMPRESSED, compressed_frame, native_frame
from fhirserver.rest.asgi import HeaderList

_MAX_HEADER: Final = 64 * 1024 * 1024
_SMALL: Final = 64 * 1024  # bytes that are better copied than sent by themselves
_PIXELS: Final = frozenset({"7FE00008", "7FE00009", "7FE00010"})


class FrameSender:
    """Sends frames; what has to be transcoded is so in `processes`."""

    def __init__(self, images: Images, processes: Processes) -> None:
        self._images = images
        self._processes = processes

    async def send(
        self,
        retrieved: Retrieved,
        numbers: Sequence[int],
        ranges: Sequence[Wanted],
        boundary: str,
    ) -> Streamed:
        """The frames of the one instance that was retrieved, all of them where `numbers` is empty.

        Raises `NotFound` for a number that there is not, `NotAcceptable`.
        """
        held = retrieved.instances[0]
        located = await self._images.frames(held, retrieved)
        numbers = numbers or range(1, located.count + 1)
        for number in numbers:
            located.span(number)
        choice = frames_as(ranges, held.transfer_syntax, is_one=len(numbers) == 1)
        syntax = choice.transfer_syntax or held.transfer_syntax
        content_type = f"{choice.type}; transfer-syntax={syntax}"
        first = await self._frame(held, located, numbers[0], choice)
        if not choice.in_parts:
            headers: HeaderList = [(b"content-type", content_type.encode("ascii"))]
            return Streamed(200, headers, _once(first), len(first))
        writer = MultipartWriter(boundary, choice.type)
        head = writer.head(content_type)
        headers = [(b"content-type", writer.content_type)]
        if len(numbers) == 1:
            body = b"".join((head, first, writer.end))
            return Streamed(200, headers, _once(body), len(body))
        pieces = self._parts(held, located, numbers, choice, head, first, writer.end)
        return Streamed(200, headers, pieces)

    async def _parts(
        self,
        held: Held,
        located: Frames,
        numbers: Sequence[int],
        choice: Choice,
        head: bytes,
        first: bytes,
        end: bytes,
    ) -> AsyncIterator[bytes]:
        for number in numbers:
            frame = first if number == numbers[0] else None
            if frame is None:
                frame = await self._frame(held, located, number, choice)
            if len(frame) < _SMALL:
                yield head + frame
                continue
            yield head
            yield frame
        yield end

    async def _frame(self, held: Held, located: Frames, number: int, choice: Choice) -> bytes:
        frame = await self._images.frame(held, located, number)
        target = choice.transfer_syntax
        if target in COMPRESSED and target != held.transfer_syntax:
            header = await self._images.header(held)
            return await self._processes.run(
                compressed_frame, header, frame, number, located.is_encapsulated, target
            )
        if target is not None and located.is_encapsulated:
            header = await self._images.header(held)
            return await self._processes.run(native_frame, header, frame, number, True)
        return frame


async def bulk_datum(
    images: Images,
    retrieved: Retrieved,
    path: str,
    ranges: Sequence[Wanted],
    boundary: str,
    range_header: bytes | None,
) -> Streamed:
    """The value of an attribute that metadata names by its address, other than compressed pixels.

    Raises `NotFound` where there is none, `NotAcceptable`, `NotInRange`.
    """
    held = retrieved.instances[0]
    in_parts = _takes_octets(ranges)
    start, end, value = await _place(images, held, path)
    size = end - start
    if in_parts:
        writer = MultipartWriter(boundary, OCTETS)
        head = writer.head(f"{OCTETS}; transfer-syntax={EXPLICIT_LITTLE}")
        whole = len(head) + size + len(writer.end)

        async def parts() -> AsyncIterator[bytes]:
            yield head
            async for piece in _pieces(images, held, start, end, value):
                yield piece
            yield writer.end

        return Streamed(200, [(b"content-type", writer.content_type)], parts(), whole)
    headers: HeaderList = [(b"content-type", OCTETS.encode("ascii")), ACCEPTED]
    part = byte_range(range_header, size)
    if part is None:
        return Streamed(200, headers, _pieces(images, held, start, end, value), size)
    low, high = part
    headers.append(content_range(low, high, size))
    pieces = _pieces(images, held, start + low, start + high, value)
    return Streamed(206, headers, pieces, high - low)


def is_pixels(path: str, held: Held) -> bool:
    """Whether the address is that of compressed pixels, which go out as frames."""
    pixels = decoded_pixels(held.frames)
    return path in _PIXELS and pixels is not None and pixels.length is None


def _takes_octets(ranges: Sequence[Wanted]) -> bool:
    for one in ranges:
        if one.takes(OCTETS):
            return one.in_parts is not False
    raise NotAcceptable(f"Bulk data are to be had as {OCTETS}, in multipart/related or not.")


async def _place(images: Images, held: Held, path: str) -> tuple[int, int, bytes | None]:
    """Where the value is in the file; or the value itself, at its own offsets."""
    pixels = decoded_pixels(held.frames)
    if path in _PIXELS and pixels is not None and pixels.length is not None:
        return pixels.value, pixels.value + pixels.length, None
    if pixels is None:
        data = await images.whole(held, _MAX_HEADER)
    else:
        data = await images.header(held)
    meta = read_file_meta(data)
    header = read_header(data, meta.transfer_syntax, start=meta.start)
    place: Place | None = header.bulk.get(path)
    if place is not None and place.length is not None:
        start = meta.start + place.start
        return start, start + place.length, None
    value = _inline(header.dataset, path)
    return 0, len(value), value


def _inline(dataset: Mapping[str, Any], path: str) -> bytes:
    """A short binary value, which metadata have in them. Raises `NotFound`."""
    found: Any = dataset
    parts = path.split("/")
    try:
        for index, part in enumerate(parts):
            found = found[part] if index % 2 == 0 else found["Value"][int(part) - 1]
        return b64decode(found["InlineBinary"])
    except (KeyError, IndexError, TypeError, ValueError):
        raise NotFound("The instance has no such bulk data.") from None


async def _pieces(
    images: Images, held: Held, start: int, end: int, value: bytes | None
) -> AsyncIterator[bytes]:
    if value is not None:
        yield value[start:end]
        return
    async for piece in images.part(held, start, end):
        yield piece


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
