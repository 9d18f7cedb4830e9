"""Where sealed segments wait until they are filed: the port, and one over a store's records."""

from __future__ import annotations

from asyncio import gather
from collections.abc import AsyncIterator, Sequence
from typing import Final, NamedTuple, Protocol

from fhirserver.store.records import ABSENT, MAX_LISTED, Place, Records

COLLECTION: Final = "audit.segment"

_AT_ONCE: Final = min(100, MAX_LISTED)


class Sealed(NamedTuple):
    """A sealed segment; `key` is the id of its first event."""

    key: str
    body: bytes


class Held(NamedTuple):
    """Segments that lie together; `place` is where."""

    place: str
    segments: Sequence[Sealed]


class Shelf(Protocol):
    """Keeps segments. One process puts into a lane; any may look, and take what it has filed."""

    async def put(self, lane: int, segment: Sealed) -> None:
        """Durable when it returns. Raises `Stale` where the place is taken, else what failed."""

    async def get(self, keys: Sequence[str]) -> list[Sealed]:
        """What this process put, in order; without what is there no more."""

    async def remove(self, keys: Sequence[str]) -> None:
        """Takes away what this process put and has filed."""

    def held(self) -> AsyncIterator[Held]:
        """All there is."""

    def left(self, *, of_living: bool = True) -> AsyncIterator[Held]:
        """What this process is not known to file: that of others, be they there or not.

        Without `of_living`, where that can be known, nothing of those that still put."""

    async def discard(self, place: str, keys: Sequence[str]) -> None:
        """Takes away what was `left` there and is filed, as far as that is nobody else's to do."""

    async def close(self) -> None:
        """Nothing is put any more."""


class RecordShelf:
    """A `Shelf` in the records of a store, for processes on many machines."""

    def __init__(self, records: Records) -> None:
        self._records = records

    async def put(self, lane: int, segment: Sealed) -> None:
        await self._records.put(COLLECTION, segment.key, segment.body, expected=ABSENT)

    async def get(self, keys: Sequence[str]) -> list[Sealed]:
        found = await self._records.get_many([Place(COLLECTION, key) for key in keys])
        return [Sealed(record.key, record.body) for record in found if record is not None]

    async def remove(self, keys: Sequence[str]) -> None:
        # Together, so that a store that commits in groups makes one sync of them.
        await gather(*(self._records.delete(COLLECTION, key) for key in keys))

    async def held(self) -> AsyncIterator[Held]:
        after = ""
        while True:
            page = await self._records.list(COLLECTION, after=after, count=_AT_ONCE)
            if page:
                yield Held("", [Sealed(record.key, record.body) for record in page])
            if len(page) < _AT_ONCE:
                return
            after = page[-1].key

    def left(self, *, of_living: bool = True) -> AsyncIterator[Held]:
        return self.held()

    async def discard(self, place: str, keys: Sequence[str]) -> None:
        await self.remove(keys)

    async def close(self) -> None:
        return None
