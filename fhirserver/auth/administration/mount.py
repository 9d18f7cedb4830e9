"""The administration, made when it is first asked for: FastAPI costs half a second of a start."""

from __future__ import annotations

from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fhirserver.auth.sign_in.place import Place

_PATH: Final = "/admin"
_MOST_BYTES: Final = 64 * 1024


class _Administration:
    def __init__(self, place: Place) -> None:
        self._place = place
        self._made: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        from fhirserver.auth.administration.users import PROTECTED, administration

        length = Headers(scope=scope).get("content-length", "0")
        if not length.isdigit() or int(length) > _MOST_BYTES:
            too_large = JSONResponse({"error": "The request is too long."}, 413)
            await too_large(scope, receive, send)
            return
        if self._made is None:
            self._made = administration(self._place)

        async def protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in PROTECTED.items():
                    headers[name] = value
            await send(message)

        await self._made(scope, _bounded(receive), protected)


def _bounded(receive: Receive) -> Receive:
    """The body, up to a bound: whoever sends more is taken for gone."""
    received = 0

    async def bounded() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        return {"type": "http.disconnect"} if received > _MOST_BYTES else message

    return bounded


def administration_mount(place: Place) -> Mount:
    """A row of the tree that is mounted at /auth."""
    return Mount(_PATH, app=_Administration(place))
