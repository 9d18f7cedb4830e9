"""Who runs this server, for apps that help people to find their hospital: user-access brands.

https://hl7.org/fhir/smart-app-launch/STU2.2/brands.html. The brand is an Organization of the
tenant's own store that the setting `brand` names, so that the hospital keeps all of it (name,
identifiers, addresses, portal, logo) as it keeps other resources. Only what the profile has is
published, and nothing else of the store.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final
from urllib.parse import urlsplit

from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from fhirserver.access.grant import SERVER
from fhirserver.auth.addresses import Addresses
from fhirserver.errors import FhirError
from fhirserver.interactions.request import Answer, Request
from fhirserver.model.json import decode, encode

PORTAL: Final = "http://hl7.org/fhir/StructureDefinition/organization-portal"
BRAND: Final = "http://hl7.org/fhir/StructureDefinition/organization-brand"
_FHIR_VERSION: Final = "http://hl7.org/fhir/StructureDefinition/endpoint-fhir-version"
_CONNECTION: Final = "http://terminology.hl7.org/CodeSystem/endpoint-connection-type"
_PAYLOAD: Final = "http://terminology.hl7.org/CodeSystem/endpoint-payload-type"
_ABSENT: Final = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
_REASONS: Final = frozenset({"asked-declined", "asked-unknown"})
_URI: Final = "urn:ietf:rfc:3986"
_KEPT: Final = ("identifier", "active", "type", "name", "alias", "address")
_LOGO: Final = ("brandLogo", "brandLogoLicenseType", "brandLogoLicense")
_PORTAL: Final = (
    "portalName",
    "portalDescription",
    "portalUrl",
    "portalLogo",
    "portalLogoLicenseType",
    "portalLogoLicense",
)
_SECONDS: Final = 300
_KEPT_FOR: Final = 60_000_000  # microseconds
_ENDPOINT: Final = "Endpoint/fhir-base"


class Brands:
    """The brand of one tenant. `reference` names its Organization, `addresses_of` tells by which
    address a request came; `now` gives microseconds since 1970."""

    def __init__(
        self,
        dispatch: Callable[[Request], Awaitable[Answer]],
        addresses_of: Callable[[HttpRequest], Addresses],
        reference: str,
        tenant: str,
        now: Callable[[], int],
    ) -> None:
        self._now = now
        self._known: dict[str, tuple[int, dict[str, Any]]] = {}
        self._dispatch = dispatch
        self._addresses_of = addresses_of
        self._reference = reference
        self._tenant = tenant

    async def show(self, request: HttpRequest) -> Response:
        """The bundle."""
        base = self._addresses_of(request).fhir
        return brand_response(request, base, await self._brand(base))

    async def told(self, request: HttpRequest) -> dict[str, Any]:
        """What the SMART configuration says of it."""
        base = self._addresses_of(request).fhir
        return {"user_access_brand_identifier": identifier_of(await self._brand(base), base)}

    async def _brand(self, base: str) -> dict[str, Any]:
        """Read once in a while only: each read is on record, and anybody may ask for it."""
        until, brand = self._known.get(base, (0, {}))
        if self._now() >= until:
            brand = await brand_of(self._dispatch, base, self._reference, self._tenant)
            self._known = {base: (self._now() + _KEPT_FOR, brand)}
        return brand


def brand_routes(brands: Brands) -> list[Route]:
    """The route, below `/auth`."""
    return [Route("/brands", brands.show, methods=["GET", "OPTIONS"])]


async def brand_of(
    dispatch: Callable[[Request], Awaitable[Answer]], base: str, reference: str, tenant: str
) -> dict[str, Any]:
    """The Organization that stands for the tenant; a plain one where none is named."""
    type, _, id = reference.partition("/")
    if type == "Organization" and id:
        # Where it is not there (any more), the plain one is better than no brand at all.
        with suppress(FhirError):
            answer = await dispatch(Request("read", base, type, id, grant=SERVER))
            found = decode(answer.body or b"{}")
            assert isinstance(found, dict)
            return found
    host = urlsplit(base).hostname or "localhost"
    name = host if tenant == "default" else f"{tenant} at {host}"
    return {"resourceType": "Organization", "id": tenant, "active": True, "name": name}


def identifier_of(brand: dict[str, Any], base: str) -> dict[str, str]:
    """What `user_access_brand_identifier` says; it is in the bundle exactly once."""
    for found in brand.get("identifier", ()):
        if found.get("system") and found.get("value"):
            return {"system": str(found["system"]), "value": str(found["value"])}
    return {"system": _URI, "value": base}


def bundle_of(brand: dict[str, Any], base: str) -> dict[str, Any]:
    """The User Access Brands Bundle of one brand and its endpoint."""
    updated = _updated(brand)
    organization = _organization(brand, base)
    return {
        "resourceType": "Bundle",
        "id": "user-access-brands",
        "meta": {"lastUpdated": updated},
        "type": "collection",
        "timestamp": updated,
        "entry": [
            {"fullUrl": f"{base}/Organization/{organization['id']}", "resource": organization},
            {"fullUrl": f"{base}/{_ENDPOINT}", "resource": _endpoint(brand, base)},
        ],
    }


def brand_response(request: HttpRequest, base: str, brand: dict[str, Any]) -> Response:
    """The bundle over HTTP: public, for pages of any origin, with a weak ETag."""
    headers = {
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Expose-Headers": "ETag",
        "Cache-Control": f"public, max-age={_SECONDS}",
        "X-Content-Type-Options": "nosniff",
    }
    if request.method == "OPTIONS":
        headers["Access-Control-Allow-Methods"] = "GET, OPTIONS"
        headers["Access-Control-Allow-Headers"] = "Accept, If-None-Match"
        return Response(status_code=204, headers=headers)
    body = encode(bundle_of(brand, base))
    headers["ETag"] = f'W/"{sha256(body).hexdigest()[:32]}"'
    known = [tag.strip() for tag in request.headers.get("if-none-match", "").split(",")]
    if headers["ETag"] in known:
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type="application/fhir+json")


def _organization(brand: dict[str, Any], base: str) -> dict[str, Any]:
    endpoint = {"reference": _ENDPOINT}
    # Not partOf, which is of a brand that is not in the bundle.
    kept: dict[str, Any] = {name: brand[name] for name in _KEPT if name in brand}
    named = identifier_of(brand, base)
    others = [item for item in kept.get("identifier", ()) if not _is(item, named)]
    extensions = [_pointing(item, endpoint) for item in brand.get("extension", ()) if _may(item)]
    out: dict[str, Any] = {
        "resourceType": "Organization",
        "id": brand["id"],
        "meta": {"lastUpdated": _updated(brand)},
        **kept,
        "identifier": [named, *others],
        "active": brand.get("active", True),
        "name": _name(brand),
        "telecom": [{"system": "url", "value": _site(brand, base)}],
        "endpoint": [endpoint],
    }
    return out | ({"extension": extensions} if extensions else {})


def _endpoint(brand: dict[str, Any], base: str) -> dict[str, Any]:
    return {
        "resourceType": "Endpoint",
        "id": _ENDPOINT.rpartition("/")[2],
        "meta": {"lastUpdated": _updated(brand)},
        "extension": [{"url": _FHIR_VERSION, "valueCode": "4.0.1"}],
        "status": "active",
        "connectionType": {"system": _CONNECTION, "code": "hl7-fhir-rest"},
        "name": _name(brand),
        "contact": [{"system": "url", "value": _site(brand, base)}],
        "payloadType": [{"coding": [{"system": _PAYLOAD, "code": "none"}]}],
        "address": base,
    }


def _may(extension: dict[str, Any]) -> bool:
    """Whether it is one of the profile's, without a reason for absence that it does not allow."""
    if extension.get("url") not in (PORTAL, BRAND):
        return False
    return _REASONS.issuperset(_reasons(extension))


def _reasons(value: Any) -> Iterator[str]:
    """The reasons for absence that stand anywhere in a value."""
    if isinstance(value, dict):
        if value.get("url") == _ABSENT:
            yield str(value.get("valueCode"))
        for inner in value.values():
            yield from _reasons(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _reasons(inner)


def _pointing(extension: dict[str, Any], endpoint: dict[str, str]) -> dict[str, Any]:
    """The extension with the parts that it has by definition; a portal with our endpoint."""
    known = _PORTAL if extension["url"] == PORTAL else _LOGO
    parts = [part for part in extension.get("extension", ()) if part.get("url") in known]
    if extension["url"] == PORTAL:
        parts.append({"url": "portalEndpoint", "valueReference": endpoint})
    return {"url": extension["url"], "extension": parts}


def _name(brand: dict[str, Any]) -> str:
    return str(brand.get("name", "FHIR server"))


def _site(brand: dict[str, Any], base: str) -> str:
    """The primary public website, of which the profile has exactly one."""
    told = brand.get("telecom", ())
    found = (str(one["value"]) for one in told if one.get("system") == "url" and one.get("value"))
    return next(found, base.rpartition("/")[0] + "/")


def _is(item: dict[str, Any], named: dict[str, str]) -> bool:
    return (item.get("system"), item.get("value")) == (named["system"], named["value"])


def _updated(brand: dict[str, Any]) -> str:
    known = brand.get("meta", {}).get("lastUpdated")
    return str(known) if known else datetime.fromtimestamp(0, UTC).isoformat()
