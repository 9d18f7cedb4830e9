"""Instances as they are or transcoded, as one file or in parts (PS3.18, 10.4 and 8.6.1.2)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final, NamedTuple

from fhirserver.archive.port import Held
from fhirserver.archive.query import Retrieved
from fhirserver.dicom.pixels import decoded_pixels
from fhirserver.dicom.transfer_syntax import EXPLICIT_LITTLE
from fhirserver.errors import FhirError, NotAcceptable
from fhirserver.imaging.dicomweb.accept import DICOM
from fhirserver.imaging.dicomweb.choice import Choice, is_made
from fhirserver.imaging.dicomweb.images import Images
from fhirserver.imaging.dicomweb.multipart_writer import MultipartWriter
from fhirserver.imaging.dicomweb.response import Streamed
from fhirserver.imaging.rendering.frames import Frames
from fhirserver.imaging.rendering.processes import Processes
from fhirserver.imaging.rendering.transcode import (
    COMPRESSED,
    MAX_WHOLE,
    compressed_frame,
    header_in,
    native_frame,
    whole,
)

_ITEM: Final = b"\xfe\xff\x00\xe0"
_END: Final = b"\xfe\xff\xdd\xe0\0\0\0\0"


class File(NamedTuple):
    """An instance to be sent: its pieces, and their length together as far as it is known."""

    transfer_syntax: str
    length: int | None
    pieces: AsyncIterator[bytes]


class Objects:
    """Sends instances; what has to be transcoded is so in `processes`."""

    def __init__(self, images: Images, processes: Processes) -> None:
        self._images = images
        self._processes = processes

    async def file(self, held: Held, retrieved: Retrieved, choice: Choice) -> File:
        """An instance as chosen. Raises `NotAcceptable` where it cannot be had so."""
        stored, target = held.transfer_syntax, choice.transfer_syntax
        if target is None or target == stored:
            return File(stored, held.size, self._images.pieces(held))
        if not is_made(choice, stored):
            raise _not_so(stored)
        try:
            return await self._transcoded(held, retrieved, target)
        except FhirError as error:
            if error.status in (404, 503):
                raise
            raise _not_so(stored) from error

    async def _transcoded(self, held: Held, retrieved: Retrieved, target: str) -> File:
        if decoded_pixels(held.frames) is None:
            target = EXPLICIT_LITTLE if target in COMPRESSED else target
            data = await self._images.whole(held, MAX_WHOLE)
            made = await self._processes.run(whole, data, held.transfer_syntax, target)
            return File(target, len(made), _once(made))
        located = await self._images.frames(held, retrieved)
        header = await self._images.header(held)
        first = await self._images.frame(held, located, 1)
        head = await self._processes.run(
            header_in, header, first, located.is_encapsulated, target, located.count
        )
        if target in COMPRESSED:
            return File(target, None, self._compressed(held, located, header, head, target))
        length = len(head) + int.from_bytes(head[-4:], "little")
        return File(target, length, self._native(held, located, header, head))

    async def _native(
        self, held: Held, located: Frames, header: bytes, head: bytes
    ) -> AsyncIterator[bytes]:
        yield head
        length = int.from_bytes(head[-4:], "little")
        if not located.is_encapsulated and located.is_in_place:
            start = located.native_start
            end = start + (located.shape.bits * located.count + 7) // 8
            async for piece in self._images.part(held, start, end):
                yield piece
            length -= end - start
        else:
            for number in range(1, located.count + 1):
                frame = await self._images.frame(held, located, number)
                if located.is_encapsulated:
                    frame = await self._processes.run(native_frame, header, frame, number, True)
                yield frame
                length -= len(frame)
        if length > 0:
            yield bytes(length)

    async def _compressed(
        self, held: Held, located: Frames, header: bytes, head: bytes, target: str
    ) -> AsyncIterator[bytes]:
        yield head
        for number in range(1, located.count + 1):
            frame = await self._images.frame(held, located, number)
            made = await self._processes.run(
                compressed_frame, header, frame, number, located.is_encapsulated, target
            )
            made += bytes(len(made) % 2)
            yield _ITEM + len(made).to_bytes(4, "little") + made
        yield _END


async def single(objects: Objects, retrieved: Retrieved, choice: Choice) -> Streamed:
    """One instance as a file."""
    held = retrieved.instances[0]
    file = await objects.file(held, retrieved, choice)
    content_type = f"{DICOM}; transfer-syntax={file.transfer_syntax}".encode("ascii")
    return Streamed(200, [(b"content-type", content_type)], file.pieces, file.length)


async def in_parts(
    objects: Objects, retrieved: Retrieved, choice: Choice, boundary: str, base: str
) -> Streamed:
    """Instances in parts. That the first can be had as chosen is known before the answer begins."""
    writer = MultipartWriter(boundary, DICOM)
    first = await objects.file(retrieved.instances[0], retrieved, choice)
    check_all(retrieved, choice)
    heads = [_head(writer, held, choice, base) for held in retrieved.instances]
    length = None
    if all(choice.transfer_syntax in (None, one.transfer_syntax) for one in retrieved.instances):
        length = sum(len(head) for head in heads) + len(writer.end)
        length += sum(held.size for held in retrieved.instances)

    async def pieces() -> AsyncIterator[bytes]:
        for index, (held, head) in enumerate(zip(retrieved.instances, heads, strict=True)):
            file = first if index == 0 else await objects.file(held, retrieved, choice)
            begun = False
            async for piece in file.pieces:
                # Together: a small write of its own would wait for the client (Nagle).
                yield piece if begun else head + piece
                begun = True
        yield writer.end

    return Streamed(200, [(b"content-type", writer.content_type)], pieces(), length)


def check_all(retrieved: Retrieved, choice: Choice) -> None:
    """Raises `NotAcceptable` where one of the instances cannot be had as chosen."""
    for held in retrieved.instances:
        if not is_made(choice, held.transfer_syntax):
            raise _not_so(held.transfer_syntax)


def _head(writer: MultipartWriter, held: Held, choice: Choice, base: str) -> bytes:
    syntax = choice.transfer_syntax or held.transfer_syntax
    if syntax in COMPRESSED and syntax != held.transfer_syntax and held.frames is None:
        syntax = EXPLICIT_LITTLE
    location = f"{base}/studies/{held.study}/series/{held.series}/instances/{held.instance}"
    return writer.head(f"{DICOM}; transfer-syntax={syntax}", location=location)


def _not_so(stored: str) -> NotAcceptable:
    return NotAcceptable(
        f"The instance is stored in transfer syntax {stored} and cannot be had in the one asked "
        "for: ask with transfer-syntax=*."
    )


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
