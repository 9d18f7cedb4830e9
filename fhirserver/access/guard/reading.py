"""Reads of what may be seen: by key, by version, by history.

What may not be seen is as if it never was. Each version is judged by its own content, and by
the current one as well: who may see a resource no longer sees nothing of it, and who sees it
now does not see what it was when it was another's. A deletion is judged by what it deleted.

What is refused by its key takes the same look-ups and judgements, be it another's, deleted or
never there, so that they do not tell by how long they take. What is shown takes none for that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from fhirserver.access.condition import PATIENT, any_of, settled
from fhirserver.access.judge import Judge
from fhirserver.access.policy import BINARY
from fhirserver.access.restriction import Restriction
from fhirserver.search.expression import EVERYTHING, NOTHING, Cursor, Expression
from fhirserver.store.port import HistoryPage, HistoryQuery, Key, Store, Version

_CHUNK: Final = 50
_READ: Final = "r"
_FOUND: Final = "s"


class Reading:
    """`letters` are those of which one must show a resource that is read by its key.

    For a request that writes, what it may write is there to be read and judged as well.
    """

    def __init__(
        self, store: Store, restriction: Restriction, judge: Judge, letters: str = _READ
    ) -> None:
        self._store = store
        self._restriction = restriction
        self.judge = judge
        self._letters = letters

    def shown(self, type: str) -> Expression:
        """What may be read of a type."""
        if len(self._letters) == 1:
            return self._restriction.of(type, self._letters)
        return any_of(self._restriction.of(type, letter) for letter in self._letters)

    async def read(self, type: str, id: str, version: int | None = None) -> Version | None:
        shown = self.shown(type)
        if shown == NOTHING:
            return None
        if shown == EVERYTHING:
            return await self._store.read(type, id, version)
        head = await self._shown_head(type, id, shown)
        if head is None or version is None or head.version == version:
            return head
        found = await self._store.read(type, id, version)
        return found if found is not None and await self.fits(found, shown) else None

    async def _shown_head(self, type: str, id: str, shown: Expression) -> Version | None:
        """The current version, or the deletion, if it may be seen."""
        head = await self._store.read(type, id)
        if head is not None and await self.fits(head, shown):
            return head
        await self._even_out(type, id, head, shown)
        return None

    async def _even_out(
        self, type: str, id: str, refused: Version | None, shown: Expression
    ) -> None:
        """What the refusal of a deletion, which takes most, would have taken more than this."""
        if refused is None:
            await self.fits(_decoy(Key(type, id)), shown)
        if refused is None or refused.body is not None:
            await self._store.read(type, id)

    async def read_many(self, keys: Sequence[Key]) -> Sequence[Version]:
        found = await self._store.read_many(self._readable(keys))
        return [item for item in found if await self.fits(item, self.shown(item.type))]

    async def heads(self, keys: Sequence[Key]) -> Mapping[Key, Version]:
        found = await self._store.heads(self._readable(keys))
        return {
            key: item for key, item in found.items() if await self.fits(item, self.shown(key.type))
        }

    async def fits(self, version: Version, shown: Expression) -> bool:
        """Whether a version may be seen; a deletion is judged by the version before it."""
        if shown == EVERYTHING:
            return True
        if shown == NOTHING:  # also where one Binary names another, or itself
            return False
        if version.body is None:
            number = version.version - 1
            before = await self._store.read(version.type, version.id, number) if number else None
            if before is None or before.body is None:
                return False
            version = before
        if version.type == BINARY:
            shown = settled(shown, by_context=await self._is_by_context(version))
        return self.judge.fits(version, shown)

    async def _is_by_context(self, version: Version) -> bool:
        """Whether the resource that a Binary's securityContext names is seen, as it is now."""
        target = self.judge.security_context(version)
        key = target or Key(PATIENT, version.id)
        head = await self._store.read(*key)
        is_there = target is not None and head is not None and head.body is not None
        if head is None or head.body is None:
            head = _decoy(key)
        return await self.fits(head, self._restriction.by_context(key.type)) and is_there

    def _readable(self, keys: Sequence[Key]) -> list[Key]:
        return [key for key in keys if self.shown(key.type) != NOTHING]

    # --- history --------------------------------------------------------------------------

    async def history(self, query: HistoryQuery) -> HistoryPage:
        """The page with what may be seen of it; its total is told of an instance only."""
        letter = _FOUND if query.id is None else _READ
        types = [query.type] if query.type else sorted(self._restriction.definitions.resource_types)
        shown = {type: self._restriction.of(type, letter) for type in types}
        if all(item == EVERYTHING for item in shown.values()):
            return await self._store.history(query)
        if all(item == NOTHING for item in shown.values()):
            return HistoryPage((), 0, None)
        if query.type and query.id:
            head = await self._shown_head(query.type, query.id, shown[query.type])
            if head is None:
                return HistoryPage((), 0, None)
        walk = _Walk(self, self._store, query, shown)
        return await walk.page()


class _Walk:
    """A way through a history that passes over what may not be seen.

    A cursor is that of the store, from which so many versions were passed since; the first
    step takes one version only, to have a cursor that holds the snapshot.
    """

    def __init__(
        self,
        reading: Reading,
        store: Store,
        query: HistoryQuery,
        shown: Mapping[str, Expression],
    ) -> None:
        self._reading = reading
        self._store = store
        self._query = query
        self._shown = shown
        self._heads: dict[Key, bool] = {}

    async def page(self) -> HistoryPage:
        found: list[Version] = []
        ends: Cursor | None = None
        total = 0
        skip, after = _opened(self._query.after)
        while True:
            size = 1 if after is None else _CHUNK
            page = await self._store.history(_step(self._query, size, after))
            for number, version in enumerate(page.versions, 1):
                if number <= skip or not await self._is_shown(version):
                    continue
                total += 1
                if len(found) < self._query.count:
                    found.append(version)
                    ends = _place(page, after, number)
                elif self._query.id is None or self._query.after is not None:
                    return HistoryPage(found, self._total(total), ends)
            skip = 0
            if page.next is None:
                more = total > len(found)
                return HistoryPage(found, self._total(total), ends if more else None)
            after = page.next

    def _total(self, total: int) -> int | None:
        """The total where all was walked through: the first page of an instance's history."""
        is_whole = self._query.id is not None and self._query.after is None
        return total if is_whole else None

    async def _is_shown(self, version: Version) -> bool:
        shown = self._shown.get(version.type, NOTHING)
        if shown == EVERYTHING:
            return True
        if shown == NOTHING:
            return False
        key = Key(version.type, version.id)
        if key not in self._heads:
            head = await self._store.read(*key)
            self._heads[key] = head is not None and await self._reading.fits(head, shown)
        return self._heads[key] and await self._reading.fits(version, shown)


def _decoy(key: Key) -> Version:
    """What is judged in the place of what is not there; how does not matter."""
    return Version(key.type, key.id, 1, 0, "PUT", f'{{"resourceType":"{key.type}"}}'.encode())


def _step(query: HistoryQuery, count: int, after: Cursor | None) -> HistoryQuery:
    return HistoryQuery(query.type, query.id, query.since, query.at, count, after)


def _opened(cursor: Cursor | None) -> tuple[int, Cursor | None]:
    if cursor is None:
        return 0, None
    skip, *after = cursor
    assert isinstance(skip, int)
    return skip, tuple(after)


def _place(page: HistoryPage, after: Cursor | None, number: int) -> Cursor | None:
    """The cursor behind the version of that number of a page, which began behind `after`."""
    if after is None:  # a page of one version
        return None if page.next is None else (0, *page.next)
    return (number, *after)
