"""The pages of a tenant's authorization server, put together with the gate behind them."""

from __future__ import annotations

import secrets
from urllib.parse import urlsplit

from starlette.requests import Request

from fhirserver.access.authority import Authority
from fhirserver.access.principal import Principal
from fhirserver.app.ids import now
from fhirserver.auth.chart import Charts, Dispatch
from fhirserver.auth.interaction import Interaction
from fhirserver.auth.launches import Launches
from fhirserver.auth.pending import PendingRequests
from fhirserver.auth.remembered import Remembered
from fhirserver.auth.server import AuthorizationServer
from fhirserver.auth.sign_in.browser import Browser
from fhirserver.definitions.registry import Definitions
from fhirserver.settings import Settings


def interaction_of(
    settings: Settings,
    server: AuthorizationServer,
    browser: Browser,
    dispatch: Dispatch,
    authority: Authority,
    definitions: Definitions,
) -> Interaction:
    """The parts of the pages at which a user takes part."""
    platform = server.platform
    records = platform.records

    async def bearer(request: Request) -> Principal:
        headers = {name.lower(): value for name, value in request.headers.raw}
        path = request.url.path
        parts = urlsplit(server.addresses(request).fhir)
        url = f"{parts.scheme}://{parts.netloc}{path}"
        return await server.authenticator.principal(headers, request.method, url)

    return Interaction(
        tenant=server.tenant,
        clients=server.clients,
        accounts=platform.accounts,
        authorizations=server.authorizations,
        pushed=server.pushed,
        pending=PendingRequests(records, now=now, random=secrets.token_bytes),
        launches=Launches(records, now=now, random=secrets.token_bytes),
        remembered=Remembered(records, now=now, days=settings.consent_days),
        browser=browser,
        charts=Charts(dispatch, server.tenant, authority),
        recorder=platform.recorder,
        definitions=definitions,
        addresses_of=server.addresses,
        origin_of=server.origin,
        bearer=bearer,
    )
