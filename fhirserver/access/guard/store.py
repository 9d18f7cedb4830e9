"""The guarded store: the port of a store, in which what the caller may not see is not there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence

from fhirserver.access.guard.keeping import Keeping
from fhirserver.access.guard.reading import Reading
from fhirserver.access.guard.searching import Searching
from fhirserver.access.guard.writing import Writing
from fhirserver.access.hops import Hops
from fhirserver.access.judge import Judge
from fhirserver.access.restriction import Restriction
from fhirserver.search.expression import EVERYTHING, Query
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


class GuardedStore:
    """`writes`: for a request that writes, which reads what it may write over.

    `opened` are the ids of the patients whose record the caller opened in an emergency.
    """

    def __init__(
        self,
        store: Store,
        restriction: Restriction,
        hops: Hops,
        judge: Judge,
        now: Callable[[], int],
        *,
        writes: bool = False,
    ) -> None:
        self._store = store
        self.reading = Reading(store, restriction, judge, "rud" if writes else "r")
        self.searching = Searching(store, restriction, hops, self.reading)
        self.writing = Writing(store, restriction, hops, self.reading, now)
        self.keeping = Keeping(store, restriction)
        self.opened = restriction.opened
        self._restriction = restriction

    def shows_all(self, type: str, letter: str) -> bool:
        """Whether the letter is allowed for whatever there is of a type."""
        return self._restriction.of(type, letter) == EVERYTHING

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
    ) -> Committed:
        return await self.writing.commit(changes, before, after, unchanged)

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
        """Nothing: a store is closed by who opened it."""
