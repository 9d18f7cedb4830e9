"""What every answer of every tree has: headers that browsers obey, and the request's id.

https://cheatsheetseries.owasp.org/cheatsheets/HTTP_Headers_Cheat_Sheet.html. An answer that
says something stricter of its own keeps that.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from contextvars import ContextVar
from typing import Final

from fhirserver.rest.asgi import Application, Message, Receive, Scope, Send
from fhirserver.rest.peer import ADDRESS, forwarded_address, is_among

REQUEST_ID: Final = "fhirserver.request-id"
"""Where the scope keeps the id."""

CURRENT: ContextVar[str] = ContextVar("request_id", default="-")
"""The id of the request that is answered, for whoever writes a log."""

_GIVEN = re.compile(rb"[A-Za-z0-9._:-]{1,64}")
_USUAL: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'"),
)
_HSTS: Final = (b"strict-transport-security", b"max-age=63072000; includeSubDomains")


class RequestIds(logging.Filter):
    """Gives each line of a log the id of the request that it was written for, as `request`."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request = CURRENT.get()
        return True


class Shield:
    """An ASGI application around another. `new_id` names requests that bring no id."""

    def __init__(
        self, inner: Application, new_id: Callable[[], str], proxies: tuple[str, ...] = ()
    ) -> None:
        self._inner = inner
        self._new_id = new_id
        self._proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        request_id = self._request_id(scope)
        is_secure = self._is_secure(scope)
        scope[ADDRESS] = forwarded_address(scope, self._proxies)
        scope[REQUEST_ID] = request_id.decode("ascii")
        CURRENT.set(scope[REQUEST_ID])

        async def shielded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = _with(message.get("headers", ()), request_id, is_secure)
            await send(message)

        await self._inner(scope, receive, shielded)

    def _request_id(self, scope: Scope) -> bytes:
        for name, value in scope["headers"]:
            if name == b"x-request-id" and _GIVEN.fullmatch(value):
                return bytes(value)
        return self._new_id().encode("ascii")

    def _is_secure(self, scope: Scope) -> bool:
        if scope["scheme"] == "https":
            return True
        client = scope.get("client")
        if not self._proxies or not client or not is_among(str(client[0]), self._proxies):
            return False
        forwarded = [value for name, value in scope["headers"] if name == b"x-forwarded-proto"]
        return bool(forwarded) and forwarded[-1].rpartition(b",")[2].strip() == b"https"


def _with(
    headers: list[tuple[bytes, bytes]], request_id: bytes, is_secure: bool
) -> list[tuple[bytes, bytes]]:
    """The headers of an answer with those that it does not have yet."""
    out = list(headers)
    there = {name.lower() for name, _ in out}
    out += [line for line in _USUAL if line[0] not in there]
    if b"x-request-id" not in there:
        out.append((b"x-request-id", request_id))
    if is_secure and _HSTS[0] not in there:
        out.append(_HSTS)
    return out
