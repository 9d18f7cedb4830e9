"""The table of accounts: one record each, changed by compare-and-set, and their names."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from typing import Any, Final, NamedTuple

import msgspec

from fhirserver.errors import Conflict, NotFound
from fhirserver.identity.account import (
    Account,
    Link,
    checked_person,
    checked_roles,
    comparable,
    decode,
    encode,
)
from fhirserver.store.port import Stale
from fhirserver.store.records import ABSENT, MAX_LISTED, Records

COLLECTION: Final = "identity.account"
NAMES: Final = "identity.name"
LINKS: Final = "identity.link"


class Held(NamedTuple):
    """An account as it was read, with the revision of its record."""

    account: Account
    revision: int


Change = Callable[[Account], Account]


class Accounts:
    """`now` gives microseconds since 1970, `new_id` ids that were never given before."""

    def __init__(
        self, records: Records, *, now: Callable[[], int], new_id: Callable[[], str]
    ) -> None:
        self._records = records
        self._new_id = new_id
        self.now = now

    async def create(
        self,
        name: str,
        *,
        roles: tuple[str, ...] = (),
        fhir_user: str | None = None,
        display: str = "",
    ) -> Account:
        """A new account, which has no password yet.

        Raises `Invalid` for a name, role or person that cannot be, `Conflict` for a name in use.
        """
        now = self.now()
        account = Account(
            id=self._new_id(),
            name=comparable(name),
            created=now,
            changed=now,
            display=display.strip(),
            roles=checked_roles(roles),
            fhir_user=checked_person(fhir_user),
        )
        # The account goes first: a name never leads to an account that is not there for good,
        # and an account that lost the race for its name is taken away again.
        await self._records.put(COLLECTION, account.id, encode(account), expected=ABSENT)
        try:
            await self._claim(NAMES, account.name, account.id)
        except Conflict as error:
            await self._records.delete(COLLECTION, account.id)
            raise Conflict(f"There is an account with the name '{account.name}'.") from error
        return account

    async def get(self, id: str) -> Account | None:
        """The account of an id; None where there is none."""
        held = await self.held(id)
        return held.account if held else None

    async def held(self, id: str) -> Held | None:
        record = await self._records.get(COLLECTION, id)
        return None if record is None else Held(decode(record.body), record.revision)

    async def by_name(self, name: str) -> Account | None:
        """The account of a comparable name (see `account.comparable`)."""
        return await self._named(NAMES, name, lambda account: account.name == name)

    async def by_link(self, link: Link) -> Account | None:
        """The account that is linked to a subject of another provider."""
        return await self._named(LINKS, _key_of(link), lambda account: link in account.links)

    async def replace(self, held: Held, account: Account) -> Account:
        """Writes an account that was read. Raises `Stale` when it was changed since."""
        account = msgspec.structs.replace(account, changed=self.now())
        await self._records.put(COLLECTION, account.id, encode(account), expected=held.revision)
        return account

    async def change(self, id: str, change: Change) -> Account:
        """The account as `change` makes it, which may be asked again and may refuse.

        Raises `NotFound` where there is none.
        """
        while True:
            held = await self.held(id)
            if held is None:
                raise NotFound("There is no such account.")
            changed = change(held.account)
            if changed == held.account:
                return changed
            try:
                return await self.replace(held, changed)
            except Stale:
                continue

    async def link(self, id: str, link: Link) -> Account:
        """Lets a subject of another provider sign in. Raises `Conflict` when it is another's."""
        held = await self.by_link(link)
        if held is not None and held.id != id:
            raise Conflict("That person of the other provider is linked to another account.")
        account = await self.change(id, lambda old: _with(old, links=(*_without(old, link), link)))
        try:
            await self._claim(LINKS, _key_of(link), id)
        except Conflict as error:
            await self.change(id, lambda old: _with(old, links=_without(old, link)))
            raise Conflict("That person is linked to another account.") from error
        return account

    async def unlink(self, id: str, link: Link) -> Account:
        """Takes a link away; nothing happens where there is none."""
        account = await self.change(
            id, lambda old: _with(old, links=_without(old, link), epoch=old.epoch + 1)
        )
        await self._release(LINKS, _key_of(link), id)
        return account

    async def remove(self, id: str) -> None:
        """Takes an account away; its name and links are free again."""
        held = await self.held(id)
        if held is None:
            return
        await self._records.delete(COLLECTION, id)
        await self._release(NAMES, held.account.name, id)
        for link in held.account.links:
            await self._release(LINKS, _key_of(link), id)

    async def all(self, after: str = "") -> AsyncIterator[Account]:
        """Every account behind the id `after`, in the order of their ids."""
        while True:
            found = await self._records.list(COLLECTION, after=after)
            for record in found:
                yield decode(record.body)
            if len(found) < MAX_LISTED:
                return
            after = found[-1].key

    async def are_there(self) -> bool:
        """Whether there is any account."""
        return bool(await self._records.list(COLLECTION, count=1))

    async def _named(
        self, collection: str, key: str, fits: Callable[[Account], bool]
    ) -> Account | None:
        record = await self._records.get(collection, key)
        account = await self.get(record.body.decode()) if record else None
        return account if account is not None and fits(account) else None

    async def _claim(self, collection: str, key: str, id: str) -> None:
        """Makes a name lead to the account. Raises `Conflict` when it leads to another."""
        record = await self._records.get(collection, key)
        if record is not None and (holder := record.body.decode()) != id:
            if await self._records.get(COLLECTION, holder):
                raise Conflict("It is in use.")
        elif record is not None:
            return
        expected = record.revision if record else ABSENT  # a holder that is gone gives way
        await self._records.put(collection, key, id.encode(), expected=expected)

    async def _release(self, collection: str, key: str, id: str) -> None:
        record = await self._records.get(collection, key)
        if record is not None and record.body.decode() == id:
            await self._records.delete(collection, key, expected=record.revision)


def _with(account: Account, **fields: Any) -> Account:
    return msgspec.structs.replace(account, **fields)


def _without(account: Account, link: Link) -> tuple[Link, ...]:
    return tuple(one for one in account.links if one != link)


def _key_of(link: Link) -> str:
    return hashlib.sha256(f"{link.issuer}\0{link.subject}".encode()).hexdigest()
