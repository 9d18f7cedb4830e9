"""HTTP/1.1 on the wire: uvicorn's protocol, with bounds on what comes before a body.

What cannot be read as HTTP never reaches the application; it too is answered with an
OperationOutcome. The application itself runs on any ASGI server.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from fhirserver.model.json import encode
from fhirserver.model.outcome import Issue, operation_outcome

MAX_HEAD: Final = 64 * 1024
"""Most bytes of request line and headers."""

HEAD_SECONDS: Final = 30.0
"""Time from the connection, or the first byte of a request, to the end of its headers."""

LINGER_SECONDS: Final = 2.0
"""Time for a client that was refused to read why."""

_TOO_LARGE = f"The request line and headers are larger than {MAX_HEAD} bytes."
_NOT_HTTP = "This is not a request of HTTP/1.1."


class FhirProtocol(HttpToolsProtocol):
    """One connection."""

    _is_refused = False
    _head_size = 0
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins to wait for a request, but not for ever."""
        super().connection_made(transport)
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

    def send_400_response(self, msg: str) -> None:
        """Answers what is no HTTP, and closes."""
        self._refuse(400, "structure", _NOT_HTTP)

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
        if not self.transport.is_closing():
            self.transport.close()
