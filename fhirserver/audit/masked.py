"""The audit trail as those see it who are no auditors: patients, of accesses to their record.

What somebody searched for may name others than the patient who reads the event, so the query is
left out; that there was one is told.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

from fhirserver.audit.chain import TYPE
from fhirserver.model.json import decode, encode
from fhirserver.search.expression import Query
from fhirserver.search.shape import marked
from fhirserver.store.parted import Wrapped
from fhirserver.store.port import (
    HistoryPage,
    HistoryQuery,
    Key,
    LogQuery,
    SearchPage,
    Version,
)

_MASKED = {
    "extension": [
        {
            "url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason",
            "valueCode": "masked",
        }
    ]
}


class Masked(Wrapped):
    """A `Store` whose AuditEvents have no queries."""

    async def read(self, type: str, id: str, version: int | None = None) -> Version | None:
        found = await self._store.read(type, id, version)
        return None if found is None else masked(found)

    async def read_many(self, keys: Sequence[Key]) -> Sequence[Version]:
        return [masked(version) for version in await self._store.read_many(keys)]

    async def heads(self, keys: Sequence[Key]) -> Mapping[Key, Version]:
        found = await self._store.heads(keys)
        return {key: masked(version) for key, version in found.items()}

    async def history(self, query: HistoryQuery) -> HistoryPage:
        page = await self._store.history(query)
        return page._replace(versions=[masked(version) for version in page.versions])

    async def search(self, query: Query) -> SearchPage:
        page = await self._store.search(query)
        return page._replace(versions=[masked(version) for version in page.versions])

    async def log(self, query: LogQuery) -> AsyncIterator[Version]:
        async for version in self._store.log(query):
            yield masked(version)

    async def scan(self, type: str | None = None) -> AsyncIterator[Version]:
        async for version in self._store.scan(type):
            yield masked(version)


def masked(version: Version) -> Version:
    """The version as it is shown; any other resource than an AuditEvent is as it was."""
    if version.type != TYPE or version.body is None or b'"query":"' not in version.body:
        return version
    event = decode(version.body)
    for entity in event.get("entity", ()):
        if "query" in entity:
            del entity["query"]
            entity["_query"] = _MASKED
    event.pop("text", None)  # it may tell what was masked
    return version._replace(body=encode(marked(event)))
