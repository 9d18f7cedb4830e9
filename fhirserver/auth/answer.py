"""The answer to an authorization request that the user agreed to."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request

from fhirserver.auth.authorization import Approved
from fhirserver.auth.authorization_response import code_response
from fhirserver.auth.interaction import Interaction
from fhirserver.auth.oauth_error import OAuthError
from fhirserver.auth.pending import Held, Pending
from fhirserver.identity.session import SignedIn


async def grant(
    parts: Interaction, request: Request, held: Held, signed_in: SignedIn, scopes: tuple[str, ...]
) -> str | None:
    """Where to send the browser with a code for these scopes; None if it was answered before.

    Raises `OAuthError` where it cannot be granted. What was granted is on record before anybody
    gets the code.
    """
    pending, account = held.pending, signed_in.account
    asked = pending.request
    if pending.patient is None and any(scope.startswith("patient/") for scope in scopes):
        raise OAuthError("access_denied", "There is no patient whose record to open.")
    if not await parts.pending.end(held):
        return None
    if asked.launch is not None and not await parts.launches.use(asked.launch):
        raise OAuthError("invalid_request", "The launch was used before.")
    addresses = parts.addresses_of(request)
    approved = Approved(
        tenant=parts.tenant,
        client=asked.client,
        user=account.id,
        scopes=scopes,
        audience=asked.audience,
        redirect_uri=asked.redirect_uri,
        challenge=asked.challenge,
        nonce=asked.nonce,
        patient=pending.patient,
        encounter=pending.encounter,
        context=context_of(parts.tenant, pending, f"{addresses.issuer}/style.json"),
        session=signed_in.session.key,
        authenticated=signed_in.session.authenticated_at,
        methods=signed_in.session.methods,
        thumbprint=asked.thumbprint,
    )
    granted = await parts.authorizations.grant(approved)
    await parts.record(
        request,
        "grant-given",
        signed_in,
        asked.client,
        patient=pending.patient,
        scope=" ".join(scopes),
        authorization=granted.authorization.id,
    )
    return code_response(
        asked.redirect_uri, code=granted.code, state=asked.state, issuer=addresses.issuer
    )


def context_of(tenant: str, pending: Pending, style: str) -> dict[str, Any]:
    """What the token response tells beside patient and encounter (SMART 2.2, launch context)."""
    launch = pending.launch
    context: dict[str, Any] = {"smart_style_url": style, "tenant": tenant}
    if pending.patient is not None:
        context["need_patient_banner"] = True if launch is None else launch.banner
    if launch is not None and launch.intent is not None:
        context["intent"] = launch.intent
    if launch is not None and launch.fhir_context:
        context["fhirContext"] = list(launch.fhir_context)
    return context
