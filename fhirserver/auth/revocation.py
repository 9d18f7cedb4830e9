"""Giving tokens back (RFC 7009)."""

from __future__ import annotations

from starlette.requests import Request

from fhirserver.audit.recorder import Event
from fhirserver.auth.client import Client
from fhirserver.auth.parameters import Parameters, required
from fhirserver.auth.server import AuthorizationServer


async def revocation(server: AuthorizationServer, request: Request, form: Parameters) -> Client:
    """Ends the token of a form, if it is the client's own; gives the client.

    A refresh token takes its authorization with it, an access token goes alone. Of a token that
    is unknown or another's, nothing is told. Raises `OAuthError` for who is no client.
    """
    addresses = server.addresses(request)
    client = await server.client_authentication.client(
        request.headers, form, addresses, beside=addresses.revoke
    )
    text = required(form, "token")
    held = await server.authorizations.of_refresh_token(text)
    if held is not None and held.authorization.client == client.id:
        if await server.authorizations.revoke(held.authorization.id, "client"):
            await _tell(server, request, "grant-revoked", held.authorization.id, client)
        return client
    token = await server.access_tokens.get(text)
    if token is not None and token.client == client.id:
        await server.access_tokens.revoke(text)
        await _tell(server, request, "token-revoked", token.authorization, client)
    return client


async def _tell(
    server: AuthorizationServer, request: Request, kind: str, authorization: str, client: Client
) -> None:
    about = (f"auth.grant/{authorization}", f"auth.client/{client.id}")
    await server.record(Event(kind, about=about, reason="client", origin=server.origin(request)))
