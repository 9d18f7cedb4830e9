"""A store put together from parts, each of which does some of the verbs.

Who makes one says what each part is. A verb that a part does not have is an error, and never
the verb of the store behind it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

from fhirserver.search.expression import Query
from fhirserver.store.port import (
    Change,
    Committed,
    Entered,
    Expectation,
    Explanation,
    Expunge,
    HistoryPage,
    HistoryQuery,
    Keeps,
    Kept,
    Key,
    LogQuery,
    Reads,
    Searches,
    SearchPage,
    Store,
    Unchanged,
    Version,
    Writes,
)


class Parted:
    """A `Store` by its parts. Of `store` only numbers are told, and that it is closed."""

    def __init__(
        self, store: Store, reading: Reads, searching: Searches, writing: Writes, keeping: Keeps
    ) -> None:
        self._store = store
        self.reading = reading
        self.searching = searching
        self.writing = writing
        self.keeping = keeping

    @property
    def atomic(self) -> bool:
        return self._store.atomic

    async def read(self, type: str, id: str, version: int | None = None) -> Version | None:
        return await self.reading.read(type, id, version)

    async def read_many(self, keys: Sequence[Key]) -> Sequence[Version]:
        return await self.reading.read_many(keys)

    async def heads(self, keys: Sequence[Key]) -> Mapping[Key, Version]:
        return await self.reading.heads(keys)

    async def history(self, query: HistoryQuery) -> HistoryPage:
        return await self.reading.history(query)

    async def search(self, query: Query) -> SearchPage:
        return await self.searching.search(query)

    async def explain(self, query: Query) -> Explanation:
        return await self.searching.explain(query)

    def log(self, query: LogQuery) -> AsyncIterator[Version]:
        return self.searching.log(query)

    def scan(self, type: str | None = None) -> AsyncIterator[Version]:
        return self.searching.scan(type)

    async def counts(self) -> dict[str, int]:
        return await self.searching.counts()

    async def commit(
        self,
        changes: Sequence[Change],
        before: Sequence[Expectation] = (),
        after: Sequence[Expectation] = (),
        unchanged: Unchanged | None = None,
        note: bytes | None = None,
    ) -> Committed:
        return await self.writing.commit(changes, before, after, unchanged, note)

    async def reindex(self, entered: Sequence[Entered], unchanged: Unchanged | None = None) -> int:
        return await self.keeping.reindex(entered, unchanged)

    async def expunge(self, what: Expunge) -> int:
        return await self.keeping.expunge(what)

    async def restore(self, versions: Sequence[Kept]) -> None:
        await self.keeping.restore(versions)

    async def latest(self, type: str) -> int:
        """As the store's: a number that no answer shows."""
        return await self._store.latest(type)

    async def close(self) -> None:
        await self._store.close()


class Wrapped(Parted):
    """A `Store` by way of `store`; what differs is said by those who are made of it."""

    def __init__(self, store: Store) -> None:
        super().__init__(store, store, store, store, store)
