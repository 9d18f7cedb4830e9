"""The server as an ASGI application: it starts and stops, and hands requests to the mounts."""

from __future__ import annotations

import gc
from typing import Final

from fhirserver.app.errors import NotRunnable
from fhirserver.app.pages import send_page
from fhirserver.app.running import Running
from fhirserver.app.stores import open_store
from fhirserver.errors import FhirError, Forbidden, Unavailable
from fhirserver.rest.asgi import Application, Receive, Scope, Send
from fhirserver.rest.asked import wanted_format
from fhirserver.rest.negotiation import refusal_type
from fhirserver.rest.reply import Reply, refused, send_reply
from fhirserver.settings import Settings, is_loopback

_HERE: Final = frozenset({"127.0.0.1", "::1"})
_NOT_STARTED = Unavailable("The server has not started yet.")
_NOT_FROM_ELSEWHERE = Forbidden("This server is open, so it answers to its own machine only.")


def create_app(settings: Settings | None = None) -> Application:
    """The server as an ASGI application; it opens its store when the server starts it.

    Raises `NotRunnable` for authorization, which is not there yet.
    """
    settings = settings or Settings()
    if settings.auth != "none":
        raise NotRunnable(
            "Authorization (auth 'smart') is not available in this version. To run an open "
            "server on this machine only, set auth to 'none'."
        )
    return _Application(settings)


class _Application:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._running: Running | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._other(scope, receive, send)
            return
        running = self._running
        client = scope.get("client")
        if running is None or (client and client[0] not in _HERE and not is_loopback(client[0])):
            reply = _turned_away(scope, running)
            await send_reply(reply, send, head=scope["method"] == "HEAD")
            return
        path = scope["path"]
        edge = running.mounts.find(path)
        if edge is not None:
            await edge(scope, receive, send)
        else:
            await send_page(path, scope, running, send)

    async def _other(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1000})
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            running = Running(self._settings, await open_store(self._settings))
            await running.start(self._settings.base_url or "")
            self._running = running
        except (FhirError, NotRunnable, OSError) as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        _collect_garbage_seldom()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self._running = None
        await running.close()
        await send({"type": "lifespan.shutdown.complete"})


def _turned_away(scope: Scope, running: Running | None) -> Reply:
    """The response to a request that does not get as far as a page or the FHIR base."""
    if running is None:
        return refused(_NOT_STARTED)
    content_type = refusal_type(dict(scope["headers"]).get(b"accept"), wanted_format(scope))
    return refused(_NOT_FROM_ELSEWHERE, content_type=content_type, definitions=running.definitions)


def _collect_garbage_seldom() -> None:
    """Looks for cycles less often: requests make many objects and hardly any cycles.

    What the start has made is there to stay, and is not looked at again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
