"""Answers that are not held in memory: begun when the gate has answered, sent piece by piece."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from fhirserver.imaging.dicomweb.heap import give_back
from fhirserver.rest.asgi import Disconnected, HeaderList, Receive, Send
from fhirserver.rest.reply import Reply, send_reply

_SMALL = 1024 * 1024  # bytes that are better sent at once


@dataclass(slots=True)
class Streamed:
    """`pieces` make up the body; `length` is how long it is, where that is known."""

    status: int
    headers: HeaderList
    pieces: AsyncIterator[bytes]
    length: int | None = None


async def send_streamed(
    reply: Reply | Streamed, receive: Receive, send: Send, *, head: bool
) -> None:
    """Sends a response, without its body when the request was a HEAD.

    Raises `Disconnected` when the client went away: nothing is read or decoded for nobody.
    What is short and of known length goes out in one piece. A failure after the beginning can
    only break the connection off, which tells the client that something is missing.
    """
    if isinstance(reply, Reply):
        await send_reply(reply, send, head=head)
        return
    if reply.length is not None:
        if head:
            body = b""
        elif reply.length <= _SMALL:
            body = b"".join([piece async for piece in reply.pieces])
        else:
            body = None
        reply.headers.append((b"content-length", b"%d" % reply.length))
        if body is not None:
            await send(_start(reply))
            await send({"type": "http.response.body", "body": body})
            return
    await send(_start(reply))
    if not head:
        give_back(reply.length)
        gone = asyncio.create_task(_gone(receive))
        try:
            async for piece in reply.pieces:
                if gone.done():
                    raise Disconnected
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        finally:
            gone.cancel()
    await send({"type": "http.response.body", "body": b""})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _start(reply: Streamed) -> dict[str, object]:
    return {"type": "http.response.start", "status": reply.status, "headers": reply.headers}
