"""What a token is good for (RFC 7662; SMART App Launch 2.2, token introspection)."""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request

from fhirserver.auth.addresses import Addresses
from fhirserver.auth.authenticate import credentials
from fhirserver.auth.authorization import SECOND
from fhirserver.auth.id_token import person
from fhirserver.auth.live import INTROSPECTION, Live
from fhirserver.auth.oauth_error import OAuthError
from fhirserver.auth.parameters import Parameters, required
from fhirserver.auth.server import AuthorizationServer
from fhirserver.auth.token_endpoint import launch_context
from fhirserver.errors import Unauthenticated

INACTIVE: Final[dict[str, Any]] = {"active": False}
"""All that is told of a token that is not good, or not the caller's to ask about."""


async def introspection(
    server: AuthorizationServer, request: Request, form: Parameters
) -> dict[str, Any]:
    """The introspection response to a form. Raises `OAuthError` for who may not ask.

    A confidential client may ask about its own tokens; about those of every client: one that
    is registered for it, and whoever shows an access token with the scope `introspection`.
    """
    addresses = server.addresses(request)
    only = await _asker(server, request, form, addresses)
    live = await server.liveness.of_token(required(form, "token"))
    if live is None or (only is not None and live.parties.client.id != only):
        return INACTIVE
    return described(live, addresses)


def described(live: Live, addresses: Addresses) -> dict[str, Any]:
    """What an introspection response says of a live token."""
    token, authorization, account = live.token, live.parties.authorization, live.parties.account
    out: dict[str, Any] = {
        "active": True,
        "scope": " ".join(live.scopes),
        "client_id": token.client,
        "token_type": "DPoP" if token.thumbprint else "Bearer",
        "iat": token.issued // SECOND,
        "exp": token.until // SECOND,
        "iss": addresses.issuer,
        "aud": authorization.audience,
        "sub": account.id if account else token.client,
        **launch_context(authorization),
    }
    if account is not None:
        out |= person(live.scopes, account, addresses)
        out.pop("profile", None)
    if token.thumbprint is not None:
        out["cnf"] = {"jkt": token.thumbprint}
    return out


async def _asker(
    server: AuthorizationServer, request: Request, form: Parameters, addresses: Addresses
) -> str | None:
    """The client of whose tokens the caller may ask; None: of every client's."""
    scheme = request.headers.get("authorization", "").partition(" ")[0].lower()
    if scheme in ("bearer", "dpop"):
        headers = {name.lower(): value for name, value in request.scope["headers"]}
        try:
            _, text = credentials(headers)
            await server.authenticator.principal(headers, request.method, addresses.introspect)
        except Unauthenticated as error:
            raise OAuthError("invalid_token", error.text, headers=error.headers) from None
        live = await server.liveness.of_token(text)
        if live is None or INTROSPECTION not in live.scopes:
            challenge = f'Bearer realm="auth", error="insufficient_scope", scope="{INTROSPECTION}"'
            raise OAuthError(
                "insufficient_scope",
                f"The token needs the scope {INTROSPECTION}.",
                headers={"WWW-Authenticate": challenge},
            )
        return None
    client = await server.client_authentication.client(
        request.headers, form, addresses, beside=addresses.introspect
    )
    if client.is_public:
        raise OAuthError("invalid_client", "Only clients that authenticate may ask.")
    return None if client.introspects else client.id
