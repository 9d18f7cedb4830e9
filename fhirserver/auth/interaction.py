"""What the endpoints share at which a user takes part: authorize, choosing, agreeing, apps."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response

from fhirserver.access.principal import Principal
from fhirserver.audit.recorder import Event, Origin, Recorder
from fhirserver.auth.addresses import Addresses
from fhirserver.auth.authorization_request import AuthorizationRequest
from fhirserver.auth.authorization_response import error_response, form_target
from fhirserver.auth.authorizations import Authorizations
from fhirserver.auth.chart import Chart, Charts
from fhirserver.auth.clients import Clients
from fhirserver.auth.launches import Launches
from fhirserver.auth.oauth_error import OAuthError
from fhirserver.auth.pages.page import redirect, root_of
from fhirserver.auth.pending import Held, PendingRequests
from fhirserver.auth.remembered import Remembered
from fhirserver.auth.sign_in.browser import Browser
from fhirserver.definitions.registry import Definitions
from fhirserver.identity.accounts import Accounts
from fhirserver.identity.session import SignedIn


class Pushed(Protocol):
    """Authorization requests that were pushed (RFC 9126)."""

    async def take(self, request_uri: str, client_id: str) -> Mapping[str, str]:
        """The parameters, once. Raises `OAuthError`."""


@dataclass(frozen=True, slots=True)
class Interaction:
    """The parts, of one tenant. `addresses_of` tells by which address a request came;
    `bearer` who sends a request with an access token (raises `Unauthenticated`)."""

    tenant: str
    clients: Clients
    accounts: Accounts
    authorizations: Authorizations
    pushed: Pushed
    pending: PendingRequests
    launches: Launches
    remembered: Remembered
    browser: Browser
    charts: Charts
    recorder: Recorder
    definitions: Definitions
    addresses_of: Callable[[Request], Addresses]
    origin_of: Callable[[Request], Origin]
    bearer: Callable[[Request], Awaitable[Principal]]

    async def chart(self, request: Request, signed_in: SignedIn) -> Chart:
        """The records as the user sees them. Raises `Forbidden`."""
        return await self.charts.of(signed_in, self.addresses_of(request).fhir)

    async def record(
        self, request: Request, kind: str, signed_in: SignedIn, client: str, **fields: str | None
    ) -> None:
        """Records what a user did about a client; `patient` may name whose record."""
        event = Event(
            kind,
            principal=self.charts.principal(signed_in),
            patient=fields.pop("patient", None),
            about=(f"auth.client/{client}",),
            detail=tuple((name, value) for name, value in fields.items() if value),
            origin=self.origin_of(request),
        )
        await self.recorder.record(event)

    def message(
        self,
        request: Request,
        title: str,
        text: str,
        status: int = 400,
        *,
        link: tuple[str, str] | None = None,
    ) -> Response:
        """A page that says something and leads nowhere, but for a link (address and text)."""
        return self.browser.page(
            request, "message.html", status=status, title=title, text=text, link=link
        )

    def over(self, request: Request) -> Response:
        """The page for a request that is answered, or too old."""
        text = "This request was answered, or it took too long. Go back to the app and begin again."
        return self.message(request, "Begin again", text)

    def refuse(self, request: Request, asked: AuthorizationRequest, error: OAuthError) -> str:
        """Where to send the browser with a refusal."""
        issuer = self.addresses_of(request).issuer
        return error_response(asked.redirect_uri, error, state=asked.state, issuer=issuer)

    def step(self, request: Request, held: Held, name: str = "") -> Response:
        """Sends the browser to a step of a request under way."""
        end = f"/{name}" if name else ""
        return redirect(f"{root_of(request)}/authorize/{held.token}{end}")

    def targets(self, held: Held) -> tuple[str, ...]:
        """Where a form of the request's pages may lead in the end, beside this server."""
        target = form_target(held.pending.request.redirect_uri)
        return (target,) if target else ()
