"""Second factors of accounts: added, used and taken away, each by compare-and-set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from fhirserver.errors import Invalid
from fhirserver.identity import recovery, totp
from fhirserver.identity.account import Account, Passkey, Totp
from fhirserver.identity.accounts import Accounts
from fhirserver.identity.seal import Seal, derived
from fhirserver.identity.session import MINUTE, Method
from fhirserver.store.port import Stale
from fhirserver.store.records import Records

ENROLLING: Final = "identity.enrolling"
_ENROLLED_WITHIN: Final = 15 * MINUTE


class Factors:
    """`key` (32 bytes) seals and hashes; `now` and `random` as elsewhere.

    Adding or removing one ends the account's sessions, by its epoch.
    """

    def __init__(
        self,
        records: Records,
        accounts: Accounts,
        *,
        key: bytes,
        now: Callable[[], int],
        random: Callable[[int], bytes],
    ) -> None:
        self._records = records
        self._accounts = accounts
        self._seal = Seal(derived(key, "secrets"), random=random)
        self._key = derived(key, "recovery codes")
        self._now = now
        self._random = random

    # authenticator apps
    async def begin_totp(self, account: Account) -> bytes:
        """A secret for an app, to be confirmed by a code of it; one that waits stays the same."""
        waiting = await self.waiting_totp(account)
        if waiting is not None:
            return waiting
        secret = self._random(totp.SECRET_BYTES)
        expires = self._now() + _ENROLLED_WITHIN
        sealed = self._seal.close(secret, _about(account.id))
        await self._records.put(ENROLLING, account.id, sealed, expires=expires)
        return secret

    async def waiting_totp(self, account: Account) -> bytes | None:
        """The secret that waits to be confirmed."""
        record = await self._records.get(ENROLLING, account.id)
        return self._seal.open(record.body, _about(account.id)) if record else None

    async def confirm_totp(self, account: Account, code: str) -> Account | None:
        """The account with the app in place of an earlier one; None for a wrong code."""
        secret = await self.waiting_totp(account)
        step = totp.step_of(secret, code, self._now(), 0) if secret else None
        if secret is None or step is None:
            return None
        sealed = self._seal.close(secret, _about(account.id))
        added = Totp(secret=sealed, since=self._now(), step=step)
        changed = await self._change(account.id, lambda old: {"totp": added})
        await self._records.delete(ENROLLING, account.id)
        return changed

    async def remove_totp(self, id: str) -> Account:
        return await self._change(id, lambda old: {"totp": None})

    # passkeys
    async def add_passkey(self, id: str, passkey: Passkey) -> Account:
        """The account with it. Raises `Invalid` when it has it already."""

        def add(old: Account) -> dict[str, Any]:
            if any(one.id == passkey.id for one in old.passkeys):
                raise Invalid("Your account has that passkey already.")
            return {"passkeys": (*old.passkeys, passkey)}

        return await self._change(id, add)

    async def remove_passkey(self, id: str, passkey: bytes) -> Account:
        return await self._change(
            id,
            lambda old: {"passkeys": tuple(one for one in old.passkeys if one.id != passkey)},
        )

    async def used_passkey(self, id: str, passkey: Passkey) -> Account:
        """Keeps the counter and instant of a use."""

        def use(old: Account) -> Account:
            keys = [passkey if one.id == passkey.id else one for one in old.passkeys]
            return msgspec.structs.replace(old, passkeys=tuple(keys))

        return await self._accounts.change(id, use)

    # recovery codes, and all of them
    async def new_recovery_codes(self, id: str) -> tuple[Account, tuple[str, ...]]:
        """Fresh codes in place of those that are left, and the account with them."""
        codes = recovery.make(self._random)
        hashes = tuple(recovery.hashed(self._key, id, code) for code in codes)
        changed = await self._accounts.change(
            id, lambda old: msgspec.structs.replace(old, recovery=hashes)
        )
        return changed, codes

    async def reset(self, id: str) -> Account:
        """Takes all second factors away, for somebody who lost them."""
        await self._records.delete(ENROLLING, id)
        return await self._change(id, lambda old: {"totp": None, "passkeys": (), "recovery": ()})

    async def use_code(self, id: str, code: str) -> Method | None:
        """Uses up a code of the app, or a recovery code; None for one that is not good (now).

        Of any number of parallel uses of one code, one succeeds.
        """
        while True:
            held = await self._accounts.held(id)
            found = self._used(held.account, code) if held else None
            if held is None or found is None:
                return None
            method, account = found
            try:
                await self._accounts.replace(held, account)
            except Stale:
                continue
            return method

    def _used(self, account: Account, code: str) -> tuple[Method, Account] | None:
        """How the code counts, and the account with it used up."""
        if recovery.looks_like(code):
            hashed = recovery.hashed(self._key, account.id, code)
            if hashed not in account.recovery:
                return None
            left = tuple(one for one in account.recovery if one != hashed)
            return "kba", msgspec.structs.replace(account, recovery=left)
        if account.totp is None:
            return None
        secret = self._seal.open(account.totp.secret, _about(account.id))
        step = totp.step_of(secret, code, self._now(), account.totp.step)
        if step is None:
            return None
        used = msgspec.structs.replace(account.totp, step=step)
        return "otp", msgspec.structs.replace(account, totp=used)

    async def _change(self, id: str, fields: Callable[[Account], dict[str, Any]]) -> Account:
        """The account with other fields; without a second factor no recovery codes are left."""

        def change(old: Account) -> Account:
            found = msgspec.structs.replace(old, **fields(old), epoch=old.epoch + 1)
            if not found.has_second_factor:
                found = msgspec.structs.replace(found, recovery=())
            return found

        return await self._accounts.change(id, change)


def _about(account: str) -> str:
    return f"totp {account}"
