"""Passwords of accounts: chosen by their owners, given once by administrators, or imported."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Final

import msgspec

from fhirserver.errors import Invalid
from fhirserver.identity.account import Account
from fhirserver.identity.accounts import Accounts
from fhirserver.identity.password import Hasher, check_hash, weakness
from fhirserver.identity.session import MINUTE
from fhirserver.store.records import Records

COLLECTION: Final = "identity.mark"
ONCE_FOR: Final = 7 * 24 * 60 * MINUTE
"""Microseconds for which a one-time password is good."""

_BCRYPT: Final = "bcrypt"
_ONCE_BYTES: Final = 15


class Credentials:
    """`now` gives microseconds since 1970, `random` bytes nobody can guess."""

    def __init__(
        self,
        records: Records,
        accounts: Accounts,
        hasher: Hasher,
        *,
        now: Callable[[], int],
        random: Callable[[int], bytes],
    ) -> None:
        self._records = records
        self._accounts = accounts
        self._hasher = hasher
        self._now = now
        self._random = random

    async def fits(self, account: Account | None, password: str) -> bool:
        """Whether it is the account's password, still good; as long for an account that is none.

        A hash of another kind or strength than today's is replaced.
        """
        stored = account.password if account else ""
        verdict = await self._hasher.verify(
            stored, password, bcrypt_rounds=await self._bcrypt_rounds()
        )
        if account is None or not verdict.fits:
            return False
        if account.password_until and account.password_until <= self._now():
            return False
        if verdict.outdated:
            await self._rehash(account, password)
        return True

    async def choose(self, account: Account, password: str) -> Account:
        """The account with the password that its owner chose; all its sessions end.

        Raises `Invalid` for one that is too weak or the same as before.
        """
        weak = weakness(password, account.name, *account.display.split())
        if weak:
            raise Invalid(weak)
        if account.password and (await self._hasher.verify(account.password, password)).fits:
            raise Invalid("It is the password that you had.")
        return await self._set(account.id, await self._hasher.hash(password))

    async def give_once(self, id: str) -> tuple[Account, str]:
        """A one-time password, which its owner has to replace at once; all sessions end."""
        password = base64.b32encode(self._random(_ONCE_BYTES)).decode().lower()
        grouped = "-".join(password[at : at + 4] for at in range(0, len(password), 4))
        hashed = await self._hasher.hash(grouped)
        account = await self._set(id, hashed, once=True)
        return account, grouped

    async def take_over(self, id: str, stored: str) -> Account:
        """A hash that another system made (argon2id or bcrypt). Raises `Invalid`."""
        rounds = check_hash(stored)
        if rounds > await self._bcrypt_rounds():
            await self._records.put(COLLECTION, _BCRYPT, str(rounds).encode())
        return await self._set(id, stored)

    async def _set(self, id: str, hashed: str, *, once: bool = False) -> Account:
        now = self._now()

        def change(old: Account) -> Account:
            return msgspec.structs.replace(
                old,
                password=hashed,
                password_since=now,
                password_until=now + ONCE_FOR if once else 0,
                must_change=once,
                epoch=old.epoch + 1,
            )

        return await self._accounts.change(id, change)

    async def _rehash(self, account: Account, password: str) -> None:
        hashed = await self._hasher.hash(password)

        def change(old: Account) -> Account:
            same = old.password == account.password
            return msgspec.structs.replace(old, password=hashed) if same else old

        await self._accounts.change(account.id, change)

    async def _bcrypt_rounds(self) -> int:
        """The most rounds of a bcrypt hash that was ever taken over; 0 for none."""
        record = await self._records.get(COLLECTION, _BCRYPT)
        return int(record.body) if record else 0
