"""What of the settings the gate and the FHIR base go by."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from fhirserver.interactions.context import Policy
from fhirserver.rest.application import Edge
from fhirserver.rest.base_url import ANY_HOST, LOOPBACK_HOSTS, BaseUrl
from fhirserver.rest.body import BodyLimits
from fhirserver.rest.cors import ANY_ORIGIN, Cors
from fhirserver.settings import Settings

FHIR_PATH: Final = "/fhir"


def policy_of(settings: Settings) -> Policy:
    """The house rules among the settings."""
    names = Policy.__dataclass_fields__
    return Policy(**{name: getattr(settings, name) for name in names})


def edge_of(settings: Settings) -> Edge:
    """How the FHIR base meets HTTP."""
    return Edge(
        base_url=BaseUrl(
            f"{settings.root}{FHIR_PATH}",
            settings.base_url,
            _allowed_hosts(settings),
            settings.trusted_proxies,
        ),
        body=BodyLimits(settings.body_limit, settings.body_seconds),
        cors=Cors(_origins(settings)),
        uri_limit=settings.uri_limit,
        gzip_over=settings.gzip_over,
        log_requests=settings.log_requests,
    )


def local_base(settings: Settings) -> str:
    """The service base URL for those who have no other: that which the server listens on."""
    return f"{settings.scheme}://{settings.host}:{settings.port}{settings.root}{FHIR_PATH}"


def _origins(settings: Settings) -> frozenset[str]:
    """Whose pages may use the FHIR base: with authorization those of all, because what a browser
    sends along by itself (cookies) proves nothing there."""
    if not settings.cors_origins and settings.auth != "none":
        return frozenset({ANY_ORIGIN})
    return frozenset(origin.lower().rstrip("/") for origin in settings.cors_origins)


def _allowed_hosts(settings: Settings) -> tuple[str, ...]:
    if settings.allowed_hosts:
        return tuple(host.lower() for host in settings.allowed_hosts)
    if settings.auth != "none":
        return (ANY_HOST,)
    named = urlsplit(settings.base_url).hostname if settings.base_url else None
    return (*LOOPBACK_HOSTS, settings.host.lower(), *([named] if named else ()))
