"""A tenant's authorization server, from the settings: what answers below `/auth`, and who calls."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request

from fhirserver.access.authority import Authority
from fhirserver.access.grant import Grant
from fhirserver.app.address import address_of
from fhirserver.app.identity import identity_of, place_of, sign_in_edge
from fhirserver.app.ids import new_id, now
from fhirserver.app.interaction import interaction_of
from fhirserver.audit.recorder import NotRecorded, Recorder
from fhirserver.auth.app_state import AppStates
from fhirserver.auth.app_state_api import AppStateApi, app_state_routes
from fhirserver.auth.authorization import SECOND
from fhirserver.auth.authorizations import Lifetimes
from fhirserver.auth.brands import Brands, brand_routes
from fhirserver.auth.chart import Dispatch
from fhirserver.auth.endpoints import More, endpoints, smart_configured
from fhirserver.auth.fetch import Fetcher
from fhirserver.auth.interactive import interactive
from fhirserver.auth.server import AuthorizationServer, Platform
from fhirserver.definitions.registry import Definitions
from fhirserver.identity.identity import Identity
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
        *,
        tenant: str = DEFAULT_TENANT,
        dispatch: Dispatch,
        definitions: Definitions,
        access: Authority,
        recorder: Recorder | None = None,
        fetcher: Fetcher | None = None,
    ) -> None:
        self._access = access

        def fhir_base(request: Request) -> str:
            scope = request.scope
            return base_url.of(scope["scheme"], header_map(scope["headers"]), scope.get("client"))

        self.identity = identity_of(settings, store)
        recorder = recorder or NotRecorded()
        self.server = AuthorizationServer(
            platform_of(
                settings, store, self.identity, recorder, fhir_base, tenant=tenant, fetcher=fetcher
            )
        )
        self._brands = Brands(dispatch, self.server.addresses, settings.brand, tenant, now)
        cookies = "" if tenant == DEFAULT_TENANT else tenant
        self.place = place_of(settings, self.identity, recorder, fhir_base, tenant, cookies)
        self._idle = self.place.idle
        self.interaction = interaction_of(
            settings, self.server, self.place.browser, dispatch, access, definitions
        )
        self.edge = self._pages(settings, store)

    def _pages(self, settings: Settings, store: ServerStore) -> Application:
        """What apps call, and what people see."""
        states = AppStates(store.records, now=now, new_id=new_id)
        routes = [
            *endpoints(self.server),
            *interactive(self.interaction),
            *app_state_routes(AppStateApi(self.interaction, states)),
            *brand_routes(self._brands),
            *sign_in_edge(settings, store, self.place),
        ]
        return Starlette(routes=routes)

    def start(self) -> None:
        """Locks idle sessions from now on."""
        self._idle.start()

    async def stop(self) -> None:
        await self._idle.stop()

    async def authenticate(self, headers: Mapping[bytes, bytes], method: str, url: str) -> Grant:
        """What the sender of a request may do. Raises `Unauthenticated`, `Forbidden`."""
        principal = await self.server.authenticator.principal(headers, method, url)
        return self._access.grant_of(principal)

    def around(self, fhir: Application) -> Application:
        """The FHIR base, with the SMART configuration below it."""
        return _Configured(fhir, self.server, self._brands.told)


class _Configured:
    def __init__(self, fhir: Application, server: AuthorizationServer, more: More) -> None:
        self._fhir = fhir
        self._server = server
        self._more = more

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not scope["path"].endswith(_CONFIGURATION) or scope["method"] not in _READING:
            await self._fhir(scope, receive, send)
            return
        response = await smart_configured(self._server, Request(scope, receive), self._more)
        await response(scope, receive, send)


_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})


def platform_of(
    settings: Settings,
    store: ServerStore,
    identity: Identity,
    recorder: Recorder,
    fhir_base: Callable[[Request], str],
    *,
    tenant: str,
    fetcher: Fetcher | None,
) -> Platform:
    """What the tenant's authorization server is given."""
    inside = frozenset(host.lower() for host in settings.inside_hosts)
    return Platform(
        tenant=tenant,
        records=store.records,
        accounts=identity.accounts,
        sessions=identity.sessions,
        recorder=recorder,
        now=now,
        random=secrets.token_bytes,
        fhir_base=fhir_base,
        fetcher=fetcher or Fetcher(inside),
        address_of=address_of(settings.trusted_proxies),
        lifetimes=lifetimes_of(settings),
        registration=settings.client_registration,
        nonce_key=identity.nonce_key if settings.dpop_nonce else None,
    )


def lifetimes_of(settings: Settings) -> Lifetimes:
    """How long codes and tokens are good."""
    day = 24 * 3600 * SECOND
    return Lifetimes(
        access=settings.access_token_seconds * SECOND,
        system_access=min(settings.access_token_seconds, 300) * SECOND,
        refresh=settings.refresh_token_days * day,
        absolute=settings.authorization_days * day,
    )
