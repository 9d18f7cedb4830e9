"""Searches of what may be seen, and what tells how many there are."""

from __future__ import annotations

from collections.abc import AsyncIterator

from fhirserver.access.guard.reading import Reading
from fhirserver.access.hops import Hops
from fhirserver.access.restriction import Restriction
from fhirserver.errors import Forbidden
from fhirserver.search.expression import EVERYTHING, NOTHING, Query
from fhirserver.store.port import Explanation, LogQuery, SearchPage, Store, Version

_LETTER = "s"


class Searching:
    """Everything here needs the letter `s`."""

    def __init__(self, store: Store, restriction: Restriction, hops: Hops, reading: Reading):
        self._store = store
        self._restriction = restriction
        self._hops = hops
        self._reading = reading

    async def search(self, query: Query) -> SearchPage:
        return await self._store.search(self._hops.query(query))

    async def explain(self, query: Query) -> Explanation:
        """Only to who may see all that is asked: its figures are those of the whole store."""
        if self._hops.query(query) != query:
            raise Forbidden("How a search is run is told to those only who may see all of it.")
        return await self._store.explain(query)

    async def log(self, query: LogQuery) -> AsyncIterator[Version]:
        async for version in self._store.log(query):
            if await self._is_shown(version):
                yield version

    async def scan(self, type: str | None = None) -> AsyncIterator[Version]:
        async for version in self._store.scan(type):
            if await self._is_shown(version):
                yield version

    async def counts(self) -> dict[str, int]:
        counts = {}
        for type, count in (await self._store.counts()).items():
            shown = self._restriction.of(type, _LETTER)
            if shown not in (EVERYTHING, NOTHING):
                page = await self._store.search(Query((type,), shown, count=0, total=True))
                count = page.total or 0
            if count and shown != NOTHING:
                counts[type] = count
        return counts

    async def _is_shown(self, version: Version) -> bool:
        shown = self._restriction.of(version.type, _LETTER)
        if shown == EVERYTHING:
            return True
        if shown == NOTHING:
            return False
        head = await self._store.read(version.type, version.id)
        if head is None or not await self._reading.fits(head, shown):
            return False
        return await self._reading.fits(version, shown)
