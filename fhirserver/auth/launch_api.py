"""Starting an app from within: POST of `/launch` (SMART App Launch 2.2, "EHR launch").

By a signed-in user for that user, or by an app or system whose token has the scope
`smart/orchestrate_launch`; a system names the account that it is for.
"""

from __future__ import annotations

from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from fhirserver.auth.authorization import SECOND
from fhirserver.auth.authorization_response import with_query
from fhirserver.auth.interaction import Interaction
from fhirserver.auth.launch_context import launch_uri, plain, wanted
from fhirserver.auth.launches import LIFETIME, Launch
from fhirserver.auth.oauth_error import OAuthError
from fhirserver.auth.parameters import body_of
from fhirserver.errors import FhirError, Forbidden, Invalid, Unauthenticated
from fhirserver.identity.account import Account

SCOPE: Final = "smart/orchestrate_launch"
_SYSTEM: Final = "client/"


class LaunchApi:
    """`/launch`."""

    def __init__(self, parts: Interaction) -> None:
        self._parts = parts

    async def start(self, request: Request) -> Response:
        """201 with the value, and the address that starts the app with it."""
        try:
            return await self._started(request)
        except OAuthError as error:
            return _json(400, {"error": error.code, "error_description": error.text})
        except FhirError as error:
            code = "access_denied" if error.status in (401, 403) else "invalid_request"
            body = {"error": code, "error_description": error.text}
            return _json(error.status, body, error.headers)

    async def _started(self, request: Request) -> Response:
        parts = self._parts
        account = await self._caller(request)
        asked = wanted(await body_of(request), frozenset(parts.definitions.resource_types))
        if account is None:
            account = await parts.accounts.get(asked.user or "")
            if account is None or not account.is_active:
                raise Invalid("Name in user the account that the app is started for.")
        elif asked.user not in (None, account.id):
            raise Forbidden("An app can be started for yourself only.")
        uri = launch_uri(await parts.clients.get(asked.client_id))
        launch = Launch(
            tenant=parts.tenant,
            client=asked.client_id,
            user=account.id,
            patient=asked.patient,
            encounter=asked.encounter,
            intent=asked.intent,
            fhir_context=tuple(plain(item) for item in asked.fhirContext),
            banner=asked.need_patient_banner,
        )
        value = await parts.launches.begin(launch)
        iss = parts.addresses_of(request).fhir
        body = {
            "launch": value,
            "iss": iss,
            "url": with_query(uri, iss=iss, launch=value),
            "expires_in": LIFETIME // SECOND,
        }
        return _json(201, body)

    async def _caller(self, request: Request) -> Account | None:
        """Who is signed in, or the user of the token; None for a system."""
        parts = self._parts
        if "authorization" in request.headers:
            principal = await parts.bearer(request)
            if SCOPE not in (principal.scopes or ()):
                raise Forbidden(f"Starting apps needs the scope {SCOPE}.")
            if principal.subject.startswith(_SYSTEM):
                return None
            return await parts.accounts.get(principal.subject)
        # A form of another site cannot send JSON without asking first, which is refused.
        parts.browser.check_site(request)
        if request.headers.get("content-type", "").partition(";")[0] != "application/json":
            raise Invalid("Send JSON.")
        signed_in = await parts.browser.signed_in(request)
        if signed_in is None:
            raise Unauthenticated("Sign in first.")
        return signed_in.account


def _json(status: int, body: object, headers: dict[str, str] | None = None) -> Response:
    return Response(
        msgspec.json.encode(body),
        status,
        media_type="application/json",
        headers={
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            **(headers or {}),
        },
    )
