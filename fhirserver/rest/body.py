"""A request's body, read whole and never larger or slower than allowed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from fhirserver.errors import Invalid, RequestTimeout, TooLarge
from fhirserver.rest.asgi import Disconnected, Receive
from fhirserver.rest.content_coding import decoded
from fhirserver.rest.headers import Headers


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """`size` in bytes, before and after unpacking; `seconds` from the headers to the end."""

    size: int = 16 * 1024 * 1024
    seconds: float = 60.0


async def read_body(receive: Receive, headers: Headers, limits: BodyLimits) -> bytes:
    """The body, unpacked.

    Raises `TooLarge`, `RequestTimeout`, `Disconnected` when the client went away, and what
    `content_coding.decoded` raises.
    """
    length = headers.get(b"content-length")
    if length is not None and _length(length) > limits.size:
        raise _too_large(limits)
    try:
        async with asyncio.timeout(limits.seconds):
            data = await _received(receive, limits)
    except TimeoutError:
        raise RequestTimeout(
            f"The body did not arrive within {limits.seconds:g} seconds.",
            headers={"Connection": "close"},
        ) from None
    coding = headers.get(b"content-encoding")
    return data if coding is None else await decoded(data, coding, limits.size)


async def _received(receive: Receive, limits: BodyLimits) -> bytes:
    message = await receive()
    chunks: list[bytes] = []
    size = 0
    while True:
        if message["type"] == "http.disconnect":
            raise Disconnected
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limits.size:
            raise _too_large(limits)
        if not message.get("more_body", False):
            return chunk if not chunks else b"".join([*chunks, chunk])
        chunks.append(chunk)
        message = await receive()


def _length(value: bytes) -> int:
    if not value.isdigit() or len(value) > 18:
        raise Invalid("Content-Length is not a number of bytes.")
    return int(value)


def _too_large(limits: BodyLimits) -> TooLarge:
    return TooLarge(
        f"The body is larger than the {limits.size} bytes that are taken: send it in parts."
    )
