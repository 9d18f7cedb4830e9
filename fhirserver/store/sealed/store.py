"""A store whose content is sealed and whose index is blind, over any store.

What lies below sees sealed bytes and hashes only, so its files, logs and wire have nothing
else. Terminology (`CLEAR_TYPES`) stays as it is: stores read it themselves, and it is about
nobody. Logical ids, versions, instants and references are not sealed: see docs/encryption.md.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple, TypeVar

from fhirserver.errors import Unavailable
from fhirserver.model.resource import Body
from fhirserver.search.contained import MARK
from fhirserver.search.expression import Query
from fhirserver.search.index import Indexer
from fhirserver.store.concepts import ConceptStore
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
    Noted,
    Rewritten,
    SearchPage,
    ServerStore,
    Unchanged,
    Version,
)
from fhirserver.store.records import Records
from fhirserver.store.sealed.blind import Blind
from fhirserver.store.sealed.blinding import Blinding
from fhirserver.store.sealed.cipher import Cipher, UnknownKey
from fhirserver.store.sealed.fields import Fields
from fhirserver.store.sealed.keys import Keys, make_ring, ring_of
from fhirserver.store.sealed.master import MasterKey
from fhirserver.store.sealed.records import SealedRecords
from fhirserver.store.sealed.sorting import Sorting

CLEAR_TYPES: Final = frozenset({"CodeSystem", "ConceptMap", "ValueSet"})
"""Types that stores read by themselves, for terminology. Nothing in them is about a person."""


T = TypeVar("T")


class SealedBody(NamedTuple):
    """The body of a version, sealed at the moment of its commit."""

    body: Body
    place: str
    cipher: Cipher

    @property
    def data(self) -> bytes:
        return self.body.data

    def stamped(self, microseconds: int) -> bytes:
        return self.cipher.seal(self.body.stamped(microseconds), self.place)


class _Fixed(NamedTuple):
    """Bytes that have their instant already."""

    data: bytes

    def stamped(self, microseconds: int) -> bytes:
        return self.data


class SealedStore:
    """A `fhirserver.store.port.ServerStore`; see `open_sealed`."""

    def __init__(
        self, inner: ServerStore, keys: Keys, fields: Fields, sorting: Sorting | None = None
    ) -> None:
        self.inner = inner
        self.keys = keys
        self.blind = Blind(keys.index)
        self._blinding = Blinding(keys.index, fields)
        self._sorting = sorting
        self._records = SealedRecords(inner.records, self)

    @property
    def atomic(self) -> bool:
        return self.inner.atomic

    @property
    def records(self) -> Records:
        return self._records

    @property
    def concepts(self) -> ConceptStore:
        """Concepts of code systems are not sealed."""
        return self.inner.concepts

    # --- reading ---------------------------------------------------------------------------

    async def read(self, type: str, id: str, version: int | None = None) -> Version | None:
        found = await self.inner.read(type, id, version)
        if found is None or found.body is None or found.type in CLEAR_TYPES:
            return found
        try:  # the hottest path
            return opened(self.keys.cipher, found)
        except UnknownKey:
            return (await self._opened([found]))[0]

    async def read_many(self, keys: Sequence[Key]) -> Sequence[Version]:
        return await self._opened(await self.inner.read_many(keys))

    async def heads(self, keys: Sequence[Key]) -> Mapping[Key, Version]:
        found = await self.inner.heads(keys)
        return dict(zip(found, await self._opened(found.values()), strict=True))

    async def history(self, query: HistoryQuery) -> HistoryPage:
        page = await self.inner.history(query)
        return page._replace(versions=await self._opened(page.versions))

    async def search(self, query: Query) -> SearchPage:
        if query.sort and self._sorting and self._blinding.hides(query.sort):
            if query.count:
                return await self._sorting.page(query, self.search)
            query = replace(query, sort=())
        page = await self.inner.search(self._blinding.query(query))
        return page._replace(versions=await self._opened(page.versions))

    async def explain(self, query: Query) -> Explanation:
        if self._sorting and self._blinding.hides(query.sort):
            query = replace(query, sort=())  # which is not the store's part
        return await self.inner.explain(self._blinding.query(query))

    async def log(self, query: LogQuery) -> AsyncIterator[Version]:
        async for version in self.inner.log(query):
            yield (await self._opened((version,)))[0]

    async def scan(self, type: str | None = None) -> AsyncIterator[Version]:
        async for version in self.inner.scan(type):
            yield (await self._opened((version,)))[0]

    async def latest(self, type: str) -> int:
        return await self.inner.latest(type)

    async def counts(self) -> dict[str, int]:
        return await self.inner.counts()

    # --- writing ---------------------------------------------------------------------------

    async def commit(
        self,
        changes: Sequence[Change],
        before: Sequence[Expectation] = (),
        after: Sequence[Expectation] = (),
        unchanged: Unchanged | None = None,
        note: bytes | None = None,
    ) -> Committed:
        cipher = await self.keys.fresh(len(changes))
        sealed = [self._sealed(change, cipher) for change in changes]
        return await self.inner.commit(
            sealed, self._expected(before), self._expected(after), unchanged, note
        )

    async def noted(self) -> Sequence[Noted]:
        """As the port says: whoever makes a note seals it."""
        return await self.inner.noted()

    def forget(self, numbers: Sequence[int]) -> None:
        self.inner.forget(numbers)

    async def reindex(self, entered: Sequence[Entered], unchanged: Unchanged | None = None) -> int:
        blinded = [replace(one, entries=self._blinding.entries(one.entries)) for one in entered]
        return await self.inner.reindex(blinded, unchanged)

    async def restore(self, versions: Sequence[Kept]) -> None:
        cipher = await self.keys.fresh(len(versions))
        await self.inner.restore([self._kept(kept, cipher) for kept in versions])

    async def rewrite(self, bodies: Sequence[Rewritten]) -> int:
        """As the port says, of sealed bytes: for whoever seals anew."""
        return await self.inner.rewrite(bodies)

    async def expunge(self, what: Expunge) -> int:
        return await self.inner.expunge(what)

    async def close(self) -> None:
        await self.inner.close()

    # --- what the records need as well -------------------------------------------------------

    async def cipher(self) -> Cipher:
        return await self.keys.fresh()

    async def opened(self, opens: Callable[[Cipher], T]) -> T:
        """What it gives with the cipher; again where another process made a new key."""
        try:
            return opens(self.keys.cipher)
        except UnknownKey:
            await self.keys.refresh()
            return opens(self.keys.cipher)

    async def _opened(self, versions: Iterable[Version]) -> list[Version]:
        listed = list(versions)
        return await self.opened(lambda cipher: [opened(cipher, one) for one in listed])

    def _sealed(self, change: Change, cipher: Cipher) -> Change:
        body = change.body
        if body is not None and change.type not in CLEAR_TYPES:
            place = place_of(change.type, change.id, change.version)
            body = SealedBody(body, place, cipher)
        entries = self._blinding.entries(change.entries)
        return Change(  # `replace` takes ten times as long
            change.type, change.id, change.version, change.method, body, entries, change.concepts
        )

    def _kept(self, kept: Kept, cipher: Cipher) -> Kept:
        version = kept.version
        body = kept.body
        if version.body is not None and version.type not in CLEAR_TYPES:
            place = place_of(version.type, version.id, version.version)
            body = _Fixed(cipher.seal(version.body, place))
        return Kept(version, self._blinding.entries(kept.entries), body)

    def _expected(self, expectations: Sequence[Expectation]) -> list[Expectation]:
        return [replace(one, where=self._blinding.where(one.where)) for one in expectations]


def opened(cipher: Cipher, version: Version) -> Version:
    """A version as it was before it was sealed. Raises `Altered`, `UnknownKey`."""
    type_, id_, number, instant, method, sealed = version
    if sealed is None or type_ in CLEAR_TYPES:
        return version
    if type_[0] == MARK:
        container, inner_id = id_.partition(MARK)[0].split("/", 1)
        if container in CLEAR_TYPES:
            return version
        body = cipher.open(sealed, place_of(container, inner_id, number))
    else:
        body = cipher.open(sealed, place_of(type_, id_, number))
    return Version(type_, id_, number, instant, method, body)


def place_of(type: str, id: str, version: int) -> str:
    """What a body is bound to, beside tenant and key."""
    return f"version|{type}|{id}|{version}"


async def open_sealed(
    inner: ServerStore,
    master: MasterKey,
    *,
    tenant: str,
    clock: Callable[[], int],
    fields: Iterable[str] = (),
    indexer: Indexer | None = None,
) -> SealedStore:
    """The store, sealed; an empty one gets its keys now.

    `clock` gives microseconds since 1970, `fields` are further ones to be hashed.
    With `indexer`, results can be sorted by hashed values of the parameters that it knows. Raises
    `Unavailable` for a store that holds what is not sealed, `WrongMaster`, `Shredded`.
    """
    hashed = tuple(sorted(set(fields)))
    if await ring_of(inner.records) is None:
        if await _holds_something(inner):
            raise Unavailable(
                "The store was made without encryption. Set FHIRSERVER_ENCRYPTION=off, or move it "
                "into a new one: fhirserver export --history, then load --restore."
            )
        await make_ring(inner.records, master, tenant, clock(), hashed)
    keys = await Keys.open(inner.records, master, tenant, clock)
    if (made_with := (await keys.ring()).fields) != hashed:
        raise Unavailable(
            "FHIRSERVER_ENCRYPTION_FIELDS is not what the index of the store was made with "
            f"({', '.join(made_with) or 'unset'}). Set it so, or move the store into a new one."
        )
    return SealedStore(inner, keys, Fields(hashed), Sorting(indexer) if indexer else None)


async def check_plain(inner: ServerStore) -> None:
    """Raises `Unavailable` for a store that is sealed."""
    if await ring_of(inner.records) is not None:
        raise Unavailable(
            "The store was made with encryption. Set FHIRSERVER_ENCRYPTION=on and "
            "FHIRSERVER_ENCRYPTION_KEY as they were."
        )


async def _holds_something(inner: ServerStore) -> bool:
    if await inner.records.collections():
        return True
    return bool((await inner.history(HistoryQuery(count=1))).versions)
