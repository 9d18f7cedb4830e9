"""What all pages of signing in share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from fhirserver.auth.pages.page import PROTECTION, redirect, root_of
from fhirserver.auth.sign_in.browser import Browser
from fhirserver.auth.sign_in.idle import IdleLocks
from fhirserver.auth.sign_in.onward import go_on
from fhirserver.auth.sign_in.trail import Trail
from fhirserver.errors import FhirError, Unauthenticated
from fhirserver.identity.identity import Identity
from fhirserver.identity.session import Session, SignedIn
from fhirserver.identity.sign_in import Passed, Visitor

PENDING: Final = "pending"
"""The cookie of somebody who is not in yet: a second factor or another password is due."""

_STEPS: Final = {"factor": "second", "password": "password", "enrol": "enrol"}
_DEVICE_SECONDS: Final = 180 * 24 * 3600
_PENDING_SECONDS: Final = 600


@dataclass(frozen=True, slots=True)
class Place:
    """A tenant's identity, the browser's side of it, and the trail.

    `providers` are other OpenID providers to sign in with: their ids and how they are called.
    """

    identity: Identity
    browser: Browser
    trail: Trail
    providers: Mapping[str, str] = field(default_factory=dict)

    @property
    def idle(self) -> IdleLocks:
        """What locks sessions that nobody uses."""
        return IdleLocks(self.identity.sessions, self.trail)

    def visitor(self, request: Request, renews: Session | None = None) -> Visitor:
        """Who is at the door."""
        return Visitor(
            address=self.trail.address_of(request),
            origin=self.browser.origin_of(request),
            visit=self.browser.cookie(request, "visit") or "",
            device=self.browser.cookie(request, "device"),
            agent=kind_of_browser(request.headers.get("user-agent", "")),
            renews=renews,
        )

    async def pending(self, request: Request, stage: Any) -> SignedIn | None:
        """Who is on the way in, and at that stage."""
        cookie = self.browser.cookie(request, PENDING)
        return await self.identity.sessions.find(cookie, stage=stage)

    async def renewed(self, request: Request, key: str = "") -> Session | None:
        """The session that is to be renewed: the one of this browser, or of that key only."""
        signed_in = await self.browser.signed_in(request)
        if signed_in is None or (key and signed_in.session.key != key):
            return None
        return signed_in.session

    async def signed_in(self, request: Request) -> SignedIn:
        """Who is signed in. Raises `Unauthenticated`, which leads to the sign-in page."""
        found = await self.browser.signed_in(request)
        if found is None:
            raise Unauthenticated("Sign in first.")
        return found

    async def just_signed_in(self, request: Request) -> SignedIn:
        """Who proved it in the last minutes. Raises `NotRecent` else."""
        found = await self.signed_in(request)
        if not found.session.is_recent(self.identity.now()):
            raise NotRecent("Show again that it is you.")
        return found

    async def enrolling(self, request: Request) -> SignedIn:
        """Who may add a second factor: as `just_signed_in`, or who needs one to get in."""
        pending = await self.pending(request, "enrol")
        if pending is not None and await self.browser.signed_in(request) is None:
            return pending
        return await self.just_signed_in(request)

    async def enter(self, request: Request, passed: Passed, place: str) -> Response:
        """The answer to a step that succeeded: the next step, or the place that was wanted."""
        old = await self.browser.signed_in(request)
        if passed.stage != "full":
            address = f"{root_of(request)}/sign-in/{_STEPS[passed.stage]}"
            answer: Response = redirect(f"{address}?next={quote(place, safe='')}")
            self.browser.give(request, answer, PENDING, passed.begun.cookie, _PENDING_SECONDS)
            if old is not None and passed.stage == "enrol":  # whose account it is must be plain
                await self.identity.sessions.end(old.session.key)
                self.browser.take(request, answer, "session")
            return answer
        if old is not None and old.session.key != passed.begun.session.key:
            await self.identity.sessions.end(old.session.key)
        answer = go_on(self.browser, request, place)
        self.let_in(request, answer, passed)
        return answer

    def let_in(self, request: Request, answer: Response, passed: Passed) -> None:
        """Gives the browser the cookies of somebody who is in."""
        self.browser.give(request, answer, "session", passed.begun.cookie, None)
        self.browser.take(request, answer, PENDING)
        if passed.device:
            self.browser.give(request, answer, "device", passed.device, _DEVICE_SECONDS)

    def refusal(self, request: Request, error: FhirError) -> Response:
        """A refusal as a page, or as the way to sign in."""
        if isinstance(error, Unauthenticated) and request.method == "GET":
            fresh = isinstance(error, NotRecent)
            return redirect(self.browser.sign_in_address(request, fresh=fresh))
        link = (f"{root_of(request)}/account", "Go to your account")
        page = self.browser.plain(
            request, status=error.status, title="That did not work", text=error.text, link=link
        )
        page.headers.update(error.headers)
        return page


class NotRecent(Unauthenticated):
    """The person has to prove again who they are."""


Endpoint = Callable[[Request], Awaitable[Response]]


def endpoint(
    work: Callable[[Place, Request], Awaitable[Response]],
) -> Callable[[Place], Endpoint]:
    """An endpoint of a place: refusals are pages, nothing may be kept by a cache."""

    def bound(place: Place) -> Endpoint:
        @wraps(work)
        async def run(request: Request) -> Response:
            try:
                answer = await work(place, request)
            except FhirError as error:
                answer = place.refusal(request, error)
            for name, value in PROTECTION.items():
                answer.headers.setdefault(name, value)
            return answer

        return run

    return bound


_BROWSERS: Final = (("Edg", "Edge"), ("Firefox", "Firefox"), ("Chrom", "Chrome"), ("Safari",) * 2)
_SYSTEMS: Final = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS", "macOS"),
    ("Linux", "Linux"),
)


def kind_of_browser(agent: str) -> str:
    """What a User-Agent says in a few words, for the list of one's sessions."""
    browser = next((name for mark, name in _BROWSERS if mark in agent), "A browser")
    system = next((name for mark, name in _SYSTEMS if mark in agent), "")
    return f"{browser} on {system}" if system else browser
