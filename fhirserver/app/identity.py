"""A tenant's accounts and sign-in pages, from the settings."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.routing import BaseRoute

from fhirserver.app.address import address_of
from fhirserver.app.counting import counted_at
from fhirserver.app.errors import NotRunnable
from fhirserver.app.ids import new_id, now
from fhirserver.app.keys import identity_key
from fhirserver.audit.recorder import Recorder
from fhirserver.auth.administration.mount import administration_mount
from fhirserver.auth.federation.client import Client
from fhirserver.auth.federation.journeys import Journeys
from fhirserver.auth.federation.pages import federation_routes
from fhirserver.auth.federation.provider import Provider, providers_of
from fhirserver.auth.sign_in.browser import Browser
from fhirserver.auth.sign_in.place import Place
from fhirserver.auth.sign_in.routes import sign_in_routes
from fhirserver.auth.sign_in.trail import Trail
from fhirserver.errors import Unavailable
from fhirserver.identity.identity import Identity
from fhirserver.identity.password import Hasher
from fhirserver.identity.provider_networks import ProviderNetworks
from fhirserver.identity.session import MINUTE
from fhirserver.identity.sessions import Lives
from fhirserver.identity.slowdown import Slowdown
from fhirserver.settings import Settings
from fhirserver.store.port import ServerStore


def identity_of(settings: Settings, store: ServerStore) -> Identity:
    """The tenant's. Raises `NotRunnable` for a damaged key or file of networks, or without the
    driver of Redis."""
    return Identity(
        store.records,
        key=identity_key(settings.data),
        now=now,
        new_id=new_id,
        random=secrets.token_bytes,
        hasher=_hasher(),
        slowdown=_slowdown(counted_at(settings), settings.provider_networks),
        lives=Lives(
            idle=settings.session_idle_minutes * MINUTE,
            absolute=settings.session_hours * 60 * MINUTE,
        ),
        two_step_roles=frozenset(settings.two_step_roles),
    )


def place_of(
    settings: Settings,
    identity: Identity,
    recorder: Recorder,
    fhir_base: Callable[[Request], str],
    tenant: str,
    cookies: str = "",
) -> Place:
    """What the tenant's sign-in pages stand on; `cookies` tells its cookies from others'."""

    def origin_of(request: Request) -> str:
        parts = urlsplit(fhir_base(request))
        return f"{parts.scheme}://{parts.netloc}"

    browser = Browser(
        identity.sessions,
        origin_of=origin_of,
        key=identity.form_key,
        random=secrets.token_bytes,
        tenant=cookies,
    )
    trail = Trail(recorder, tenant=tenant, address_of=address_of(settings.trusted_proxies))
    named = {id: provider.name for id, provider in _providers(settings).items()}
    return Place(identity, browser, trail, named)


def sign_in_edge(settings: Settings, store: ServerStore, place: Place) -> list[BaseRoute]:
    """The sign-in pages, the ways to other providers, the administration of accounts.

    Raises `NotRunnable` for providers that cannot be used.
    """
    clients = {
        id: Client(provider, now=now, secret=_secret(provider))
        for id, provider in _providers(settings).items()
    }
    journeys = Journeys(store.records, now=now, random=secrets.token_bytes)
    return [
        *sign_in_routes(place),
        *federation_routes(place, journeys, clients),
        administration_mount(place),
    ]


def _providers(settings: Settings) -> Mapping[str, Provider]:
    if settings.openid_providers is None:
        return {}
    try:
        return providers_of(settings.openid_providers)
    except (OSError, ValueError) as error:
        raise NotRunnable(f"The other OpenID providers cannot be used: {error}") from error


def _secret(provider: Provider) -> str:
    try:
        return Path(provider.secret_file).read_text().strip() if provider.secret_file else ""
    except OSError as error:
        raise NotRunnable(f"The secret of {provider.issuer} cannot be read: {error}") from error


@cache
def _hasher() -> Hasher:
    """One for all tenants of the process, since it is their memory that it bounds."""
    return Hasher(random=secrets.token_bytes)


@cache
def _slowdown(storage: str, networks: Path | None) -> Slowdown:
    """One for all tenants: it is the addresses that it counts."""
    if networks is None:
        return Slowdown(storage)
    try:
        return Slowdown(storage, provider_of=ProviderNetworks(networks).of)
    except Unavailable as error:
        raise NotRunnable(error.text) from error
