"""The server as an ASGI application: it starts and stops, and hands requests to the mounts."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from fhirserver.access.principal import Principal
from fhirserver.app.counting import counted_at
from fhirserver.app.errors import NotRunnable
from fhirserver.app.ids import request_ids
from fhirserver.app.open_tenants import OpenTenants
from fhirserver.app.pages import send_page
from fhirserver.app.running import Running, open_running
from fhirserver.app.tenants import TenantTable
from fhirserver.app.warm import collect_garbage_seldom, switch_threads_soon, warm_up
from fhirserver.audit.recorder import MINOR, Event, Origin
from fhirserver.definitions.packaged import packaged
from fhirserver.errors import FhirError, Forbidden, Unavailable
from fhirserver.imaging.rendering.processes import Processes
from fhirserver.rest.asgi import Application, Receive, Scope, Send
from fhirserver.rest.asked import wanted_format
from fhirserver.rest.negotiation import refusal_type
from fhirserver.rest.peer import address_of
from fhirserver.rest.reply import Reply, refused, send_reply
from fhirserver.rest.shield import REQUEST_ID, Shield
from fhirserver.rest.throttle import Exceeded, Group, Limits, Throttle
from fhirserver.settings import Settings, is_loopback
from fhirserver.settings.reading import read

_TENANTS: Final = "/t/"
_HERE: Final = frozenset({"127.0.0.1", "::1"})
_NOT_STARTED = Unavailable("The server has not started yet.")
_NOT_FROM_ELSEWHERE = Forbidden("This server is open, so it answers to its own machine only.")


def create_app(settings: Settings | None = None) -> Application:
    """The server as an ASGI application; it opens its store when the server starts it."""
    return _Application(settings or read())


def _limited(application: Application, settings: Settings, exceeded: Exceeded) -> Application:
    """The application for so many requests. Raises `NotRunnable` without a driver of Redis."""
    limits = Limits(
        settings.limit_anonymous,
        settings.limit_client,
        counted_at(settings),
        settings.limit_app,
    )
    return Throttle(application, limits, exceeded)


class _Application:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._running: Running | None = None
        self._tenants: OpenTenants | None = None
        self._pictures = Processes(settings.picture_processes)
        answer: Application = self._answer
        if settings.limits_requests:
            answer = _limited(answer, settings, self._exceeded)
        self._shielded = Shield(answer, request_ids(), settings.trusted_proxies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._shielded(scope, receive, send)
        else:
            await self._other(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        running = self._running
        if running is None or (running.is_open and not _is_from_here(scope)):
            reply = _turned_away(scope, running)
            await send_reply(reply, send, head=scope["method"] == "HEAD")
            return
        path = scope["path"]
        if path.startswith(_TENANTS):
            await self._tenant(path, scope, receive, send)
            return
        edge = running.mounts.find(path)
        if edge is not None:
            await edge(scope, receive, send)
        else:
            await send_page(path, scope, running, send)

    async def _tenant(self, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Hands over to the tenant of `/t/[name]/...`; without one, all answers are alike."""
        assert self._tenants is not None
        name, slash, _ = path[len(_TENANTS) :].partition("/")
        try:
            with self._tenants.ready(name) or await self._tenants.find(name) as running:
                edge = running.mounts.find(path)
                if edge is not None:
                    await edge(scope, receive, send)
                elif slash:
                    await send_page(path[len(running.root) :], scope, running, send)
                else:
                    reply = Reply(307, [(b"location", f"{path}/".encode())])
                    await send_reply(reply, send, head=scope["method"] == "HEAD")
        except FhirError as error:  # of the tenant: an edge raises none
            await send_reply(_refused(scope, error), send, head=scope["method"] == "HEAD")

    async def _exceeded(self, scope: Scope, group: Group, principal: Principal | None) -> None:
        """Records that somebody asked for too much, in the trail of the tenant that was asked.

        No tenant is opened for it: what is refused must cost little.
        """
        running, open_tenants = self._running, self._tenants
        path = scope["path"]
        if running is None or open_tenants is None:
            return
        if path.startswith(_TENANTS):
            ready = open_tenants.ready(path[len(_TENANTS) :].partition("/")[0])
            if ready is not None:
                with ready as tenant:
                    await _record_exceeded(tenant, scope, group, principal)
                return
        await _record_exceeded(running, scope, group, principal)

    async def _other(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1000})
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            running = await open_running(self._settings, pictures=self._pictures)
            await running.start(self._settings.base_url or "")
            table = TenantTable(running.store.records)
            self._tenants = OpenTenants(self._settings, table, self._pictures)
            self._tenants.start()
            self._running = running
        except (FhirError, NotRunnable, OSError) as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        warm_up(packaged())
        collect_garbage_seldom()
        switch_threads_soon()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self._running = None
        await self._tenants.close()
        await running.close()
        self._pictures.close()
        await send({"type": "lifespan.shutdown.complete"})


async def _record_exceeded(
    running: Running, scope: Scope, group: Group, principal: Principal | None
) -> None:
    if principal is not None and principal.tenant != running.tenant:
        principal = None  # one tenant's trail does not tell of another's users
    host = next((value for name, value in scope["headers"] if name == b"host"), b"")
    origin = Origin(address_of(scope), host.decode("latin-1"), str(scope.get(REQUEST_ID, "")))
    event = Event(
        "limit-exceeded", MINOR, principal=principal, origin=origin, detail=(("limit", group),)
    )
    with suppress(FhirError):  # refused it is in any case, and nothing is told
        await running.recorder.record(event)


def _is_from_here(scope: Scope) -> bool:
    client = scope.get("client")
    return not client or client[0] in _HERE or is_loopback(client[0])


def _turned_away(scope: Scope, running: Running | None) -> Reply:
    """The response to a request that does not get as far as a page or the FHIR base."""
    return refused(_NOT_STARTED) if running is None else _refused(scope, _NOT_FROM_ELSEWHERE)


def _refused(scope: Scope, error: FhirError) -> Reply:
    """The response to a request that no tenant answers."""
    content_type = refusal_type(dict(scope["headers"]).get(b"accept"), wanted_format(scope))
    reply = refused(error, content_type=content_type, definitions=packaged())
    reply.headers.append((b"cache-control", b"no-store"))
    return reply
