"""The endpoints that clients call, as routes (below `/auth`), and what every answer has in common.

The pages that users see are routes of other modules.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from fhirserver.audit.recorder import Event
from fhirserver.auth.authorization_request import NotRegistered, checked
from fhirserver.auth.client import Client
from fhirserver.auth.discovery import openid_configuration, smart_configuration
from fhirserver.auth.dpop_nonce import HEADER
from fhirserver.auth.introspection import introspection
from fhirserver.auth.oauth_error import OAuthError
from fhirserver.auth.parameters import Parameters, body_of, form_of
from fhirserver.auth.pushed import LIFE
from fhirserver.auth.registration import registered
from fhirserver.auth.revocation import revocation
from fhirserver.auth.server import AuthorizationServer
from fhirserver.auth.signing_keys import KEPT_SECONDS
from fhirserver.auth.token_endpoint import token
from fhirserver.errors import FhirError
from fhirserver.model.json import decode

_LOG = logging.getLogger("fhirserver.auth")
_NOT_KEPT: Final = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_PUBLIC: Final = {"Access-Control-Allow-Origin": "*", "X-Content-Type-Options": "nosniff"}
_PREFLIGHT: Final = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    "Access-Control-Allow-Headers": "Accept, Authorization, Content-Type, DPoP",
    "Access-Control-Max-Age": "7200",
}
_WEB: Final = ("http", "https")

Answer: TypeAlias = tuple[int, Any, Client | None]
"""Status, JSON value (None: no body) and client of an answer."""

Endpoint: TypeAlias = Callable[[Request, Parameters], Awaitable[Answer]]

Handler: TypeAlias = Callable[[Request], Awaitable[Response]]

More: TypeAlias = Callable[[Request], Awaitable[dict[str, Any]]]
"""Further members of a configuration."""


def endpoints(server: AuthorizationServer) -> list[Route]:
    """The routes of token, introspection, revocation, pushed requests, keys and configuration."""

    async def tokens(request: Request, form: Parameters) -> Answer:
        body, client = await token(server, request, form)
        return 200, body, client

    async def introspections(request: Request, form: Parameters) -> Answer:
        return 200, await introspection(server, request, form), None

    async def revocations(request: Request, form: Parameters) -> Answer:
        return 200, None, await revocation(server, request, form)

    async def pushes(request: Request, form: Parameters) -> Answer:
        return await _push(server, request, form)

    async def keys(request: Request) -> Response:
        return _public(await server.signing_keys.jwks(), f"max-age={KEPT_SECONDS}")

    async def configuration(request: Request) -> Response:
        found = openid_configuration(server.addresses(request), server.platform.registration)
        return _public(found)

    return [
        _form_route(server, "/token", tokens),
        _form_route(server, "/introspect", introspections),
        _form_route(server, "/revoke", revocations),
        _form_route(server, "/par", pushes),
        Route("/register", _guarded(lambda request: _register(server, request)), methods=["POST"]),
        Route("/jwks", _guarded(keys), methods=["GET"]),
        Route("/.well-known/openid-configuration", _guarded(configuration), methods=["GET"]),
    ]


async def smart_configured(
    server: AuthorizationServer, request: Request, more: More | None = None
) -> Response:
    """The answer at `[fhir]/.well-known/smart-configuration`, which is public.

    `more` gives members that the store is asked for.
    """
    if request.method == "OPTIONS":
        return Response(status_code=204, headers=_PREFLIGHT)

    async def configuration(request: Request) -> Response:
        found = smart_configuration(server.addresses(request), server.platform.registration)
        return _public(found | await more(request) if more else found)

    return await _guarded(configuration)(request)


def _form_route(server: AuthorizationServer, path: str, endpoint: Endpoint) -> Route:
    async def answer(request: Request) -> Response:
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=_PREFLIGHT)
        named: str | None = None
        try:
            form = await form_of(request)
            named = form.get("client_id")
            status, body, client = await endpoint(request, form)
        except OAuthError as error:
            client = await server.clients.live(named) if named else None
            response = refused(error)
        else:
            response = _json(status, body)
        if server.nonces is not None and "dpop" in request.headers:
            response.headers[HEADER] = server.nonces.current()
        _let_read(response, request, client)
        return response

    return Route(path, _guarded(answer), methods=["POST", "OPTIONS"])


def refused(error: OAuthError) -> Response:
    """The error response of an endpoint (RFC 6749 section 5.2)."""
    body = {"error": error.code, "error_description": error.text}
    return _json(error.status, body, {**error.headers})


def _guarded(endpoint: Handler) -> Handler:
    """The endpoint, with an answer for whatever goes wrong in it."""

    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except OAuthError as error:
            return refused(error)
        except ClientDisconnect:
            return Response(status_code=400)
        except FhirError as error:
            code = "invalid_request" if error.status < 500 else "temporarily_unavailable"
            body = {"error": code, "error_description": error.text}
            return _json(error.status, body, error.headers)
        except Exception as error:  # noqa: BLE001 - the last resort; it is logged
            # Not its text, which may quote the request.
            _LOG.error("%s failed: %s", request.url.path, type(error).__name__)
            return refused(OAuthError("server_error", "The server failed. Try again."))

    return answer


async def _push(server: AuthorizationServer, request: Request, form: Parameters) -> Answer:
    addresses = server.addresses(request)
    client = await server.client_authentication.client(
        request.headers, form, addresses, beside=addresses.push
    )
    if "request_uri" in form:
        raise OAuthError("invalid_request", "A request that is pushed has no request_uri.")
    secrets = ("client_secret", "client_assertion", "client_assertion_type")
    wanted = {name: value for name, value in form.items() if name not in secrets}
    wanted["client_id"] = client.id
    if (proof := request.headers.get("dpop")) is not None:  # RFC 9449 section 10.1
        thumbprint = await server.proofs.thumbprint(proof, "POST", addresses.push)
        if wanted.setdefault("dpop_jkt", thumbprint) != thumbprint:
            raise OAuthError("invalid_dpop_proof", "dpop_jkt is of another key than the proof.")
    try:
        checked(wanted, client, addresses.fhir)
    except NotRegistered as error:
        raise OAuthError("invalid_request", str(error)) from None
    uri = await server.pushed.push(client, wanted)
    return 201, {"request_uri": uri, "expires_in": LIFE}, client


async def _register(server: AuthorizationServer, request: Request) -> Response:
    policy = server.platform.registration
    if policy == "off":
        raise OAuthError("invalid_request", "Clients are registered by an administrator here.")
    try:
        metadata = decode(await body_of(request))
    except FhirError:
        raise OAuthError("invalid_client_metadata", "Send the metadata as JSON.") from None
    client, body = registered(
        metadata,
        now=server.now(),
        random=server.platform.random,
        suspended=policy == "suspended",
    )
    await server.clients.add(client)
    about = (f"auth.client/{client.id}",)
    await server.record(Event("client-registered", about=about, origin=server.origin(request)))
    return _json(201, body)


def _let_read(response: Response, request: Request, client: Client | None) -> None:
    """Lets a page of one of the client's origins read the answer."""
    origin = request.headers.get("origin")
    response.headers["Vary"] = "Origin"
    if origin is not None and client is not None and origin.lower() in origins_of(client):
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = HEADER


def origins_of(client: Client) -> frozenset[str]:
    """The origins of a client's pages: those of its redirect URIs, and those it named."""
    return frozenset((*_origins(client.redirect_uris), *_origins(client.origins)))


def _origins(addresses: Iterable[str]) -> Iterable[str]:
    for address in addresses:
        parts = urlsplit(address)
        if parts.scheme in _WEB and parts.netloc:
            yield f"{parts.scheme}://{parts.netloc}".lower()


def _public(body: Any, cache: str = "max-age=300") -> Response:
    return _json(200, body, {**_PUBLIC, "Cache-Control": f"public, {cache}", "Pragma": ""})


def _json(status: int, body: Any, headers: dict[str, str] | None = None) -> Response:
    lines = {**_NOT_KEPT, "X-Content-Type-Options": "nosniff", **(headers or {})}
    lines = {name: value for name, value in lines.items() if value}
    if body is None:
        return Response(status_code=status, headers=lines)
    content = msgspec.json.encode(body)
    return Response(content, status, headers=lines, media_type="application/json")
