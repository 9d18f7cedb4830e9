"""The store of one tenant in a MongoDB database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Final

from fhirserver.errors import Unavailable
from fhirserver.search.expression import Query
from fhirserver.store.log import Place
from fhirserver.store.mongo.concepts import MongoConcepts
from fhirserver.store.mongo.connection import Connection, translated
from fhirserver.store.mongo.document import SHOWN, keyed, rewriting, version_of
from fhirserver.store.mongo.explain import Explainer
from fhirserver.store.mongo.expunge import Expunger
from fhirserver.store.mongo.guard import Guard
from fhirserver.store.mongo.history import Historian
from fhirserver.store.mongo.indexes import missing
from fhirserver.store.mongo.layout import check_layout, layout_of
from fhirserver.store.mongo.log import log_page
from fhirserver.store.mongo.records import MongoRecords
from fhirserver.store.mongo.reindex import Reindexer
from fhirserver.store.mongo.search import Searcher
from fhirserver.store.mongo.writer import Writer
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
    Unchanged,
    Version,
)

DEFAULT_TENANT: Final = "default"

_PATIENCE: Final = 30.0  # seconds that a search may take
_SCAN_PAGE: Final = 200
_IDS: Final = 500
_GREATEST: Final = 2**63 - 1  # what a number of the server can be


class MongoStore:
    """A `fhirserver.store.port.Store`. To be used from the loop that opened it."""

    def __init__(
        self,
        connection: Connection,
        *,
        clock: Callable[[], int],
        tenant: str,
        atomic: bool,
        patience: float,
    ) -> None:
        self.atomic = atomic
        self._connection = connection
        self._tenant = tenant
        self.records = MongoRecords(connection, tenant, clock)
        self._guard = Guard(connection, tenant, atomic=atomic)
        self.concepts = MongoConcepts(connection, tenant, self._guard, patience)
        self._searcher = Searcher(connection, tenant, self._guard, patience)
        self._reindexer = Reindexer(connection, tenant, self._guard)
        self._expunger = Expunger(connection, tenant, self._guard)
        self._explainer = Explainer(connection, self._searcher, patience)
        self._historian = Historian(connection, tenant, self._guard, patience)
        self._writer = Writer(connection, tenant, self._guard, self._searcher, clock, atomic=atomic)

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        clock: Callable[[], int],
        tenant: str = DEFAULT_TENANT,
        patience: float = _PATIENCE,
    ) -> MongoStore:
        """The tenant's store at `mongodb://HOST/DATABASE`.

        `clock` gives microseconds since 1970; a search may take `patience` seconds. Raises
        `Unavailable` when the server cannot be reached, or the database has another layout or
        not all indexes.
        """
        connection = Connection(url)
        try:
            with translated():
                atomic = await connection.has_transactions()
                await _check(connection)
        except BaseException:
            await connection.close()
            raise
        return cls(connection, clock=clock, tenant=tenant, atomic=atomic, patience=patience)

    async def read(self, type: str, id: str, version: int | None = None) -> Version | None:
        wanted = {"t": self._tenant, "k": type, "i": id}
        if version is not None and version > _GREATEST:
            return None
        if version is not None:
            wanted["v"] = version  # type: ignore[assignment]
        with translated():
            found = await self._connection.version.find_one(wanted, SHOWN, sort=[("v", -1)])
        return version_of(found) if found else None

    async def read_many(self, keys: Sequence[Key]) -> Sequence[Version]:
        heads = await self.heads(keys)
        found = (heads.get(key) for key in keys)
        return [version for version in found if version and version.body is not None]

    async def heads(self, keys: Sequence[Key]) -> Mapping[Key, Version]:
        current: dict[Key, Version] = {}
        with translated():
            for start in range(0, len(keys), _IDS):
                for wanted in keyed(self._tenant, keys[start : start + _IDS]):
                    cursor = self._connection.version.find(
                        {**wanted, "x": {"$exists": False}}, SHOWN, sort=[("i", 1), ("v", 1)]
                    )
                    for found in await cursor.to_list(None):
                        current[Key(found["k"], found["i"])] = version_of(found)
        return current

    async def history(self, query: HistoryQuery) -> HistoryPage:
        with translated():
            return await self._historian.page(query)

    async def search(self, query: Query) -> SearchPage:
        with translated():
            return await self._searcher.page(query)

    async def explain(self, query: Query) -> Explanation:
        with translated():
            return await self._explainer.explain(query)

    async def commit(
        self,
        changes: Sequence[Change],
        before: Sequence[Expectation] = (),
        after: Sequence[Expectation] = (),
        unchanged: Unchanged | None = None,
        note: bytes | None = None,
    ) -> Committed:
        if len({(change.type, change.id) for change in changes}) < len(changes):
            raise ValueError("a commit has two changes of one resource")
        return await self._writer.commit(changes, before, after, unchanged, note)

    async def noted(self) -> Sequence[Noted]:
        with translated():
            return await self._guard.noted()

    def forget(self, numbers: Sequence[int]) -> None:
        self._guard.forget(numbers)

    async def reindex(self, entered: Sequence[Entered], unchanged: Unchanged | None = None) -> int:
        with translated():
            return await self._reindexer.reindex(entered, unchanged)

    async def latest(self, type: str) -> int:
        with translated():
            return (await self._guard.position()).latest.get(type, 0)

    async def expunge(self, what: Expunge) -> int:
        with translated():
            return await self._expunger.expunge(what)

    async def restore(self, versions: Sequence[Kept]) -> None:
        with translated():
            await self._writer.restore(versions)

    async def rewrite(self, bodies: Sequence[Rewritten]) -> int:
        writes = [rewriting(self._tenant, one) for one in bodies]
        if not writes:
            return 0
        with translated():
            done = await self._connection.version.bulk_write(writes, ordered=False)
        return done.matched_count

    async def log(self, query: LogQuery) -> AsyncIterator[Version]:
        place: Place | None = Place(0, None)
        while place is not None:
            with translated():
                page = await log_page(query, place, self._connection, self._tenant, self._guard)
            for version in page.versions:
                yield version
            place = page.next

    async def scan(self, type: str | None = None) -> AsyncIterator[Version]:
        types = (type,) if type else ()
        place: int | None = 0
        while place is not None:
            with translated():
                versions, place = await self._searcher.following(types, place, _SCAN_PAGE)
            for version in versions:
                yield version

    async def counts(self) -> dict[str, int]:
        with translated():
            return await self._guard.counts()

    async def close(self) -> None:
        await self._writer.close()
        await self._guard.close()
        await self.concepts.close()
        await self._connection.close()


async def _check(connection: Connection) -> None:
    """Raises `Unavailable` for a database that is not made ready for this server."""
    name = connection.place.database
    layout = await layout_of(connection.database)
    check_layout(name, layout)
    if lacking := [index.name for index in await missing(connection.database)]:
        raise Unavailable(
            f"The database '{name}' lacks indexes ({', '.join(lacking)}). "
            "Make them: fhirserver store init"
        )
    if layout is None:
        raise Unavailable(
            f"The database '{name}' does not tell its layout. Say it: fhirserver store init"
        )
