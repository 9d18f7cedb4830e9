"""The way to another provider and back; and which of its people an account is linked to."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fhirserver.auth.federation.client import Client
from fhirserver.auth.federation.journeys import Journey, Journeys, hash_of
from fhirserver.auth.pages.page import redirect, root_of
from fhirserver.auth.sign_in.onward import wanted
from fhirserver.auth.sign_in.place import Place, endpoint
from fhirserver.errors import Forbidden, NotFound
from fhirserver.identity.account import Link
from fhirserver.identity.sign_in import Refused

_BYTES: Final = 32
_UNKNOWN: Final = (
    "That person of the other provider has no account here, or may not use it. Sign in with a "
    "password and link it, or ask whoever runs this server."
)


def federation_routes(
    place: Place, journeys: Journeys, clients: Mapping[str, Client]
) -> list[Route]:
    """Rows of the tree that is mounted at /auth; none without a provider."""

    @endpoint
    async def leave(place: Place, request: Request) -> Response:
        """`GET /sign-in/with/{provider}`: off to sign in there."""
        if not place.browser.cookie(request, "visit"):
            return redirect(f"{root_of(request)}/sign-in?{request.url.query}")
        fresh = await place.browser.signed_in(request) is not None
        goal = wanted(request, request.query_params.get("next"))
        return await _leave(place, journeys, clients, request, goal, fresh=fresh)

    @endpoint
    async def leave_to_link(place: Place, request: Request) -> Response:
        """`POST /account/link/{provider}`: off to show who one is there."""
        await place.browser.form(request)
        account = (await place.just_signed_in(request)).account
        goal = f"{root_of(request)}/account?done=linked"
        return await _leave(place, journeys, clients, request, goal, link=account.id, fresh=True)

    @endpoint
    async def come_back(place: Place, request: Request) -> Response:
        """`GET /sign-in/from/{provider}`: the provider's answer."""
        return await _come_back(place, journeys, clients, request)

    @endpoint
    async def unlink(place: Place, request: Request) -> Response:
        """`POST /account/unlink`."""
        form = await place.browser.form(request)
        signed_in = await place.just_signed_in(request)
        link = Link(str(form.get("issuer")), str(form.get("subject")))
        account = await place.identity.accounts.unlink(signed_in.account.id, link)
        await place.trail.of(request, "account-changed", account, detail=(("link", "removed"),))
        begun = await place.identity.sessions.renew(signed_in.session, account)
        answer = redirect(f"{root_of(request)}/account")
        place.browser.give(request, answer, "session", begun.cookie, None)
        return answer

    if not clients:
        return []
    return [
        Route("/sign-in/with/{provider}", leave(place), methods=["GET"]),
        Route("/sign-in/from/{provider}", come_back(place), methods=["GET"]),
        Route("/account/link/{provider}", leave_to_link(place), methods=["POST"]),
        Route("/account/unlink", unlink(place), methods=["POST"]),
    ]


async def _leave(
    place: Place,
    journeys: Journeys,
    clients: Mapping[str, Client],
    request: Request,
    goal: str,
    *,
    link: str = "",
    fresh: bool = False,
) -> Response:
    id = request.path_params["provider"]
    client = _client(clients, id)
    nonce, verifier = (_text(place.identity.random(_BYTES)) for _ in range(2))
    origin = place.browser.origin_of(request)
    redirect_uri = f"{origin}{root_of(request)}/sign-in/from/{quote(id)}"
    journey = Journey(
        provider=id,
        visit=hash_of(place.browser.cookie(request, "visit") or ""),
        nonce=nonce,
        verifier=verifier,
        redirect_uri=redirect_uri,
        next=goal,
        begun=place.identity.now(),
        link=link,
        fresh=fresh,
    )
    state = await journeys.begin(journey)
    address = await client.address(redirect_uri, state, nonce, verifier, fresh=fresh)
    if request.method == "POST":  # what answers a form may not lead elsewhere by itself
        title = clients[id].provider.name
        return place.browser.page(request, "leave.html", address=address, provider=title)
    return redirect(address)


async def _come_back(
    place: Place, journeys: Journeys, clients: Mapping[str, Client], request: Request
) -> Response:
    query = request.query_params
    id = request.path_params["provider"]
    visit = place.browser.cookie(request, "visit")
    journey = await journeys.back(query.get("state", ""), visit) if visit else None
    if journey is None or journey.provider != id or "code" not in query:
        raise Forbidden("Signing in at the other provider was not completed. Try again.")
    link = await _client(clients, id).subject(
        query["code"],
        journey.redirect_uri,
        journey.nonce,
        journey.verifier,
        issuer=query.get("iss"),
        since=journey.begun if journey.fresh else None,
    )
    if journey.link:
        return await _linked(place, request, journey, link)
    renews = await place.renewed(request) if journey.fresh else None
    again = renews is not None
    found = await place.identity.sign_in.by_provider(link, place.visitor(request, renews))
    if isinstance(found, Refused):
        await place.trail.refused(request, found, again=again)
        raise Forbidden(_UNKNOWN)
    await place.trail.passed(request, found, again=again)
    return await place.enter(request, found, journey.next)


async def _linked(place: Place, request: Request, journey: Journey, link: Link) -> Response:
    signed_in = await place.signed_in(request)
    if signed_in.account.id != journey.link:
        raise Forbidden("Somebody else is signed in now. Try again.")
    account = await place.identity.accounts.link(journey.link, link)
    await place.trail.of(request, "account-changed", account, detail=(("link", "added"),))
    return redirect(journey.next)


def _client(clients: Mapping[str, Client], id: str) -> Client:
    if id not in clients:
        raise NotFound("There is no such provider.")
    return clients[id]


def _text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
