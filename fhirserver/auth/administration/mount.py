"""The administration, made when it is first asked for: FastAPI costs half a second of a start."""

from __future__ import annotations

from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fhirserver.auth.sign_in.place import Place

_PATH: Final = "/admin"


class _Administration:
    def __init__(self, place: Place) -> None:
        self._place = place
        self._made: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        from fhirserver.auth.administration.users import PROTECTED, administration

        if self._made is None:
            self._made = administration(self._place)

        async def protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in PROTECTED.items():
                    headers[name] = value
            await send(message)

        await self._made(scope, receive, protected)


def administration_mount(place: Place) -> Mount:
    """A row of the tree that is mounted at /auth."""
    return Mount(_PATH, app=_Administration(place))
