"""The token endpoint (RFC 6749 sections 3.2, 4.1.3, 4.4, 6; SMART App Launch 2.2)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request

from fhirserver.access.principal import Principal
from fhirserver.audit.recorder import SERIOUS, Event
from fhirserver.auth.access_token import AccessToken
from fhirserver.auth.addresses import Addresses
from fhirserver.auth.authenticate import SYSTEM
from fhirserver.auth.authorization import SECOND, Authorization
from fhirserver.auth.client import Client
from fhirserver.auth.id_token import id_token
from fhirserver.auth.live import Parties, scopes_of
from fhirserver.auth.oauth_error import OAuthError
from fhirserver.auth.parameters import Parameters, required
from fhirserver.auth.pkce import proves
from fhirserver.auth.server import AuthorizationServer
from fhirserver.auth.token_scopes import narrowed, of_system

GRANT_TYPES: Final = ("authorization_code", "refresh_token", "client_credentials")


@dataclass(frozen=True, slots=True)
class Asked:
    """A token request, of a client that has authenticated.

    `thumbprint` is that of the DPoP key that it came with.
    """

    request: Request
    form: Parameters
    client: Client
    addresses: Addresses
    thumbprint: str | None = None


async def token(
    server: AuthorizationServer, request: Request, form: Parameters
) -> tuple[dict[str, Any], Client]:
    """The token response to a form, and its client. Raises `OAuthError`."""
    grant_type = required(form, "grant_type")
    addresses = server.addresses(request)
    grant = _GRANTS.get(grant_type)
    if grant is None:
        raise OAuthError("unsupported_grant_type", f"grant_type is one of {', '.join(_GRANTS)}.")
    form = await _named(server, request, form)
    client = await server.client_authentication.client(request.headers, form, addresses)
    if grant_type not in client.grant_types:
        raise OAuthError("unauthorized_client", "The client is not registered for this grant.")
    proof = request.headers.get("dpop")
    thumbprint = None
    if proof is not None:
        thumbprint = await server.proofs.thumbprint(proof, "POST", addresses.token)
    elif client.dpop:
        raise OAuthError("invalid_dpop_proof", "This client sends a DPoP proof.")
    return await grant(server, Asked(request, form, client, addresses, thumbprint)), client


async def _named(server: AuthorizationServer, request: Request, form: Parameters) -> Parameters:
    """The form with the client_id that it may go without: that of a public client which refreshes
    (RFC 6749 section 6 asks for none, and the SMART project's JavaScript client sends none)."""
    says = {"client_id", "client_secret", "client_assertion"} & form.keys()
    token = form.get("refresh_token")
    if says or token is None or "authorization" in request.headers:
        return form
    held = await server.authorizations.of_refresh_token(token)
    return form if held is None else {**form, "client_id": held.authorization.client}


async def _by_code(server: AuthorizationServer, asked: Asked) -> dict[str, Any]:
    form, client = asked.form, asked.client
    held = await server.authorizations.of_code(required(form, "code"))
    found = held.authorization
    if found.used:
        await _reused(server, asked, found, "code-replay")
        raise OAuthError("invalid_grant", "The code was used before. Ask the user again.")
    # What is wrong is not told, and uses nothing up: only the client that the code was made
    # for, with what only it can know, gets any further.
    fits = (
        found.client == client.id
        and found.redirect_uri == form.get("redirect_uri")
        and found.tenant == server.tenant
        and asked.addresses.is_audience(found.audience)
        and proves(form.get("code_verifier"), found.challenge)
        and (found.thumbprint is None or found.thumbprint == asked.thumbprint)
    )
    if not fits:
        raise OAuthError("invalid_grant", "The code is not for this request.")
    parties = await _parties(server, found)
    thumbprint = asked.thumbprint if client.dpop or found.thumbprint else None
    try:
        redeemed = await server.authorizations.redeem(held, thumbprint=thumbprint)
    except OAuthError:
        await _reused(server, asked, found, "code-replay")
        raise
    answer = await _access(server, asked, redeemed.authorization, found.scopes)
    if redeemed.refresh_token:
        answer["refresh_token"] = redeemed.refresh_token
    account = parties.account
    if "openid" in found.scopes and account is not None:
        answer["id_token"] = await id_token(
            server.signing_keys, redeemed.authorization, account, asked.addresses, server.now()
        )
    await _tell(server, "token-issued", asked, redeemed.authorization, parties)
    return answer


async def _by_refresh_token(server: AuthorizationServer, asked: Asked) -> dict[str, Any]:
    form, client = asked.form, asked.client
    text = required(form, "refresh_token")
    refused = OAuthError("invalid_grant", "The refresh token is not valid. Ask the user again.")
    held = await server.authorizations.of_refresh_token(text)
    if held is None or held.authorization.client != client.id:
        raise refused
    found = held.authorization
    if found.thumbprint is not None and asked.thumbprint is None:
        raise OAuthError("invalid_dpop_proof", "The refresh token is bound to a key.")
    if client.is_public and found.thumbprint not in (None, asked.thumbprint):
        raise refused
    if not asked.addresses.is_audience(found.audience):
        raise refused
    parties = await _parties(server, found)
    scopes = narrowed(form.get("scope"), scopes_of(client, found.scopes))
    try:
        refreshed = await server.authorizations.refresh(text, rotates=client.rotates_refresh_tokens)
    except OAuthError:
        await _reused(server, asked, found, "refresh-replay")
        raise
    answer = await _access(server, asked, refreshed.authorization, scopes)
    answer["refresh_token"] = refreshed.refresh_token
    await _tell(server, "token-refreshed", asked, refreshed.authorization, parties)
    return answer


async def _by_client(server: AuthorizationServer, asked: Asked) -> dict[str, Any]:
    client = asked.client
    if client.kind != "asymmetric":
        # SMART 2.2, Backend Services: a secret that is sent is not enough.
        raise OAuthError("unauthorized_client", "Systems authenticate by signed assertions.")
    scopes = of_system(required(asked.form, "scope"), client)
    authorization = await server.authorizations.grant_system(
        server.tenant, client.id, scopes, asked.addresses.fhir
    )
    answer = await _access(server, asked, authorization, scopes)
    await _tell(server, "token-issued", asked, authorization, None)
    return answer


async def _parties(server: AuthorizationServer, authorization: Authorization) -> Parties:
    """Who it is between. Raises `invalid_grant` where one of them may not go on."""
    parties = await server.liveness.of_authorization(authorization)
    if parties is None and not authorization.used:
        raise OAuthError("invalid_grant", "The code is not valid: it is unknown, used, or expired.")
    if parties is None:
        raise OAuthError("invalid_grant", "The authorization has ended. Ask the user again.")
    return parties


async def _access(
    server: AuthorizationServer, asked: Asked, authorization: Authorization, scopes: tuple[str, ...]
) -> dict[str, Any]:
    """A new access token, and what is told with it (SMART 2.2, launch context parameters)."""
    client, now = asked.client, server.now()
    is_system = authorization.user is None
    life = server.lifetimes.system_access if is_system else server.lifetimes.access
    if client.access_seconds is not None:
        life = min(life, client.access_seconds * SECOND)
    until = min(now + life, authorization.until)
    is_bound = client.dpop or authorization.thumbprint is not None
    scopes = scopes_of(client, scopes)
    if not scopes:
        raise OAuthError("invalid_scope", "The client may have none of these scopes.")
    token = AccessToken(
        authorization=authorization.id,
        client=client.id,
        user=authorization.user,
        scopes=scopes,
        issued=now,
        until=until,
        thumbprint=asked.thumbprint if is_bound else None,
    )
    return {
        "access_token": await server.access_tokens.issue(token),
        "token_type": "DPoP" if is_bound else "Bearer",
        "expires_in": (until - now) // SECOND,
        "scope": " ".join(scopes),
        **launch_context(authorization),
    }


def launch_context(authorization: Authorization) -> dict[str, Any]:
    """The parameters of the launch context that were granted."""
    context = dict(authorization.context)
    for name in ("patient", "encounter"):
        if (value := getattr(authorization, name)) is not None:
            context[name] = value
    return context


async def _tell(
    server: AuthorizationServer,
    kind: str,
    asked: Asked,
    authorization: Authorization,
    parties: Parties | None,
) -> None:
    account = parties.account if parties else None
    principal = Principal(
        subject=account.id if account else f"{SYSTEM}{asked.client.id}",
        tenant=server.tenant,
        roles=account.roles if account else asked.client.roles,
        fhir_user=account.fhir_user if account else None,
        client=asked.client.id,
        patient=authorization.patient,
        authorization=authorization.id,
        name=account.called if account else asked.client.name,
    )
    await server.record(
        Event(
            kind,
            principal=principal,
            patient=authorization.patient,
            about=(f"auth.grant/{authorization.id}",),
            origin=server.origin(asked.request),
        )
    )


async def _reused(
    server: AuthorizationServer, asked: Asked, authorization: Authorization, reason: str
) -> None:
    """Ends an authorization of which a used code came again, and records why it has ended.

    A refresh token that came again has ended it already.
    """
    if authorization.used and reason == "code-replay":
        await server.authorizations.revoke(authorization.id, reason)
    after = await server.authorizations.get(authorization.id)
    if after is None or after.authorization.reason != reason:
        return
    about = (f"auth.grant/{authorization.id}", f"auth.client/{asked.client.id}")
    await server.record(
        Event(
            "token-reused",
            SERIOUS,
            account=authorization.user,
            about=about,
            reason=reason,
            origin=server.origin(asked.request),
        )
    )


_GRANTS: Final[dict[str, Callable[[AuthorizationServer, Asked], Awaitable[dict[str, Any]]]]] = dict(
    zip(GRANT_TYPES, (_by_code, _by_refresh_token, _by_client), strict=True)
)
