"""Bodies in XML, to and from the JSON that the server works with.

Large ones are translated on another thread, so that others need not wait for them.
"""

from __future__ import annotations

import asyncio

from fhirserver.definitions.registry import Definitions
from fhirserver.model.json import Resource, decode
from fhirserver.xml import from_xml, to_xml

_THREAD_OVER = 64 * 1024  # bytes; more than that (some milliseconds) is not done on the loop


async def read_xml(data: bytes, definitions: Definitions) -> Resource:
    """The resource of a body in XML. Raises `Invalid`."""
    if len(data) > _THREAD_OVER:
        return await asyncio.to_thread(from_xml, data, definitions)
    return from_xml(data, definitions)


async def written_xml(body: bytes, definitions: Definitions, *, indent: bool) -> bytes:
    """The XML of a resource in JSON bytes."""
    if len(body) > _THREAD_OVER:
        return await asyncio.to_thread(_written, body, definitions, indent)
    return _written(body, definitions, indent)


def _written(body: bytes, definitions: Definitions, indent: bool) -> bytes:
    return to_xml(decode(body), definitions, indent=indent)
