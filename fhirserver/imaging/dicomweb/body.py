"""A request's body piece by piece, never larger than allowed and never standing still."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from fhirserver.errors import RequestTimeout, TooLarge, UnsupportedMediaType
from fhirserver.imaging.dicomweb.heap import give_back
from fhirserver.rest.asgi import Disconnected, Receive
from fhirserver.rest.headers import Headers


async def body_pieces(
    receive: Receive, headers: Headers, limit: int, seconds: float
) -> AsyncIterator[bytes]:
    """The body. `limit` in bytes; `seconds` from one piece to the next.

    Raises `TooLarge`, `RequestTimeout`, `UnsupportedMediaType` for a content coding,
    `Disconnected` when the client went away.
    """
    coding = headers.get(b"content-encoding", b"identity").strip().lower()
    if coding not in (b"", b"identity"):
        raise UnsupportedMediaType("Instances are taken without a content coding.")
    length = headers.get(b"content-length", b"")
    if length.isdigit() and int(length) > limit:
        raise _too_large(limit)
    give_back(int(length) if length.isdigit() else None)
    size = 0
    while True:
        try:
            async with asyncio.timeout(seconds):
                message = await receive()
        except TimeoutError:
            raise RequestTimeout(
                f"No more of the body came within {seconds:g} seconds.",
                headers={"Connection": "close"},
            ) from None
        if message["type"] == "http.disconnect":
            raise Disconnected
        piece = message.get("body", b"")
        size += len(piece)
        if size > limit:
            raise _too_large(limit)
        if piece:
            yield piece
        if not message.get("more_body", False):
            return


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The body is larger than the {limit} bytes that are taken: send it in parts.")
