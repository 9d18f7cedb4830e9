"""Who projects: one worker at a time, under a lease that it renews."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from fhirserver.store.port import Stale
from fhirserver.store.records import ABSENT, Records

COLLECTION: Final = "imaging.projection"
KEY: Final = "owner"
LEASE: Final = 6_000_000
"""Microseconds after which another takes over from a worker that is silent."""


class Held(msgspec.Struct, frozen=True):
    """The worker, and until when it is the one (microseconds since 1970)."""

    owner: str
    until: int


class Lease:
    """`owner` names this worker among all; `now` gives microseconds since 1970."""

    def __init__(self, records: Records, owner: str, now: Callable[[], int]) -> None:
        self._records = records
        self._owner = owner
        self._now = now
        self._until = 0

    async def held(self) -> bool:
        """Whether this worker is the one, for the next two thirds of a lease at least."""
        now = self._now()
        if self._until - now > LEASE * 2 // 3:
            return True
        record = await self._records.get(COLLECTION, KEY)
        if record is not None:
            found = msgspec.json.decode(record.body, type=Held)
            if found.owner != self._owner and found.until > now:
                return False
        mine = Held(self._owner, now + LEASE)
        expected = record.revision if record else ABSENT
        try:
            await self._records.put(COLLECTION, KEY, msgspec.json.encode(mine), expected=expected)
        except Stale:
            return False
        self._until = mine.until
        return True

    async def release(self) -> None:
        """Lets another take over at once."""
        record = await self._records.get(COLLECTION, KEY)
        if record is None or msgspec.json.decode(record.body, type=Held).owner != self._owner:
            return
        try:
            await self._records.delete(COLLECTION, KEY, expected=record.revision)
        except Stale:
            return
