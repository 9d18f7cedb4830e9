"""Into a running server.

Requests run in threads, one connection each. As everything that is sent can be sent twice, a
request whose answer did not come is sent again.
"""

from __future__ import annotations

import asyncio
import ssl
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from threading import Event, local
from urllib.parse import urlsplit

from fhirserver.load.answer import denied_entries, denied_whole
from fhirserver.load.target import Denied, Unreachable
from fhirserver.model.json import Resource, encode

_ATTEMPTS = 6
_TIMEOUT = 300.0
_BUSY = (429, 502, 503, 504)
_SIGN_IN = (401, 403)
_REDIRECT = 300
_LONGEST_PAUSE = 20.0


class HttpTarget:
    """`base` is the service base URL; `token` a bearer token; `in_flight` the most requests."""

    def __init__(self, base: str, token: str | None, in_flight: int) -> None:
        parts = urlsplit(base.rstrip("/"))
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Unreachable(f"'{base}' is no base URL: write http://host:port/fhir.")
        self._base = parts
        self._headers = {
            "Content-Type": "application/fhir+json",
            "Accept": "application/fhir+json",
            "Prefer": "return=minimal",
        }
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._threads = ThreadPoolExecutor(in_flight, "load")
        self._own = local()
        self._connections: list[HTTPConnection] = []
        self._is_closed = Event()

    async def check(self) -> None:
        """Raises `Unreachable` unless a FHIR server is there that takes us."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._threads, self._check)

    async def send(self, bundle: Resource) -> list[Denied]:
        """See `Target.send`."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._send, bundle)

    def close(self) -> None:
        """Ends what is under way, without waiting for servers that do not answer."""
        self._is_closed.set()
        self._threads.shutdown(cancel_futures=True)
        for connection in self._connections:
            connection.close()

    def _check(self) -> None:
        status, body = self._asked("GET", f"{self._base.path}/metadata", None)
        if status != 200 or b'"CapabilityStatement"' not in body:
            raise Unreachable(
                f"{self._base.geturl()} is no base URL of a FHIR server ({status}): "
                "it often ends in /fhir."
            )

    def _send(self, bundle: Resource) -> list[Denied]:
        status, body = self._asked("POST", self._base.path or "/", encode(bundle))
        if status >= _REDIRECT:  # which is not followed: the base URL is wrong then
            return [denied_whole(status, body)]
        return denied_entries(body) if bundle["type"] == "batch" else []

    def _asked(self, method: str, path: str, data: bytes | None) -> tuple[int, bytes]:
        """Status and body of the answer; asks again while the server is away or busy."""
        for attempt in range(1, _ATTEMPTS + 1):
            pause = min(0.25 * 2**attempt, _LONGEST_PAUSE)
            try:
                status, body, wait = self._ask(method, path, data)
            except (OSError, HTTPException) as error:
                self._connection().close()
                if attempt == _ATTEMPTS:
                    raise Unreachable(f"{self._base.netloc} does not answer: {error}.") from error
            else:
                if status in _SIGN_IN:
                    why = denied_whole(status, body).text
                    raise Unreachable(f"The server does not let us in ({status}): {why}")
                if status not in _BUSY or attempt == _ATTEMPTS:
                    return status, body
                pause = wait or pause
            if self._is_closed.wait(pause):
                break
        raise Unreachable("The load was ended.")

    def _ask(self, method: str, path: str, data: bytes | None) -> tuple[int, bytes, float]:
        """Status, body, and the seconds of Retry-After."""
        connection = self._connection()
        connection.request(method, path, data, self._headers)
        response = connection.getresponse()
        body = response.read()
        wait = response.getheader("Retry-After", "")
        return response.status, body, min(float(wait), _LONGEST_PAUSE) if wait.isdigit() else 0.0

    def _connection(self) -> HTTPConnection:
        """That of this thread; it connects when it is used, also after it was closed."""
        connection: HTTPConnection | None = getattr(self._own, "connection", None)
        if connection is None:
            host, port = self._base.hostname or "", self._base.port
            if self._base.scheme == "https":
                context = ssl.create_default_context()
                connection = HTTPSConnection(host, port, timeout=_TIMEOUT, context=context)
            else:
                connection = HTTPConnection(host, port, timeout=_TIMEOUT)
            self._own.connection = connection
            self._connections.append(connection)
        return connection
