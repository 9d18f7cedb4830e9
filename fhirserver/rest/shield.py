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
_NAMES: Final = frozenset(name for name, _ in _USUAL)
_HSTS: Final = (b"strict-transport-security", b"max-age=63072000; includeSubDomains")


class RequestIds(logging.Filter):
    """Gives each line of a log the id of the request that it was written for, as `request`."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request = CURRENT.get()
        return True


def request_id_of(scope: Scope, new_id: Callable[[], str]) -> str:
    """The id of a request: as a layer around it found it, else what it brings, else a new one.

    From here on the scope has it.
    """
    known: str | None = scope.get(REQUEST_ID)
    if known is None:
        given = (value for name, value in scope["headers"] if name == b"x-request-id")
        fits = next((value for value in given if _GIVEN.fullmatch(value)), None)
        known = scope[REQUEST_ID] = new_id() if fits is None else fits.decode("ascii")
    return known


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
        name = request_id_of(scope, self._new_id)
        request_id = name.encode("ascii")
        is_secure = self._is_secure(scope)
        scope[ADDRESS] = forwarded_address(scope, self._proxies)
        CURRENT.set(name)

        async def shielded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = _with(message.get("headers", ()), request_id, is_secure)
            await send(message)

        await self._inner(scope, receive, shielded)

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
    there = {name.lower() for name, _ in headers}
    if _NAMES.isdisjoint(there):  # as in most of all answers
        out = [*headers, *_USUAL]
    else:
        out = [*headers, *(line for line in _USUAL if line[0] not in there)]
    if b"x-request-id" not in there:
        out.append((b"x-request-id", request_id))
    if is_secure and _HSTS[0] not in there:
        out.append(_HSTS)
    return out
