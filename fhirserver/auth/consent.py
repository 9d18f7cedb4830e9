"""The consent screen: what the app asks for in plain words, and what of it the user agrees to."""

from __future__ import annotations

from typing import Final

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from fhirserver.access.scope import Scope, in_words
from fhirserver.auth.agreement import everything_of, has_use, possible
from fhirserver.auth.answer import grant
from fhirserver.auth.choices import Offer, granted, offer_of, ticked_of
from fhirserver.auth.client import Client
from fhirserver.auth.interaction import Interaction
from fhirserver.auth.oauth_error import OAuthError
from fhirserver.auth.pages.page import redirect
from fhirserver.auth.pending import Held
from fhirserver.auth.remembered import Agreement
from fhirserver.auth.sign_in.browser import CSRF
from fhirserver.errors import FhirError, Forbidden
from fhirserver.identity.session import SignedIn

_MOST_FIELDS: Final = 2000
_EXAMPLES: Final = 40


async def consent_page(
    parts: Interaction,
    request: Request,
    held: Held,
    signed_in: SignedIn,
    client: Client,
    error: str = "",
) -> Response:
    """The screen for a request whose patient is chosen."""
    asked, patient = held.pending.request, held.pending.patient
    offer = offered(parts, held, signed_in, client)
    shown = None
    if patient is not None:
        chart = await parts.chart(request, signed_in)
        shown = await chart.patient(patient)
    missing = [scope for scope in asked.wanted if str(scope) not in map(str, offer.scopes)]
    return parts.browser.page(
        request,
        "consent.html",
        form_action=parts.targets(held),
        client=client,
        token=held.token,
        user=signed_in.account.called,
        patient=shown,
        is_own=patient is not None and signed_in.account.fhir_user == f"Patient/{patient}",
        offer=offer,
        identity=[(str(scope), in_words(scope)) for scope in offer.identity],
        context=[in_words(scope) for scope in offer.context],
        missing=[in_words(scope) for scope in missing][:_EXAMPLES],
        rememberable=parts.remembered.may(client, offer.scopes),
        error=error,
    )


class Consent:
    """POST of `/authorize/{token}`."""

    def __init__(self, parts: Interaction) -> None:
        self._parts = parts

    async def answer(self, request: Request) -> Response:
        """What the user said."""
        parts = self._parts
        held = await parts.pending.get(request.path_params["token"])
        if held is None:
            return parts.over(request)
        try:
            form = await form_of(parts, request, _MOST_FIELDS)
        except FhirError as error:
            return parts.message(request, "Not sent", error.text, error.status)
        signed_in = await owner(parts, request, held)
        client = await parts.clients.live(held.pending.request.client)
        if signed_in is None or client is None or not held.pending.chosen:
            return parts.step(request, held)
        try:
            if form.get("answer") != "allow":
                return await self._denied(request, held, signed_in)
            return await self._allowed(request, held, signed_in, client, form)
        except OAuthError as error:
            await parts.pending.drop(held.token)
            return redirect(parts.refuse(request, held.pending.request, error))

    async def _allowed(
        self,
        request: Request,
        held: Held,
        signed_in: SignedIn,
        client: Client,
        form: FormData,
    ) -> Response:
        parts = self._parts
        offer = offered(parts, held, signed_in, client)
        pairs = [(name, value) for name, value in form.multi_items() if isinstance(value, str)]
        found = granted(offer, ticked_of(pairs))
        if not has_use(found):
            error = "Tick something that the app may do, or choose “Do not allow”."
            return await consent_page(parts, request, held, signed_in, client, error)
        texts = _texts(found)
        address = await grant(parts, request, held, signed_in, texts)
        if address is None:
            return parts.over(request)
        if "remember" in form and parts.remembered.may(client, found):
            agreed = Agreement(asked=_texts(offer.scopes), granted=texts)
            await parts.remembered.keep(signed_in.account.id, client, held.pending.patient, agreed)
        return redirect(address)

    async def _denied(self, request: Request, held: Held, signed_in: SignedIn) -> Response:
        parts = self._parts
        asked = held.pending.request
        await parts.pending.drop(held.token)
        await parts.record(
            request, "grant-denied", signed_in, asked.client, patient=held.pending.patient
        )
        error = OAuthError("access_denied", "The user did not allow it.")
        return redirect(parts.refuse(request, asked, error))


def offered(parts: Interaction, held: Held, signed_in: SignedIn, client: Client) -> Offer:
    """What of the request the user can tick."""
    roles, policies = signed_in.account.roles, parts.charts.policies
    pending = held.pending
    scopes = possible(pending.request, client, roles, policies, pending.patient)
    return offer_of(scopes, everything_of(roles, policies, parts.definitions))


async def owner(parts: Interaction, request: Request, held: Held) -> SignedIn | None:
    """Who is signed in, if it is the one who took the request up, in the same session."""
    found = await parts.browser.signed_in(request)
    if found is None:
        return None
    mine = (held.pending.account, held.pending.session) == (found.account.id, found.session.key)
    return found if mine else None


async def form_of(parts: Interaction, request: Request, fields: int) -> FormData:
    """The form that a page of ours sent. Raises `Forbidden` for any other."""
    parts.browser.check_site(request)
    try:
        form = await request.form(max_fields=fields, max_files=0)
    except Exception as error:  # Starlette's own, for what is no form or too much of one
        raise Forbidden("This form cannot be read.") from error
    parts.browser.check(request, form.get(CSRF))
    return form


def _texts(scopes: tuple[Scope, ...]) -> tuple[str, ...]:
    return tuple(str(scope) for scope in scopes)
