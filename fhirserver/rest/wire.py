"""HTTP/1.1 on the wire: uvicorn's protocol, with bounds on what comes before a body.

What cannot be read as HTTP never reaches the application; it too is answered with an
OperationOutcome. The application itself runs on any ASGI server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from fhirserver.model.json import encode
from fhirserver.model.outcome import Issue, operation_outcome
from fhirserver.rest.outgoing import Outgoing, outgoing_of

MAX_HEAD: Final = 64 * 1024
"""Most bytes of request line and headers."""

HEAD_SECONDS: Final = 30.0
"""Time from the connection, or the first byte of a request, to the end of its headers."""

LINGER_SECONDS: Final = 2.0
"""Time for a client that was refused to read why."""

_WHOLE: Final = 64 * 1024  # bytes of a body that are worth copying behind the headers

_BODILESS: Final = frozenset({204, 304})
_LENGTH: Final = b"content-length"
_FRAMING: Final = frozenset(
    {_LENGTH, b"transfer-encoding", b"connection"}
)  # in lower case, as ASGI has them

# Whether this uvicorn keeps a response as `WholeResponse` needs it; else it stays unused.
_IS_KNOWN: Final = {
    "access_log",
    "default_headers",
    "disconnected",
    "flow",
    "keep_alive",
    "message_event",
    "on_response",
    "response_complete",
    "response_started",
    "scope",
    "transport",
    "waiting_for_100_continue",
} <= set(RequestResponseCycle.__init__.__code__.co_names)

_TOO_LARGE = f"The request line and headers are larger than {MAX_HEAD} bytes."
_NOT_HTTP = "This is not a request of HTTP/1.1."


class WholeResponse(RequestResponseCycle):
    """A request whose response goes out in one piece, when it comes in one piece.

    That is most of all responses, and twice as fast; any other goes uvicorn's own way. While
    others are answered as well, it goes out together with theirs.
    """

    _start: Any = None
    outgoing: Outgoing
    tasks: Collection[object]

    async def send(self, message: Any) -> None:
        """Sends a message of the application; holds its start back until there is a body."""
        if message["type"] == "http.response.start" and not self.response_started:
            self._start = message
            return
        start = self._start
        if start is None:
            await super().send(message)
            return
        self._start = None
        head = self._head(start, message["body"]) if self._fits(message) else None
        if head is None:
            await super().send(start)
            await super().send(message)
        else:
            self._send_whole(head + message["body"])

    def _fits(self, message: Any) -> bool:
        return (
            not message.get("more_body", False)
            and self.keep_alive
            and not self.disconnected
            and not self.access_log
            and not self.flow.write_paused
            and self.scope["method"] != "HEAD"
            and len(message["body"]) <= _WHOLE
        )

    def _head(self, start: Any, body: bytes) -> bytes | None:
        """Status line and headers; None where uvicorn has to see to what they say."""
        status = start["status"]
        headers = [*self.default_headers, *start["headers"]]
        says_length = status in _BODILESS
        lines = [STATUS_LINE[status]]
        for name, value in headers:
            if name in _FRAMING:
                if name != _LENGTH or value != b"%d" % len(body):
                    return None
                says_length = True
            lines += (name, b": ", value, b"\r\n")
        if not says_length:
            return None
        lines.append(b"\r\n")
        head = b"".join(lines)
        count = len(headers) + 2
        if head.count(b"\n") != count or head.count(b"\r") != count:
            raise RuntimeError("a header has a line break")
        return head

    def _send_whole(self, response: bytes) -> None:
        if len(self.tasks) > 1:
            self.outgoing.add(self.transport, response)
        else:
            self.transport.write(response)
        self.response_started = self.response_complete = True
        self.waiting_for_100_continue = False
        self.message_event.set()
        self.on_response()


class FhirProtocol(HttpToolsProtocol):
    """One connection."""

    _is_refused = False
    _head_size = 0
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins to wait for a request, but not for ever."""
        super().connection_made(transport)
        self._outgoing = outgoing_of(self.loop)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets the connection."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes of one request or several; a head that goes on too long ends the connection."""
        if self._is_refused:
            return
        super().data_received(data)
        if self._is_in_head():
            self._head_size += len(data)
            if self._head_size > MAX_HEAD:
                self._refuse(431, "too-long", _TOO_LARGE)
            elif self._deadline is None:
                self._await_head()
        elif self._deadline is not None:
            self._stop_waiting()
            self._head_size = 0

    def eof_received(self) -> None:
        """The client sends nothing more: the connection is closed after this."""
        self._outgoing.flush()

    def shutdown(self) -> None:
        """Ends the connection, when a request under way is answered."""
        self._outgoing.flush()
        super().shutdown()

    def send_400_response(self, msg: str) -> None:
        """Answers what is no HTTP, and closes."""
        self._refuse(400, "structure", _NOT_HTTP)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        if _IS_KNOWN:
            cycle.__class__ = WholeResponse
            assert isinstance(cycle, WholeResponse)
            cycle.outgoing, cycle.tasks = self._outgoing, self.tasks
        super()._start_asgi_task(cycle, app)

    def _is_in_head(self) -> bool:
        # A scope is made at the first byte of a request, its cycle at the end of its headers.
        scope, cycle = self.scope, self.cycle
        if scope is None or (cycle is not None and cycle.scope is scope):
            return False
        return not self.transport.is_closing()

    def _refuse(self, status: int, code: str, text: str) -> None:
        body = encode(operation_outcome([Issue("error", code, "", text)]))
        lines: list[Any] = [
            STATUS_LINE[status],
            b"content-type: application/fhir+json; charset=utf-8\r\n",
            b"content-length: %d\r\n" % len(body),
            b"connection: close\r\n\r\n",
            body,
        ]
        self._is_refused = True
        self._stop_waiting()
        self._outgoing.flush()
        self.transport.write(b"".join(lines))
        # Closed at once, with bytes still coming in, the answer would be lost on its way.
        self.transport.write_eof()
        self.loop.call_later(LINGER_SECONDS, self._give_up)

    def _await_head(self) -> None:
        self._deadline = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        self._outgoing.flush()
        if not self.transport.is_closing():
            self.transport.close()
