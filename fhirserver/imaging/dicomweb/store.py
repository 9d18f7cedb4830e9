"""STOW-RS (PS3.18, 10.5): instances stored as they arrive, whatever their size and number.

Each instance stands for itself: one that cannot be read or may not be stored is told in the
answer, and the others are stored all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Final, TypeAlias

from fhirserver.archive.port import Source
from fhirserver.blobs.port import Blobs
from fhirserver.dicom.identity import Identity
from fhirserver.dicom.unreadable import Unreadable
from fhirserver.errors import (
    FhirError,
    Forbidden,
    Invalid,
    TooLarge,
    Unauthenticated,
    Unavailable,
    Unprocessable,
    UnsupportedMediaType,
)
from fhirserver.imaging.dicomweb.accept import (
    DICOM,
    DICOM_JSON,
    DICOM_XML,
    MULTIPART,
    ContentType,
    content_type,
)
from fhirserver.imaging.dicomweb.assembly import Assembly, BulkPart, DocumentPart
from fhirserver.imaging.dicomweb.incoming import Incoming
from fhirserver.imaging.dicomweb.multipart_reader import (
    Event,
    MultipartReader,
    PartBegins,
    PartData,
)
from fhirserver.imaging.dicomweb.store_response import (
    CANNOT_UNDERSTAND,
    DUPLICATE,
    NO_RESOURCES,
    OTHER_STUDY,
    PROCESSING_FAILURE,
    Outcomes,
)
from fhirserver.imaging.rendering.processes import Processes
from fhirserver.interactions.request import Answer, Request
from fhirserver.operations.imaging.store import Begin, Received, Transfer

_TAKEN: Final = (
    f"Send instances as {DICOM}, one alone or several in {MULTIPART}, "
    f"or their metadata as {DICOM_JSON} or {DICOM_XML} in {MULTIPART} with their bulk data."
)
_TYPES: Final = (DICOM, DICOM_JSON, DICOM_XML)
_TOGETHER: Final = 16  # instances whose blobs are made durable at the same time
_GATHERED: Final = 4 * 2**20  # bytes of them that are not written yet, at the most

MakeRequest = Callable[[str, str], Request]
"""A request to the gate: by the code of its row, and a Study Instance UID."""


class _OtherStudy(FhirError):
    status = 409


class Storing:
    """One request to store. `study` is that of the address, if it names one."""

    def __init__(
        self,
        dispatch: Callable[[Request], Awaitable[Answer]],
        make: MakeRequest,
        blobs: Blobs,
        now: Callable[[], int],
        source: Source,
        study: str | None,
        processes: Processes,
    ) -> None:
        self._processes = processes
        self._dispatch = dispatch
        self._make = make
        self._blobs = blobs
        self._now = now
        self._source = source
        self._study = study
        self._transfers: dict[str, Transfer] = {}
        self._finishing: list[asyncio.Task[None]] = []
        self._weight = 0
        self._beginning = asyncio.Lock()
        self.outcomes = Outcomes()

    async def take(self, body: AsyncIterator[bytes], header: bytes | None) -> Outcomes:
        """Stores what the body has; `header` is its Content-Type.

        Raises `UnsupportedMediaType`; `Invalid` where the body has nothing or is none of its
        media type; the gate's `Forbidden` and `Unauthenticated`. What was stored before is
        in the audit trail in any case.
        """
        kind = _kind(header)
        try:
            if self._study is not None:
                await self._begun(self._study)
            if kind.type == DICOM:
                await self._one(body)
            else:
                await self._parts(body, kind)
            await self._settled()
        finally:
            await self._finished()
            await self._end()
        outcomes = self.outcomes
        if not outcomes.stored and not outcomes.failed and not outcomes.unread:
            raise Invalid("The body has no instance.")
        return outcomes

    async def _one(self, body: AsyncIterator[bytes]) -> None:
        part = _Part(self)
        try:
            async for piece in body:
                await part.write(piece)
            await part.end()
        except BaseException:
            await part.abort()
            raise

    async def _parts(self, body: AsyncIterator[bytes], kind: ContentType) -> None:
        reader = MultipartReader(kind.parameters.get("boundary", ""))
        assembly: Assembly | None = None
        if kind.parameters.get("type", DICOM).lower() != DICOM:
            assembly = Assembly(self._processes, self._incoming, self.finish_later, self.fail)
        part: AnyPart | None = None
        try:
            async for piece in body:
                for event in reader.feed(piece):
                    if isinstance(event, PartBegins):
                        part = self._part(assembly, event.headers)
                    elif part is not None:
                        part = await _fed(part, event)
            reader.close()
            if assembly is not None:
                await assembly.end()
        except Invalid as error:
            if not self._transfers:
                raise
            # The good ones stay stored, so they have to be told of.
            self.fail(None, error)
        finally:
            if part is not None:
                await part.abort()
            if assembly is not None:
                await assembly.abort()

    def _part(self, assembly: Assembly | None, headers: Mapping[str, str]) -> AnyPart | None:
        if assembly is not None:
            return assembly.part(headers)
        return _Part(self, headers.get("content-type"))

    def _incoming(self) -> Incoming:
        return Incoming(self._blobs, self.admit)

    async def admit(self, identity: Identity) -> None:
        """Leave of the gate to add to the study. Raises what it raises."""
        if self._study is not None and identity.study != self._study:
            raise _OtherStudy("The instance is of another study than the address names.")
        await self._begun(identity.study)

    async def finish_later(self, incoming: Incoming) -> None:
        """Makes an instance durable while the next one arrives."""
        self._finishing.append(asyncio.create_task(self._finish(incoming)))
        self._weight += incoming.waiting
        if len(self._finishing) >= _TOGETHER or self._weight >= _GATHERED:
            await self._settled()

    async def _settled(self) -> None:
        self._weight = 0
        for outcome in await self._finished():
            if outcome is not None:
                raise outcome

    async def _finished(self) -> list[BaseException | None]:
        """What became of those being made durable; none is broken off when this is cancelled."""
        if self._finishing:
            await asyncio.wait(self._finishing)
        tasks, self._finishing = self._finishing, []
        return await asyncio.gather(*tasks, return_exceptions=True)

    async def _finish(self, incoming: Incoming) -> None:
        received = await self.durable(incoming)
        if received is None:
            return
        identity = received.identity
        outcome = (await self._transfers[identity.study].add([received]))[0]
        if outcome in ("new", "same", "replaced"):
            self.outcomes.stored.append(identity)
        elif outcome == "kept":
            self.outcomes.failed.append((identity, DUPLICATE))
        else:
            self.outcomes.failed.append((identity, NO_RESOURCES))

    async def durable(self, incoming: Incoming) -> Received | None:
        """The instance with its blob, None where it could not be read."""
        try:
            return await incoming.finish(self._now())
        except (Unreadable, _OtherStudy, Unavailable, TooLarge) as error:
            self.refuse(incoming, error)
            return None
        finally:
            await incoming.abort()

    def refuse(self, incoming: Incoming, error: FhirError) -> None:
        """Takes down that an instance was not stored."""
        self.fail(incoming.identity, error)

    def fail(self, identity: Identity | None, error: FhirError) -> None:
        """The same where it is known otherwise what it is, if it is. Raises the gate's refusals."""
        if isinstance(error, (Forbidden, Unauthenticated)):
            raise error
        reason = _REASONS.get(type(error), PROCESSING_FAILURE)
        if isinstance(error, (Unreadable, Unprocessable, Invalid)):
            reason = CANNOT_UNDERSTAND
        if identity is None:
            self.outcomes.unread.append(reason)
        else:
            self.outcomes.failed.append((identity, reason))

    @property
    def blobs(self) -> Blobs:
        return self._blobs

    async def _begun(self, study: str) -> None:
        async with self._beginning:
            if study in self._transfers:
                return
            request = self._make("dicom-begin", study)
            request.imaging = Begin(self._source)
            transfer = (await self._dispatch(request)).imaging
            assert isinstance(transfer, Transfer)
            self._transfers[study] = transfer

    async def _end(self) -> None:
        for study, transfer in self._transfers.items():
            request = self._make("dicom-store", study)
            request.imaging = transfer
            await self._dispatch(request)


_REASONS: Final[dict[type[FhirError], int]] = {
    _OtherStudy: OTHER_STUDY,
    Unavailable: NO_RESOURCES,
    TooLarge: NO_RESOURCES,
}


class _Part:
    """A part of the body. When it was refused, the rest of it is passed over."""

    def __init__(self, storing: Storing, content: str | None = DICOM) -> None:
        self._storing = storing
        self._incoming: Incoming | None = Incoming(storing.blobs, storing.admit)
        found = content_type((content or DICOM).encode("latin-1"))
        if found is None or found.type != DICOM:
            storing.refuse(self._incoming, Unreadable(_TAKEN))
            self._incoming = None

    async def write(self, data: bytes) -> None:
        if self._incoming is None:
            return
        try:
            await self._incoming.write(data)
        except (Unreadable, _OtherStudy, Unavailable) as error:
            self._storing.refuse(self._incoming, error)
            await self.abort()

    async def end(self) -> None:
        if self._incoming is not None:
            incoming, self._incoming = self._incoming, None
            await self._storing.finish_later(incoming)

    async def abort(self) -> None:
        if self._incoming is not None:
            incoming, self._incoming = self._incoming, None
            await incoming.abort()


AnyPart: TypeAlias = _Part | DocumentPart | BulkPart


async def _fed(part: AnyPart, event: Event) -> AnyPart | None:
    """The part, to be fed on; None where it ended."""
    if isinstance(event, PartData):
        await part.write(event.data)
        return part
    await part.end()
    return None


def _kind(header: bytes | None) -> ContentType:
    kind = content_type(header)
    if kind is None or kind.type not in (DICOM, MULTIPART):
        raise UnsupportedMediaType(_TAKEN)
    if kind.type == MULTIPART and kind.parameters.get("type", DICOM).lower() not in _TYPES:
        raise UnsupportedMediaType(_TAKEN)
    return kind
