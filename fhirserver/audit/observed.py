"""The store as an interaction uses it, with what it got from it and put into it written down.

What was disclosed is told by the store itself, not guessed from answers. It also keeps the
audit trail from being written by anybody but the server.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence

from fhirserver.access.guard.reasons import Reasons
from fhirserver.audit.chain import TYPE
from fhirserver.errors import MethodNotAllowed
from fhirserver.search.expression import Query
from fhirserver.store.parted import Wrapped
from fhirserver.store.port import (
    Change,
    Committed,
    Expectation,
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

READ_ONLY = "AuditEvents are made by the server itself: nobody can write, change or remove them."


def refuse_trail() -> MethodNotAllowed:
    """What whoever would write AuditEvents is told."""
    return MethodNotAllowed(READ_ONLY, headers={"Allow": "GET, HEAD"})


class Seen:
    """`versions` were read, the last of a key counts; `changes` were committed.

    `reasons` tells why, where the caller does not see everything. `note` makes the notes of
    commits, `noted` are the numbers of those that have one.
    """

    __slots__ = ("changes", "note", "noted", "reasons", "versions")

    def __init__(self) -> None:
        self.reasons: Reasons | None = None
        self.versions: dict[tuple[str, str, int], Version] = {}
        self.changes: list[Change] = []
        self.note: Callable[[Sequence[Change]], bytes] | None = None
        self.noted: list[int] = []

    def add(self, version: Version) -> None:
        if version.body is not None:
            self.versions[version.type, version.id, version.version] = version


class Observed(Wrapped):
    """A `Store` by way of `store`. Raises `MethodNotAllowed` for a write of AuditEvents."""

    def __init__(self, store: Store, seen: Seen) -> None:
        super().__init__(store)
        self._seen = seen

    async def read(self, type: str, id: str, version: int | None = None) -> Version | None:
        found = await self._store.read(type, id, version)
        if found is not None:
            self._seen.add(found)
        return found

    async def read_many(self, keys: Sequence[Key]) -> Sequence[Version]:
        return self._noted(await self._store.read_many(keys))

    async def heads(self, keys: Sequence[Key]) -> Mapping[Key, Version]:
        found = await self._store.heads(keys)
        self._noted(tuple(found.values()))
        return found

    async def history(self, query: HistoryQuery) -> HistoryPage:
        page = await self._store.history(query)
        self._noted(page.versions)
        return page

    async def search(self, query: Query) -> SearchPage:
        page = await self._store.search(query)
        self._noted(page.versions)
        return page

    async def commit(
        self,
        changes: Sequence[Change],
        before: Sequence[Expectation] = (),
        after: Sequence[Expectation] = (),
        unchanged: Unchanged | None = None,
        note: bytes | None = None,
    ) -> Committed:
        if any(change.type == TYPE for change in changes):
            raise refuse_trail()
        seen = self._seen
        if note is None and seen.note is not None and changes:
            note = seen.note(changes)
        done = await self._store.commit(changes, before, after, unchanged, note)
        seen.changes.extend(changes)
        if note is not None:
            seen.noted.append(done.number)
        return done

    async def expunge(self, what: Expunge) -> int:
        if what.type == TYPE:
            raise refuse_trail()
        return await self._store.expunge(what)

    async def restore(self, versions: Sequence[Kept]) -> None:
        raise refuse_trail()

    async def log(self, query: LogQuery) -> AsyncIterator[Version]:
        async for version in self._store.log(query):
            self._seen.add(version)
            yield version

    async def scan(self, type: str | None = None) -> AsyncIterator[Version]:
        async for version in self._store.scan(type):
            self._seen.add(version)
            yield version

    def _noted(self, versions: Sequence[Version]) -> Sequence[Version]:
        for version in versions:
            self._seen.add(version)
        return versions
