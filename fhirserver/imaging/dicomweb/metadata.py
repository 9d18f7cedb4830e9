"""Metadata of instances (PS3.18, 10.4.1.1.2): stored as it is sent, but for addresses."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Final

from fhirserver.archive.port import Held
from fhirserver.archive.query import Retrieved
from fhirserver.imaging.dicomweb.multipart_writer import MultipartWriter
from fhirserver.imaging.dicomweb.native_xml import native_xml

_RELATIVE: Final = b'"BulkDataURI":"bulkdata/'
_PORTION: Final = 256 * 1024


def etag(retrieved: Retrieved, content_type: str, base: str) -> bytes:
    """A strong validator: the same where the same bytes would be sent."""
    digest = hashlib.sha256(f"{base}\0{content_type}".encode())
    for held in retrieved.instances:
        digest.update(held.blob.encode("ascii"))
    return b'"%s"' % digest.hexdigest()[:32].encode("ascii")


def address(held: Held, base: str) -> str:
    """Where an instance is."""
    return f"{base}/studies/{held.study}/series/{held.series}/instances/{held.instance}"


async def as_json(retrieved: Retrieved, base: str) -> AsyncIterator[bytes]:
    """A JSON array of the data sets, in portions."""
    portion = bytearray(b"[")
    is_first = True
    async for held, header in retrieved.headers():
        if not is_first:
            portion += b","
        portion += absolute(header, held, base)
        is_first = False
        if len(portion) > _PORTION:
            yield bytes(portion)
            portion.clear()
    portion += b"]"
    yield bytes(portion)


async def as_xml(retrieved: Retrieved, base: str, writer: MultipartWriter) -> AsyncIterator[bytes]:
    """A part for each data set."""
    async for held, header in retrieved.headers():
        yield writer.head(writer.type, location=address(held, base))
        yield native_xml(absolute(header, held, base))
    yield writer.end


def absolute(header: bytes, held: Held, base: str) -> bytes:
    """The data set with whole addresses of its bulk data."""
    if _RELATIVE not in header:
        return header
    place = f'"BulkDataURI":"{address(held, base)}/bulkdata/'.encode("ascii")
    return header.replace(_RELATIVE, place)
