"""Into a running server.

Requests run in threads, one connection each. As everything that is sent can be sent twice, a
request whose answer did not come is sent again.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from threading import local
from urllib.parse import urlsplit

from fhirserver.load.answer import denied_entries, denied_whole
from fhirserver.load.target import Denied, Unreachable
from fhirserver.model.json import Resource, encode

_ATTEMPTS = 6
_TIMEOUT = 300.0
_BUSY = (429, 502, 503, 504)
_SIGN_IN = (401, 403)
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

    async def send(self, bundle: Resource) -> list[Denied]:
        """See `Target.send`."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._send, bundle)

    def close(self) -> None:
        self._threads.shutdown()

    def _send(self, bundle: Resource) -> list[Denied]:
        data = encode(bundle)
        for attempt in range(1, _ATTEMPTS + 1):
            pause = min(0.25 * 2**attempt, _LONGEST_PAUSE)
            try:
                status, body, wait = self._post(data)
            except (OSError, HTTPException) as error:
                self._own.connection = None
                if attempt == _ATTEMPTS:
                    raise Unreachable(f"{self._base.netloc} does not answer: {error}.") from error
            else:
                if status in _SIGN_IN:
                    why = denied_whole(status, body).text
                    raise Unreachable(f"The server lets nobody in ({status}): {why}")
                if status not in _BUSY or attempt == _ATTEMPTS:
                    return _denied(bundle, status, body)
                pause = wait or pause
            time.sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    def _post(self, data: bytes) -> tuple[int, bytes, float]:
        """Status, body, and the seconds of Retry-After."""
        connection = getattr(self._own, "connection", None) or self._connect()
        connection.request("POST", self._base.path or "/", data, self._headers)
        response = connection.getresponse()
        body = response.read()
        wait = response.getheader("Retry-After", "")
        return response.status, body, min(float(wait), _LONGEST_PAUSE) if wait.isdigit() else 0.0

    def _connect(self) -> HTTPConnection:
        host, port = self._base.hostname or "", self._base.port
        connection: HTTPConnection
        if self._base.scheme == "https":
            context = ssl.create_default_context()
            connection = HTTPSConnection(host, port, timeout=_TIMEOUT, context=context)
        else:
            connection = HTTPConnection(host, port, timeout=_TIMEOUT)
        self._own.connection = connection
        return connection


def _denied(bundle: Resource, status: int, body: bytes) -> list[Denied]:
    if status >= 300:  # a redirect is not followed: the base URL is wrong then
        return [denied_whole(status, body)]
    return denied_entries(body) if bundle["type"] == "batch" else []
