"""A tenant's authorization server, from the settings: what answers below `/auth`, and who calls."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fhirserver.access.authority import Authority
from fhirserver.access.grant import Grant
from fhirserver.app.ids import new_id, now
from fhirserver.app.interaction import interaction_of
from fhirserver.app.keys import sealing_key
from fhirserver.audit.recorder import NotRecorded, Recorder
from fhirserver.auth.app_state import AppStates
from fhirserver.auth.app_state_api import AppStateApi, app_state_routes
from fhirserver.auth.authorization import SECOND
from fhirserver.auth.authorizations import Lifetimes
from fhirserver.auth.brands import brand_of, brand_response, identifier_of
from fhirserver.auth.chart import Dispatch
from fhirserver.auth.endpoints import More, endpoints, smart_configured
from fhirserver.auth.fetch import Fetcher
from fhirserver.auth.interactive import interactive
from fhirserver.auth.server import AuthorizationServer, Platform
from fhirserver.auth.sign_in.browser import Browser
from fhirserver.auth.sign_in.place import Place
from fhirserver.auth.sign_in.routes import sign_in_routes
from fhirserver.auth.sign_in.trail import Trail
from fhirserver.definitions.registry import Definitions
from fhirserver.identity.identity import Identity
from fhirserver.identity.seal import derived
from fhirserver.rest.asgi import Application, Receive, Scope, Send
from fhirserver.rest.base_url import BaseUrl
from fhirserver.rest.headers import header_map
from fhirserver.settings import Settings
from fhirserver.store.port import ServerStore

DEFAULT_TENANT: Final = "default"
_CONFIGURATION: Final = "/.well-known/smart-configuration"


class Authorization:
    """`server` has the parts; `edge` is what answers below `/auth`."""

    def __init__(
        self,
        settings: Settings,
        store: ServerStore,
        base_url: BaseUrl,
        access: Authority,
        *,
        tenant: str = DEFAULT_TENANT,
        dispatch: Dispatch,
        definitions: Definitions,
        recorder: Recorder | None = None,
        fetcher: Fetcher | None = None,
    ) -> None:
        def fhir_base(request: Request) -> str:
            scope = request.scope
            return base_url.of(scope["scheme"], header_map(scope["headers"]), scope.get("client"))

        self._access = access
        self.identity = Identity(
            store.records,
            key=derived(sealing_key(settings.data), "identity"),
            now=now,
            new_id=new_id,
            random=secrets.token_bytes,
        )
        recorder = recorder or NotRecorded()
        inside = frozenset(host.lower() for host in settings.inside_hosts)
        self.server = AuthorizationServer(
            Platform(
                tenant=tenant,
                records=store.records,
                accounts=self.identity.accounts,
                sessions=self.identity.sessions,
                recorder=recorder,
                now=now,
                random=secrets.token_bytes,
                fhir_base=fhir_base,
                fetcher=fetcher or Fetcher(inside),
                lifetimes=lifetimes_of(settings),
                registration=settings.client_registration,
            )
        )
        self.edge = self._pages(settings, recorder, dispatch, definitions)

    def _pages(
        self,
        settings: Settings,
        recorder: Recorder,
        dispatch: Dispatch,
        definitions: Definitions,
    ) -> Application:
        """The endpoints of apps, and the pages that people see."""
        tenant = self.server.tenant
        browser = Browser(
            self.identity.sessions,
            origin_of=lambda request: origin(self.server.addresses(request).fhir),
            key=self.identity.form_key,
            random=secrets.token_bytes,
            tenant="" if tenant == DEFAULT_TENANT else tenant,
        )
        trail = Trail(recorder, tenant=tenant, address_of=address_of)
        self.interaction = interaction_of(
            settings, self.server, browser, dispatch, self._access, definitions
        )
        state = AppStates(self.server.platform.records, now=now, new_id=new_id)
        routes = [
            *endpoints(self.server),
            *interactive(self.interaction),
            *app_state_routes(AppStateApi(self.interaction, state)),
            *sign_in_routes(Place(self.identity, browser, trail)),
            Route("/brands", self._brands_of(settings, dispatch), methods=["GET", "OPTIONS"]),
        ]
        return Starlette(routes=routes)

    def _brands_of(
        self, settings: Settings, dispatch: Dispatch
    ) -> Callable[[Request], Awaitable[Response]]:
        async def brand(request: Request) -> dict[str, Any]:
            base = self.server.addresses(request).fhir
            return await brand_of(dispatch, base, settings.brand, self.server.tenant)

        async def brands(request: Request) -> Response:
            base = self.server.addresses(request).fhir
            return brand_response(request, base, await brand(request))

        async def told(request: Request) -> dict[str, Any]:
            base = self.server.addresses(request).fhir
            return {"user_access_brand_identifier": identifier_of(await brand(request), base)}

        self._told = told
        return brands

    async def authenticate(self, headers: Mapping[bytes, bytes], method: str, url: str) -> Grant:
        """What the sender of a request may do. Raises `Unauthenticated`, `Forbidden`."""
        principal = await self.server.authenticator.principal(headers, method, url)
        return self._access.grant_of(principal)

    def around(self, fhir: Application) -> Application:
        """The FHIR base, with the SMART configuration below it."""
        return _Configured(fhir, self.server, self._told)


class _Configured:
    def __init__(self, fhir: Application, server: AuthorizationServer, told: More) -> None:
        self._fhir = fhir
        self._server = server
        self._told = told

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not scope["path"].endswith(_CONFIGURATION) or scope["method"] not in _READING:
            await self._fhir(scope, receive, send)
            return
        response = await smart_configured(self._server, Request(scope, receive), self._told)
        await response(scope, receive, send)


def address_of(request: Request) -> str:
    """The network address that a request came from."""
    return request.client.host if request.client else ""


def origin(address: str) -> str:
    """Scheme, host and port of an address."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"


_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})


def lifetimes_of(settings: Settings) -> Lifetimes:
    """How long codes and tokens are good."""
    day = 24 * 3600 * SECOND
    return Lifetimes(
        access=settings.access_token_seconds * SECOND,
        system_access=min(settings.access_token_seconds, 300) * SECOND,
        refresh=settings.refresh_token_days * day,
        absolute=settings.authorization_days * day,
    )
