"""A store that does what another does; what differs is said by those who are made of it."""

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
    Kept,
    Key,
    LogQuery,
    SearchPage,
    Store,
    Unchanged,
    Version,
)


class Wrapped:
    """A `Store` by way of `store`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def atomic(self) -> bool:
        return self._store.atomic

    async def read(self, type: str, id: str, version: int | None = None) -> Version | None:
        return await self._store.read(type, id, version)

    async def read_many(self, keys: Sequence[Key]) -> Sequence[Version]:
        return await self._store.read_many(keys)

    async def heads(self, keys: Sequence[Key]) -> Mapping[Key, Version]:
        return await self._store.heads(keys)

    async def history(self, query: HistoryQuery) -> HistoryPage:
        return await self._store.history(query)

    async def search(self, query: Query) -> SearchPage:
        return await self._store.search(query)

    async def explain(self, query: Query) -> Explanation:
        return await self._store.explain(query)

    async def commit(
        self,
        changes: Sequence[Change],
        before: Sequence[Expectation] = (),
        after: Sequence[Expectation] = (),
        unchanged: Unchanged | None = None,
    ) -> Committed:
        return await self._store.commit(changes, before, after, unchanged)

    async def reindex(self, entered: Sequence[Entered], unchanged: Unchanged | None = None) -> int:
        return await self._store.reindex(entered, unchanged)

    async def latest(self, type: str) -> int:
        return await self._store.latest(type)

    async def expunge(self, what: Expunge) -> int:
        return await self._store.expunge(what)

    async def restore(self, versions: Sequence[Kept]) -> None:
        await self._store.restore(versions)

    def log(self, query: LogQuery) -> AsyncIterator[Version]:
        return self._store.log(query)

    def scan(self, type: str | None = None) -> AsyncIterator[Version]:
        return self._store.scan(type)

    async def counts(self) -> dict[str, int]:
        return await self._store.counts()

    async def close(self) -> None:
        await self._store.close()
