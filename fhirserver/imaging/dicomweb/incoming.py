"""An instance as it arrives: its header is read, then all of it goes to the blob store."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from fhirserver.blobs.port import Blobs, Writing
from fhirserver.dicom.header import Header, read_header
from fhirserver.dicom.identity import Identity, identity_of
from fhirserver.dicom.part10 import FileMeta, read_file_meta, written_file_meta
from fhirserver.dicom.unreadable import NeedMore, Unreadable
from fhirserver.operations.imaging.store import Received

_MAX_HEADER: Final = 64 * 1024 * 1024  # bytes before the pixels
_FIRST: Final = 16 * 1024  # bytes with which it is worth to begin to read

Admit = Callable[[Identity], Awaitable[None]]
"""Asked when it is known what arrives, before anything is written; raises a refusal."""


class Incoming:
    """One instance. `write` takes what arrives, `finish` says that this was all.

    The blob has file meta information of our own (`part10.written_file_meta`). Both methods
    raise `Unreadable` for what is no DICOM file, and what `admit` raises.
    """

    def __init__(self, blobs: Blobs, admit: Admit) -> None:
        self._blobs = blobs
        self._admit = admit
        self._head = bytearray()
        self._needed = _FIRST
        self._known: tuple[FileMeta, Header, Identity, int] | None = None
        self._blob: Writing | None = None
        self.identity: Identity | None = None
        """What it is, as soon as that is known."""

    @property
    def waiting(self) -> int:
        """How many bytes are in memory."""
        return len(self._head) + (self._blob.waiting if self._blob is not None else 0)

    async def write(self, data: bytes) -> None:
        """Some bytes of the file."""
        if self._blob is not None:
            await self._blob.write(data)
            return
        self._head += data
        if len(self._head) >= self._needed:
            await self._begin(whole=False)

    async def finish(self, received: int) -> Received:
        """The instance, whose blob is durable then. `received`: when, in microseconds."""
        if self._blob is None:
            await self._begin(whole=True)
        assert self._blob is not None and self._known is not None
        meta, header, identity, start = self._known
        pixels = header.pixels
        if pixels is not None and pixels.start + (pixels.length or 0) > self._blob.size - start:
            raise Unreadable("The data set ends before its pixel data do.")
        stored = await self._blob.commit()
        return Received(stored, header, identity, meta.transfer_syntax, start, received)

    async def abort(self) -> None:
        """Gives up; may be called at any time, also after `finish`."""
        if self._blob is not None:
            await self._blob.abort()

    async def _begin(self, *, whole: bool) -> None:
        try:
            meta = read_file_meta(self._head, whole=whole)
            header = read_header(self._head, meta.transfer_syntax, whole=whole, start=meta.start)
        except NeedMore as more:
            if whole or more.size > _MAX_HEADER:
                raise Unreadable(
                    "The instance ends in the middle, or its header does not."
                ) from None
            # By doubling, so that a long header is not read again for each piece of it.
            self._needed = max(more.size, 2 * len(self._head))
            return
        self.identity = identity = identity_of(header)
        await self._admit(identity)
        front = written_file_meta(identity.sop_class, identity.instance, meta.transfer_syntax)
        self._known = (meta, header, identity, len(front))
        self._blob = await self._blobs.writing().__aenter__()
        await self._blob.write(front)
        await self._blob.write(memoryview(self._head)[meta.start :])
        self._head = bytearray()
