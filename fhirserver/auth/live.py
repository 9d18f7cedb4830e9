"""Access tokens with all that they depend on, as it is now.

An authorization that was revoked, a client that was suspended, an account that was locked, a
session that has ended and a scope that was taken from the client count at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

from fhirserver.access.scope import InvalidScope, parse_scopes, within
from fhirserver.auth import access_token, authorizations, clients
from fhirserver.auth.access_token import AccessToken, AccessTokens, key_of
from fhirserver.auth.authorization import Authorization
from fhirserver.auth.authorization import decode as authorization_of
from fhirserver.auth.authorizations import Authorizations
from fhirserver.auth.client import Client
from fhirserver.auth.client import decode as client_of
from fhirserver.auth.clients import Clients
from fhirserver.auth.granting import within_ceiling
from fhirserver.identity import accounts
from fhirserver.identity.account import Account
from fhirserver.identity.account import decode as account_of
from fhirserver.identity.accounts import Accounts
from fhirserver.identity.sessions import Sessions
from fhirserver.store.records import ABSENT, Place, Record, Records

_KEPT: Final = 10_000  # tokens

INTROSPECTION = "introspection"
"""The scope of a system that may ask about the tokens of every client."""


@dataclass(frozen=True, slots=True)
class Parties:
    """Who an authorization is between; without `account` the client acts for itself."""

    authorization: Authorization
    client: Client
    account: Account | None


@dataclass(frozen=True, slots=True)
class Live:
    """An access token that is good. `scopes` are those of it that the client may still have."""

    token: AccessToken
    parties: Parties
    scopes: tuple[str, ...]


class Liveness:
    """Looks up what access depends on.

    All that an access token depends on is looked up with every request, in one call. What was
    made of it is kept with the revisions of these records, and holds as long as all of them
    have these, so that nothing that was revoked is good for a request more.
    """

    def __init__(
        self,
        tenant: str,
        records: Records,
        of_authorizations: Authorizations,
        access_tokens: AccessTokens,
        of_clients: Clients,
        of_accounts: Accounts,
        sessions: Sessions,
    ) -> None:
        self._tenant = tenant
        self._records = records
        self._access_tokens = access_tokens
        self._authorizations = of_authorizations
        self._clients = of_clients
        self._accounts = of_accounts
        self._sessions = sessions
        self._known: dict[str, _Known] = {}

    async def of_token(self, text: str) -> Live | None:
        """What an access token gives now; None where it gives nothing.

        The same object as before while nothing has changed.
        """
        key = key_of(text)
        if key is None:
            return None
        known = self._known.get(key)
        if (
            known is None
            or _revisions(await self._records.get_many(known.places)) != known.revisions
        ):
            known = await self._read(key)
        if known is None or not self._access_tokens.is_good(known.live.token):
            return None
        parties = known.live.parties
        is_good = await self._is_good(parties.authorization, parties.client, parties.account)
        return known.live if is_good else None

    async def _read(self, key: str) -> _Known | None:
        """What a token depends on, read anew; None where something of it is not there."""
        self._known.pop(key, None)
        place = Place(access_token.COLLECTION, key)
        (kept,) = await self._records.get_many((place,))
        if kept is None:
            # As long as for a token that there is: introspection tells no client of another's.
            await self._records.get_many((place,))
            return None
        token = access_token.decode(kept.body)
        places = [
            place,
            Place(authorizations.COLLECTION, token.authorization),
            Place(clients.COLLECTION, token.client),
        ]
        if token.user is not None:
            places.append(Place(accounts.COLLECTION, token.user))
        found = await self._records.get_many(places)
        if found[0] != kept or None in found[:3]:
            return None
        _, authorization, client, *account = (item.body if item else b"" for item in found)
        parties = Parties(
            authorization_of(authorization),
            client_of(client),
            account_of(account[0]) if account and account[0] else None,
        )
        live = Live(token, parties, scopes_of(parties.client, token.scopes))
        if len(self._known) >= _KEPT:
            self._known.clear()
        known = self._known[key] = _Known(tuple(places), _revisions(found), live)
        return known

    async def of_authorization(self, authorization: Authorization) -> Parties | None:
        """Who a live authorization is between; None where it gives nothing now."""
        client = await self._clients.live(authorization.client)
        account = await self._account(authorization.user)
        if client is None or not await self._is_good(authorization, client, account):
            return None
        return Parties(authorization, client, account)

    async def _is_good(
        self, authorization: Authorization, client: Client | None, account: Account | None
    ) -> bool:
        """Whether access under an authorization goes on, at this moment."""
        if not authorization.is_live(self._authorizations.now()):
            return False
        if client is None or client.suspended or client.id != authorization.client:
            return False
        if authorization.tenant != self._tenant:
            return False
        if authorization.user is not None and (
            account is None or account.id != authorization.user or not account.is_active
        ):
            return False
        return not authorization.is_online or await self._in_session(authorization)

    async def _in_session(self, authorization: Authorization) -> bool:
        found = await self._sessions.get(authorization.session or "")
        return found is not None and found.account.id == authorization.user

    async def _account(self, id: str | None) -> Account | None:
        return None if id is None else await self._accounts.get(id)


class _Known(NamedTuple):
    """What was made of records, where these are, and which they were (0: not there)."""

    places: tuple[Place, ...]
    revisions: tuple[int, ...]
    live: Live


def _revisions(found: Sequence[Record | None]) -> tuple[int, ...]:
    return tuple([ABSENT if item is None else item.revision for item in found])


def scopes_of(client: Client, scopes: tuple[str, ...]) -> tuple[str, ...]:
    """The scopes as far as the client's ceiling covers them now; no ceiling covers all.

    A client that acts for itself has none without a ceiling.
    """
    if not client.scopes:
        return () if "client_credentials" in client.grant_types else scopes
    return _below(client.scopes, scopes)


@lru_cache(maxsize=4096)  # asked with every request, and hardly ever another
def _below(ceiling: tuple[str, ...], scopes: tuple[str, ...]) -> tuple[str, ...]:
    own = tuple(item for item in scopes if item == INTROSPECTION and item in ceiling)
    try:
        limits = parse_scopes(item for item in ceiling if item != INTROSPECTION)
        asked = parse_scopes(item for item in scopes if item != INTROSPECTION)
    except InvalidScope:
        return ()
    if all(within(item, limits) for item in asked):
        return tuple(item for item in scopes if item != INTROSPECTION or item in own)
    return (*(str(item) for item in within_ceiling(asked, limits)), *own)
