"""The authorization endpoint, and the steps to its answer (SMART App Launch 2.2; RFC 6749, 4.1).

A request is checked and kept, and the browser goes from step to step: sign in, choose whose
record, agree. Each step looks at all of it anew, so that no step can be left out. Redirects are
303, nothing is shared with other origins, no page can be framed (RFC 9700 sections 2.1, 4.12 to
4.16).
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from fhirserver.auth.agreement import has_use, possible
from fhirserver.auth.answer import grant
from fhirserver.auth.authorization import SECOND
from fhirserver.auth.authorization_request import (
    AuthorizationRequest,
    NotRegistered,
    checked,
    redirect_of,
)
from fhirserver.auth.authorization_response import error_response
from fhirserver.auth.client import Client
from fhirserver.auth.consent import consent_page
from fhirserver.auth.interaction import Interaction
from fhirserver.auth.launches import Launch
from fhirserver.auth.oauth_error import OAuthError
from fhirserver.auth.pages.page import redirect
from fhirserver.auth.parameters import form_of, pairs_of
from fhirserver.auth.pending import Held
from fhirserver.errors import FhirError
from fhirserver.identity.session import SignedIn
from fhirserver.store.port import Stale

_TITLE = "This app cannot be connected"


class Authorize:
    """`/authorize` and `/authorize/{token}`."""

    def __init__(self, parts: Interaction) -> None:
        self._parts = parts

    async def begin(self, request: Request) -> Response:
        """GET or POST of a client's request."""
        parts = self._parts
        try:
            fields = await _sent(request)
            client = await parts.clients.live(fields.get("client_id", ""))
            was_pushed = "request_uri" in fields
            if was_pushed and client is not None:
                taken = await parts.pushed.take(fields["request_uri"], client.id)
                fields = {**taken, "client_id": client.id}
            redirect_uri = redirect_of(fields, client)
        except NotRegistered as error:
            return parts.message(request, _TITLE, str(error))
        except OAuthError as error:
            return parts.message(request, _TITLE, error.text)
        assert client is not None
        addresses = parts.addresses_of(request)
        try:
            if client.pushes and not was_pushed:
                raise OAuthError("invalid_request", "This client has to push its requests.")
            asked = checked(fields, client, addresses.fhir)
            held = await parts.pending.begin(asked, await self._launch(asked))
        except OAuthError as error:
            state = fields.get("state", "")
            back = error_response(redirect_uri, error, state=state, issuer=addresses.issuer)
            if client.dynamic and await parts.browser.signed_in(request) is None:
                # Anybody can register an address and order such an error, so as to send people
                # there by a link that looks like ours (RFC 9700, 4.11.2): they have to want it.
                return self._offered(request, redirect_uri, back)
            return redirect(back)
        return parts.step(request, held)

    def _offered(self, request: Request, redirect_uri: str, back: str) -> Response:
        parts = urlsplit(redirect_uri)
        link = (back, f"Go on to {parts.netloc or parts.scheme}")
        text = (
            "The app asked for something that it cannot have. It is not one of this server's own."
        )
        return self._parts.message(request, _TITLE, text, link=link)

    async def proceed(self, request: Request) -> Response:
        """The next step of a request under way."""
        parts = self._parts
        held = await parts.pending.get(request.path_params["token"])
        if held is None:
            return parts.over(request)
        try:
            return await self._next(request, held)
        except Stale:  # two pages of one request at a time: the later one looks again
            return parts.step(request, held)
        except OAuthError as error:
            await parts.pending.drop(held.token)
            return redirect(parts.refuse(request, held.pending.request, error))

    async def _next(self, request: Request, held: Held) -> Response:
        parts = self._parts
        asked = held.pending.request
        client = await parts.clients.live(asked.client)
        if client is None:
            raise OAuthError("unauthorized_client", "This client is not registered any more.")
        signed_in = await parts.browser.signed_in(request)
        if signed_in is None or self._is_stale(held, signed_in):
            return await self._sign_in(request, held, fresh=signed_in is not None)
        if held.pending.account not in ("", signed_in.account.id):
            return parts.message(request, _TITLE, "Somebody else began this.", 403)
        held = await self._taken_up(held, signed_in)
        if not held.pending.chosen:
            chosen = await self._chosen(request, held, signed_in)
            if isinstance(chosen, Response):
                return chosen
            held = chosen
        return await self._agreement(request, held, signed_in, client)

    async def _agreement(
        self, request: Request, held: Held, signed_in: SignedIn, client: Client
    ) -> Response:
        parts = self._parts
        asked, account = held.pending.request, signed_in.account
        patient = held.pending.patient
        policies = parts.charts.policies
        scopes = possible(asked, client, account.roles, policies, patient)
        if not has_use(scopes):
            raise OAuthError("access_denied", "Nothing of what the app asks for can be granted.")
        if "consent" not in asked.prompt:
            known = await parts.remembered.answer(account.id, client, patient, scopes)
            if known is not None:
                address = await grant(parts, request, held, signed_in, known)
                return parts.over(request) if address is None else redirect(address)
        if "none" in asked.prompt:
            raise OAuthError("consent_required", "The user has to agree first.")
        return await consent_page(parts, request, held, signed_in, client)

    async def _launch(self, asked: AuthorizationRequest) -> Launch | None:
        if asked.launch is None:
            return None
        parts = self._parts
        found = await parts.launches.find(asked.launch, tenant=parts.tenant, client=asked.client)
        if found is None:
            raise OAuthError("invalid_request", "The launch is not valid (any more).")
        return found

    def _is_stale(self, held: Held, signed_in: SignedIn) -> bool:
        """Whether the user has to prove anew who they are (OpenID Connect Core 3.1.2.1)."""
        asked, since = held.pending.request, signed_in.session.authenticated_at
        if {"login", "select_account"} & set(asked.prompt) and since < held.pending.created:
            return True
        if asked.max_age is None:
            return False
        return since < held.pending.created - asked.max_age * SECOND

    async def _sign_in(self, request: Request, held: Held, *, fresh: bool) -> Response:
        if "none" in held.pending.request.prompt:
            raise OAuthError("login_required", "The user has to sign in first.")
        return redirect(self._parts.browser.sign_in_address(request, fresh=fresh))

    async def _taken_up(self, held: Held, signed_in: SignedIn) -> Held:
        """Binds the request to who is signed in."""
        account, session = signed_in.account.id, signed_in.session.key
        launch = held.pending.launch
        if launch is not None and launch.user != account:
            raise OAuthError("access_denied", "The app was started for somebody else.")
        if (held.pending.account, held.pending.session) == (account, session):
            return held
        return await self._parts.pending.change(held, account=account, session=session)

    async def _chosen(self, request: Request, held: Held, signed_in: SignedIn) -> Held | Response:
        """The request with patient and encounter, as far as they need no choosing; else the way
        to a page. SMART 2.2: a `patient/` scope always has a patient in context."""
        parts = self._parts
        asked, launch = held.pending.request, held.pending.launch
        patient, encounter = held.pending.patient, None
        if not (asked.needs_patient or asked.asks_encounter or launch):
            return await parts.pending.change(held, chosen=True)
        try:
            chart = await parts.chart(request, signed_in)
        except FhirError:
            raise OAuthError("access_denied", "The user has no access to records.") from None
        if launch is not None and patient is None:
            patient, encounter = launch.patient, launch.encounter
        if patient is None and len(chart.own) == 1:
            patient = chart.own[0]
        if patient is None and asked.needs_patient:
            return self._page_of(request, held, "patient")
        if patient is not None and await chart.patient(patient) is None:
            raise OAuthError("access_denied", "The user does not see the patient.")
        if encounter is not None and await chart.encounter(encounter, patient) is None:
            raise OAuthError("access_denied", "The user does not see the encounter.")
        is_open = asked.asks_encounter and encounter is None and patient is not None
        if is_open and await chart.encounters(patient or ""):
            held = await parts.pending.change(held, patient=patient)
            return self._page_of(request, held, "encounter")
        return await parts.pending.change(held, patient=patient, encounter=encounter, chosen=True)

    def _page_of(self, request: Request, held: Held, name: str) -> Response:
        if "none" in held.pending.request.prompt:
            raise OAuthError("interaction_required", "The user has to choose first.")
        return self._parts.step(request, held, name)


async def _sent(request: Request) -> Mapping[str, str]:
    if request.method == "POST":
        return await form_of(request)
    return pairs_of(request.url.query)
