"""Access tokens with all that they depend on, as it is now.

An authorization that was revoked, a client that was suspended, an account that was locked, a
session that has ended and a scope that was taken from the client count at once.
"""

from __future__ import annotations

from asyncio import gather
from collections.abc import Awaitable
from dataclasses import dataclass
from functools import lru_cache

from fhirserver.access.scope import InvalidScope, parse_scopes, within
from fhirserver.auth.access_token import AccessToken, AccessTokens
from fhirserver.auth.authorization import Authorization
from fhirserver.auth.authorizations import Authorizations, Held
from fhirserver.auth.client import Client
from fhirserver.auth.clients import Clients
from fhirserver.auth.granting import within_ceiling
from fhirserver.identity.account import Account
from fhirserver.identity.accounts import Accounts
from fhirserver.identity.sessions import Sessions

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

    `far`: the records are over a network, so that it pays to ask for several of them at a time;
    where they are in a file of this machine, that costs more than it gives.
    """

    def __init__(
        self,
        tenant: str,
        authorizations: Authorizations,
        access_tokens: AccessTokens,
        clients: Clients,
        accounts: Accounts,
        sessions: Sessions,
        *,
        far: bool = False,
    ) -> None:
        self._far = far
        self._tenant = tenant
        self._authorizations = authorizations
        self._access_tokens = access_tokens
        self._clients = clients
        self._accounts = accounts
        self._sessions = sessions

    async def of_token(self, text: str) -> Live | None:
        """What an access token gives now; None where it gives nothing."""
        token = await self._access_tokens.get(text)
        if token is None:
            return None
        held, client, account = await self._together(
            self._authorizations.get(token.authorization),
            self._clients.live(token.client),
            self._account(token.user),
        )
        if held is None:
            return None
        parties = await self._parties(held.authorization, client, account)
        if parties is None:
            return None
        return Live(token, parties, scopes_of(parties.client, token.scopes))

    async def of_authorization(self, authorization: Authorization) -> Parties | None:
        """Who a live authorization is between; None where it gives nothing now."""
        client = await self._clients.live(authorization.client)
        account = await self._account(authorization.user)
        return await self._parties(authorization, client, account)

    async def _together(
        self,
        held: Awaitable[Held | None],
        client: Awaitable[Client | None],
        account: Awaitable[Account | None],
    ) -> tuple[Held | None, Client | None, Account | None]:
        if self._far:
            return await gather(held, client, account)
        return await held, await client, await account

    async def _parties(
        self, authorization: Authorization, client: Client | None, account: Account | None
    ) -> Parties | None:
        if not authorization.is_live(self._authorizations.now()):
            return None
        if client is None or client.id != authorization.client:
            return None
        if authorization.tenant != self._tenant:
            return None
        if authorization.user is not None and (
            account is None or account.id != authorization.user or not account.is_active
        ):
            return None
        if authorization.is_online and not await self._in_session(authorization):
            return None
        return Parties(authorization, client, account)

    async def _in_session(self, authorization: Authorization) -> bool:
        found = await self._sessions.get(authorization.session or "")
        return found is not None and found.account.id == authorization.user

    async def _account(self, id: str | None) -> Account | None:
        return None if id is None else await self._accounts.get(id)


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
