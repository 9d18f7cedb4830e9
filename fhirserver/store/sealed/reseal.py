"""Sealing anew what older keys sealed, while others read and write.

Every step is a compare-and-set of one version or record, so it may end at any point, and be
done again from the beginning: what has the newest key already is passed over.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple, TypeAlias

from fhirserver.store.port import LogQuery, Rewritten, Stale, Version
from fhirserver.store.records import Record
from fhirserver.store.sealed.cipher import Cipher, key_number
from fhirserver.store.sealed.keys import GRACE
from fhirserver.store.sealed.records import resealed
from fhirserver.store.sealed.store import CLEAR_TYPES, SealedStore, place_of

Told: TypeAlias = Callable[[int], Awaitable[None]]
"""Hears how many versions and records were looked at; what it raises ends the walk."""

_AT_ONCE: Final = 100


async def _nobody(number: int) -> None:
    """Nobody is told."""


class Resealed(NamedTuple):
    """How many versions and records got the newest key, of how many, and under which keys
    something was still sealed when it was met."""

    done: int
    seen: int
    left: frozenset[int]


async def reseal(store: SealedStore, told: Told = _nobody) -> Resealed:
    """Seals all content under the newest data key."""
    await store.keys.refresh()
    walk = _Walk(store, told)
    group: list[Version] = []
    async for version in store.inner.log(LogQuery()):
        if await walk.is_old(version):
            group.append(version)
        if len(group) == _AT_ONCE:
            await walk.versions(group)
            group = []
    await walk.versions(group)
    await walk.records()
    return Resealed(walk.done, walk.seen, frozenset(walk.left))


async def retire(store: SealedStore, told: Told = _nobody) -> list[int]:
    """Seals all anew, then destroys the older keys that no process can use any more; which.

    Those are the ones that had a successor long enough before the walk began.
    """
    began = store.keys.now()
    found = await reseal(store, told)
    if found.left:  # what others took first is met again
        found = await reseal(store, told)
    older = {one.number for one in (await store.keys.ring()).data} - {store.keys.cipher.current}
    return await store.keys.retire(frozenset(older - found.left), began - GRACE)


async def survey(store: SealedStore) -> Counter[int]:
    """How many versions and records are sealed under each data key."""
    found: Counter[int] = Counter()
    async for version in store.inner.log(LogQuery()):
        if version.body is not None and version.type not in CLEAR_TYPES:
            found[key_number(version.body)] += 1
    records = store.inner.records
    for collection in await store.records.collections():
        after = ""
        while page := await records.list(collection, after=after):
            found.update(key_number(record.body) for record in page)
            after = page[-1].key
    return found


class _Walk:
    def __init__(self, store: SealedStore, told: Told) -> None:
        self._store = store
        self._told = told
        self._current = store.keys.cipher.current
        self.done = 0
        self.seen = 0
        self.left: set[int] = set()

    async def is_old(self, version: Version) -> bool:
        await self._see()
        if version.body is None or version.type in CLEAR_TYPES:
            return False
        return key_number(version.body) < self._current

    async def versions(self, group: list[Version]) -> None:
        cipher = await self._store.keys.fresh(len(group))
        bodies = [_again(cipher, version) for version in group]
        count = await self._store.inner.rewrite(bodies)
        self.done += count
        if count < len(bodies):  # others did so, or took the version out; the next walk tells
            self.left.update(key_number(one.before) for one in bodies)

    async def records(self) -> None:
        records = self._store.inner.records
        for collection in await self._store.records.collections():
            after = ""
            while page := await records.list(collection, after=after):
                for record in page:
                    await self._see()
                    if key_number(record.body) < self._current:
                        await self._record(collection, record)
                after = page[-1].key

    async def _record(self, collection: str, record: Record) -> None:
        body = resealed(await self._store.keys.fresh(), collection, record)
        try:
            await self._store.inner.records.put(
                collection, record.key, body, expected=record.revision, expires=record.expires
            )
            self.done += 1
        except Stale:  # it was written meanwhile, or has expired
            self.left.add(key_number(record.body))

    async def _see(self) -> None:
        self.seen += 1
        if self.seen % _AT_ONCE == 0:
            await self._told(self.seen)


def _again(cipher: Cipher, version: Version) -> Rewritten:
    assert version.body is not None
    place = place_of(version.type, version.id, version.version)
    after = cipher.seal(cipher.open(version.body, place), place)
    return Rewritten(version.type, version.id, version.version, version.body, after)
