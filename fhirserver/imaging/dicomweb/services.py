"""What is done for each kind of resource of DICOMweb."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final

from fhirserver.archive.port import Source
from fhirserver.archive.query import Found, Removal, Retrieved, Wanted
from fhirserver.blobs.port import Blobs
from fhirserver.imaging.dicomweb.accept import (
    DICOM,
    DICOM_XML,
    ZIP,
    in_xml,
    wanted,
)
from fhirserver.imaging.dicomweb.accept import Wanted as Range
from fhirserver.imaging.dicomweb.asked import Asked
from fhirserver.imaging.dicomweb.body import body_pieces
from fhirserver.imaging.dicomweb.byte_range import ACCEPTED, byte_range, content_range
from fhirserver.imaging.dicomweb.choice import instances_as
from fhirserver.imaging.dicomweb.frames import FrameSender, bulk_datum, is_pixels
from fhirserver.imaging.dicomweb.images import Images
from fhirserver.imaging.dicomweb.metadata import as_json, as_xml, etag
from fhirserver.imaging.dicomweb.multipart_writer import MultipartWriter
from fhirserver.imaging.dicomweb.native_xml import native_xml
from fhirserver.imaging.dicomweb.objects import Objects, in_parts, single
from fhirserver.imaging.dicomweb.query import asked as question_of
from fhirserver.imaging.dicomweb.rendered import Renderer, wish_of
from fhirserver.imaging.dicomweb.response import Streamed
from fhirserver.imaging.dicomweb.search import matches
from fhirserver.imaging.dicomweb.store import Storing
from fhirserver.imaging.dicomweb.wado_uri import uri_request
from fhirserver.imaging.dicomweb.zipped import in_zip
from fhirserver.imaging.rendering.processes import Processes
from fhirserver.imaging.rendering.wish import Wish
from fhirserver.interactions.request import Answer, Request
from fhirserver.rest.application import Edge
from fhirserver.rest.asgi import HeaderList, Receive
from fhirserver.rest.content_coding import gzip, takes_gzip
from fhirserver.rest.reply import Reply

_JSON: Final = b"application/dicom+json"
_SERVICE: Final = "299 fhirserver"

Body = Reply | Streamed


class Services:
    """The transactions of one tenant."""

    def __init__(
        self,
        dispatch: Callable[[Request], Awaitable[Answer]],
        blobs: Blobs,
        processes: Processes,
        now: Callable[[], int],
        edge: Edge,
        store_limit: int,
    ) -> None:
        self._dispatch = dispatch
        self._blobs = blobs
        self._now = now
        self._edge = edge
        self._store_limit = store_limit
        self._processes = processes
        images = Images(blobs)
        self._images = images
        self._objects = Objects(images, processes)
        self._frames = FrameSender(images, processes)
        self._renderer = Renderer(images, processes)

    async def answer(self, asked: Asked, receive: Receive) -> Body:
        """What goes back. Raises the `FhirError` of whatever is wrong with the request."""
        if asked.method == "POST":
            return await self._store(asked, receive)
        if asked.method == "DELETE":
            return await self._delete(asked)
        target = asked.target
        if target.resource == "uri":
            return await self._by_uri(asked)
        if target.resource == "search":
            return await self._search(asked)
        return await self._retrieve(asked)

    # --- storing, deleting, searching --------------------------------------------------------

    async def _store(self, asked: Asked, receive: Receive) -> Reply:
        xml, type = in_xml(wanted(asked.accept))
        storing = Storing(
            self._dispatch,
            asked.to_gate,
            self._blobs,
            self._now,
            Source(address=asked.origin.address),
            asked.target.study,
            self._processes,
        )
        pieces = body_pieces(receive, asked.headers, self._store_limit, self._edge.body.seconds)
        outcomes = await storing.take(pieces, asked.headers.get(b"content-type"))
        body = outcomes.dataset(asked.base)
        if xml:
            return Reply(outcomes.status, [(b"content-type", DICOM_XML.encode())], native_xml(body))
        return Reply(outcomes.status, [(b"content-type", type.encode("ascii"))], body)

    async def _delete(self, asked: Asked) -> Reply:
        target = asked.target
        assert target.study is not None
        request = asked.to_gate("dicom-delete", target.study)
        request.imaging = Removal(target.study, target.series, target.instance)
        await self._dispatch(request)
        return Reply(204, [])

    async def _search(self, asked: Asked) -> Body:
        xml, type = in_xml(wanted(asked.accept))
        query = question_of(asked.target, asked.parameters)
        request = asked.to_gate("dicom-query", asked.target.study, asked.parameters)
        request.imaging = query.question
        found = (await self._dispatch(request)).imaging
        assert isinstance(found, Found)
        warnings = [f"These parameters are not supported: {', '.join(query.ignored)}"]
        warnings = warnings if query.ignored else []
        if found.next is not None:
            warnings.append("There are additional results that can be requested")
        headers = [_warning(asked, text) for text in warnings]
        objects = matches(list(found.rows), asked.target, query.included, asked.base)
        if xml:
            writer = MultipartWriter(_boundary(), DICOM_XML)
            head = writer.head(DICOM_XML)
            parts = b"".join(head + native_xml(one) for one in objects) + writer.end
            return Reply(200, [*headers, (b"content-type", writer.content_type)], parts)
        headers.append((b"content-type", type.encode("ascii")))
        body = b"[" + b",".join(objects) + b"]"
        return await self._packed(asked, Reply(200, headers, body))

    # --- retrieving ---------------------------------------------------------------------------

    async def _retrieve(self, asked: Asked) -> Body:
        target = asked.target
        ranges = wanted(asked.accept)
        if target.resource == "objects":
            choice = instances_as(ranges, is_one=target.level == "instance")
        elif target.resource == "metadata":
            in_xml(ranges)
        retrieved = await self._retrieved(
            asked,
            Wanted(
                target.study,
                (target.series,) if target.series else (),
                (target.instance,) if target.instance else (),
            ),
        )
        if target.resource == "objects":
            if choice.type == ZIP:
                return await in_zip(self._objects, retrieved, choice, target.uid)
            if not choice.in_parts:
                return await self._file(asked, retrieved, ranges)
            return await in_parts(self._objects, retrieved, choice, _boundary(), asked.base)
        if target.resource == "metadata":
            return await self._metadata(asked, retrieved, ranges)
        if target.resource == "bulkdata":
            return await self._bulk(asked, retrieved, ranges)
        if target.resource == "frames":
            assert target.frames is not None
            return await self._frames.send(retrieved, target.frames, ranges, _boundary())
        return await self._picture(asked, retrieved, ranges)

    async def _retrieved(self, asked: Asked, what: Wanted) -> Retrieved:
        request = asked.to_gate("dicom-retrieve", what.study)
        request.imaging = what
        found = (await self._dispatch(request)).imaging
        assert isinstance(found, Retrieved)
        return found

    async def _file(self, asked: Asked, retrieved: Retrieved, ranges: Sequence[Range]) -> Streamed:
        """One instance by itself, or a part of it."""
        choice = instances_as(ranges, is_one=True)
        held = retrieved.instances[0]
        if choice.transfer_syntax not in (None, held.transfer_syntax):
            return await single(self._objects, retrieved, choice)
        content_type = f"{DICOM}; transfer-syntax={held.transfer_syntax}".encode("ascii")
        headers: HeaderList = [(b"content-type", content_type), ACCEPTED]
        part = byte_range(asked.headers.get(b"range"), held.size)
        if part is None:
            return Streamed(200, headers, self._images.pieces(held), held.size)
        headers.append(content_range(*part, held.size))
        return Streamed(206, headers, self._images.part(held, *part), part[1] - part[0])

    async def _metadata(self, asked: Asked, retrieved: Retrieved, ranges: Sequence[Range]) -> Body:
        xml, type = in_xml(ranges)
        tag = etag(retrieved, type, asked.base)
        if _matches(asked, tag):
            return Reply(304, [(b"etag", tag)])
        headers: HeaderList = [(b"etag", tag), (b"vary", b"accept, accept-encoding")]
        if xml:
            writer = MultipartWriter(_boundary(), DICOM_XML)
            headers.append((b"content-type", writer.content_type))
            return Streamed(200, headers, as_xml(retrieved, asked.base, writer))
        headers.append((b"content-type", type.encode("ascii")))
        pieces = as_json(retrieved, asked.base)
        first = await anext(pieces)
        second = await anext(pieces, None)
        if second is None:
            return await self._packed(asked, Reply(200, headers, first))
        return Streamed(200, headers, _behind(first + second, pieces))

    async def _bulk(self, asked: Asked, retrieved: Retrieved, ranges: Sequence[Range]) -> Streamed:
        path = asked.target.path
        if is_pixels(path, retrieved.instances[0]):
            return await self._frames.send(retrieved, (), ranges, _boundary())
        return await bulk_datum(
            self._images, retrieved, path, ranges, _boundary(), asked.headers.get(b"range")
        )

    async def _picture(self, asked: Asked, retrieved: Retrieved, ranges: Sequence[Range]) -> Body:
        target = asked.target
        small = target.resource == "thumbnail"
        wish, ignored = wish_of(asked.parameters, Wish(quality=80 if small else 90))
        warnings = (
            [_warning(asked, f"These parameters are not supported: {', '.join(ignored)}")]
            if ignored
            else []
        )
        if small:
            frame = target.frames[0] if target.frames else 1
            body, type, tag = await self._renderer.thumbnail(retrieved, frame, ranges, wish)
            headers = [*warnings, (b"etag", tag), (b"content-type", type)]
            if _matches(asked, tag):
                return Reply(304, headers[:-1])
            return Reply(200, headers, body, compressible=False)
        reply = await self._renderer.rendered(retrieved, target.frames, ranges, wish, _boundary())
        reply.headers.extend(warnings)
        return reply

    async def _by_uri(self, asked: Asked) -> Body:
        what, inner = uri_request(asked)
        retrieved = await self._retrieved(asked, what)
        if inner.target.resource == "objects":
            return await self._file(inner, retrieved, wanted(inner.accept))
        return await self._picture(inner, retrieved, wanted(inner.accept))

    async def _packed(self, asked: Asked, reply: Reply) -> Reply:
        """The reply compressed, for those who take it so."""
        coding = asked.headers.get(b"accept-encoding")
        if coding is None or len(reply.body) < self._edge.gzip_over or not takes_gzip(coding):
            return reply
        lines = [*reply.headers, (b"content-encoding", b"gzip")]
        return Reply(reply.status, lines, await gzip(reply.body))


def _boundary() -> str:
    """One that no content has: 128 random bits."""
    return secrets.token_hex(16)


def _warning(asked: Asked, text: str) -> tuple[bytes, bytes]:
    return b"warning", f'{_SERVICE} "{text}"'.encode("ascii")


def _matches(asked: Asked, tag: bytes) -> bool:
    given = asked.headers.get(b"if-none-match", b"")
    return any(one.strip().removeprefix(b"W/") in (tag, b"*") for one in given.split(b","))


async def _behind(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece
