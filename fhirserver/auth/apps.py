"""The page where users see which apps have access in their name, and take it back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from fhirserver.access.scope import InvalidScope, in_words, parse_scopes
from fhirserver.auth.authorization import Authorization
from fhirserver.auth.consent import form_of
from fhirserver.auth.interaction import Interaction
from fhirserver.auth.pages.page import redirect, root_of
from fhirserver.errors import FhirError
from fhirserver.identity.session import SignedIn

_FIELDS: Final = 10
_REASON: Final = "user"
_EXAMPLES: Final = 30
_OFFLINE: Final = "offline_access"


@dataclass(frozen=True, slots=True)
class App:
    """A client with access in the user's name."""

    client: str
    name: str
    website: str | None
    since: str
    lasts: bool
    words: tuple[str, ...]


class Apps:
    """`/apps`."""

    def __init__(self, parts: Interaction) -> None:
        self._parts = parts

    async def show(self, request: Request) -> Response:
        """The apps of who is signed in."""
        parts = self._parts
        signed_in = await parts.browser.signed_in(request)
        if signed_in is None:
            return redirect(parts.browser.sign_in_address(request))
        apps = await self._apps(signed_in)
        note = "It has no access any more." if "done" in request.query_params else ""
        return parts.browser.page(request, "apps.html", apps=apps, note=note)

    async def revoke(self, request: Request) -> Response:
        """Takes all access of one app back, at once."""
        parts = self._parts
        try:
            form = await form_of(parts, request, _FIELDS)
        except FhirError as error:
            return parts.message(request, "Not sent", error.text, error.status)
        signed_in = await parts.browser.signed_in(request)
        client = form.get("client")
        if signed_in is None or not isinstance(client, str):
            return redirect(f"{root_of(request)}/apps")
        await parts.remembered.forget(signed_in.account.id, client)
        for found in await parts.authorizations.of_user(signed_in.account.id):
            if found.client == client and await parts.authorizations.revoke(found.id, _REASON):
                await parts.record(
                    request, "grant-revoked", signed_in, client, authorization=found.id
                )
        return redirect(f"{root_of(request)}/apps?done=yes")

    async def _apps(self, signed_in: SignedIn) -> list[App]:
        found: dict[str, list[Authorization]] = {}
        for item in await self._parts.authorizations.of_user(signed_in.account.id):
            found.setdefault(item.client, []).append(item)
        apps = [await self._app(client, held) for client, held in found.items()]
        return sorted(apps, key=lambda app: app.name.casefold())

    async def _app(self, id: str, held: list[Authorization]) -> App:
        client = await self._parts.clients.get(id)
        texts = dict.fromkeys(scope for item in held for scope in item.scopes)
        try:
            words = [in_words(scope) for scope in parse_scopes(texts)]
        except InvalidScope:
            words = []
        if len(words) > _EXAMPLES:
            words = [*words[:_EXAMPLES], f"and {len(words) - _EXAMPLES} more"]
        since = datetime.fromtimestamp(min(item.created for item in held) / 1e6, UTC)
        return App(
            client=id,
            name=client.name if client else id,
            website=client.website if client else None,
            since=since.date().isoformat(),
            lasts=_OFFLINE in texts,
            words=tuple(words),
        )
