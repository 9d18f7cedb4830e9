"""What an administrator does with accounts. Each change of rights ends the account's sessions."""

from __future__ import annotations

from typing import Any

import msgspec

from fhirserver.errors import Conflict
from fhirserver.identity.account import Account, checked_person, checked_roles
from fhirserver.identity.accounts import Accounts
from fhirserver.identity.attempts import Attempts
from fhirserver.identity.credentials import Credentials
from fhirserver.identity.factors import Factors
from fhirserver.identity.sessions import Sessions

FIRST: str = "admin"
"""The name of the first administrator."""


class Administration:
    """The verbs. They raise `NotFound` for an id that no account has."""

    def __init__(
        self,
        accounts: Accounts,
        credentials: Credentials,
        factors: Factors,
        attempts: Attempts,
        sessions: Sessions,
    ) -> None:
        self._accounts = accounts
        self._credentials = credentials
        self._factors = factors
        self._attempts = attempts
        self._sessions = sessions

    async def add(
        self,
        name: str,
        *,
        roles: tuple[str, ...] = (),
        fhir_user: str | None = None,
        display: str = "",
        password_hash: str | None = None,
    ) -> tuple[Account, str | None]:
        """A new account, with its one-time password unless a hash of its own was given.

        Raises `Invalid`, and `Conflict` for a name in use.
        """
        account = await self._accounts.create(
            name, roles=roles, fhir_user=fhir_user, display=display
        )
        try:
            if password_hash is None:
                return await self._credentials.give_once(account.id)
            return await self._credentials.take_over(account.id, password_hash), None
        except BaseException:
            await self._accounts.remove(account.id)  # no account that nobody can sign in to
            raise

    async def first(self) -> tuple[Account, str] | None:
        """The first administrator with its one-time password; None where there is an account.

        Of several processes that start together, one gets it.
        """
        if await self._accounts.are_there():
            return None
        try:
            account, password = await self.add(FIRST, roles=("admin",), display="Administrator")
        except Conflict:
            return None
        assert password is not None
        return account, password

    async def give_password(self, id: str) -> tuple[Account, str]:
        """A one-time password; whoever was locked out may try again, from any browser."""
        account, password = await self._credentials.give_once(id)
        await self._attempts.forgive(account.name)
        await self._attempts.know_none(account.name)
        await self._sessions.clear(id)
        return account, password

    async def lock(self, id: str) -> Account:
        """Nothing that was given to the account is good from now on."""
        account = await self._change(id, state="locked")
        await self._sessions.clear(id)
        return account

    async def unlock(self, id: str) -> Account:
        """Lifts `lock`, and forgives the failures that locked the name."""
        account = await self._change(id, state="active")
        await self._attempts.forgive(account.name)
        return account

    async def give_roles(self, id: str, roles: tuple[str, ...]) -> Account:
        """Raises `Invalid` for a role that there is not."""
        return await self._change(id, roles=checked_roles(roles))

    async def describe(
        self, id: str, *, display: str | None = None, fhir_user: str | None = None
    ) -> Account:
        """Another name for others to read, or another person's resource; None: as it is."""
        fields: dict[str, Any] = {}
        if display is not None:
            fields["display"] = display.strip()
        if fhir_user is not None:
            fields["fhir_user"] = checked_person(fhir_user)
        return await self._change(id, **fields)

    async def reset_factors(self, id: str) -> Account:
        """Takes all second factors away, for somebody who lost them."""
        return await self._factors.reset(id)

    async def remove(self, id: str) -> None:
        """Takes the account away; what it did stays on record."""
        await self._accounts.remove(id)
        await self._sessions.clear(id)

    async def _change(self, id: str, **fields: Any) -> Account:
        def change(old: Account) -> Account:
            found = msgspec.structs.replace(old, **fields)
            ends = {"roles", "state", "fhir_user"} & fields.keys()
            if found != old and ends:
                found = msgspec.structs.replace(found, epoch=old.epoch + 1)
            return found

        return await self._accounts.change(id, change)
