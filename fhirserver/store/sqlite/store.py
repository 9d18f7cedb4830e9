"""The store of one tenant in one SQLite file.

What is short is read right on the calling thread, which is many times faster than a
hand-over. A search gets a few milliseconds there; one that needs longer begins again in a
thread of its own, where its time is bounded as well. Writes go to the one writer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TypeVar

import apsw

from fhirserver.errors import Unavailable
from fhirserver.search.expression import Query
from fhirserver.store.concepts import ClosureTable, SystemCount
from fhirserver.store.log import Place
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
from fhirserver.store.sqlite import closure
from fhirserver.store.sqlite.changes import Batch
from fhirserver.store.sqlite.connection import refusal, translated
from fhirserver.store.sqlite.expunge import expunge
from fhirserver.store.sqlite.log import log_page
from fhirserver.store.sqlite.reader import Reader
from fhirserver.store.sqlite.records import SqliteRecords
from fhirserver.store.sqlite.restore import restore, rewrite
from fhirserver.store.sqlite.schema import prepare
from fhirserver.store.sqlite.staging import stage
from fhirserver.store.sqlite.writer import Writer
from fhirserver.terminology.concept import Concept
from fhirserver.terminology.source import Source

_AT_ONCE = 0.004  # seconds that the calling thread spends on a search
_PATIENCE = 10.0  # seconds that a search may wait for a thread and take in all
_THREADS = 2
_SCAN_PAGE = 200

_T = TypeVar("_T")


class SqliteStore:
    """A `fhirserver.store.port.Store`. To be used from the thread that opened it.

    `records` is its `fhirserver.store.records.Records`.
    """

    atomic = True

    def __init__(
        self, path: Path, *, clock: Callable[[], int], patience: float = _PATIENCE
    ) -> None:
        self._path = path
        self._patience = patience
        self._reader = Reader(path)
        self._idle: SimpleQueue[Reader] = SimpleQueue()
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="store-reader")
        self._writer = Writer(path, clock)
        self.records = SqliteRecords(self._reader.connection, self._writer, clock)

    @classmethod
    def open(
        cls, path: str | Path, *, clock: Callable[[], int], patience: float = _PATIENCE
    ) -> SqliteStore:
        """The store in the file, which is made when missing, and brought to the newest schema.

        `clock` gives microseconds since 1970; a search may take `patience` seconds. Raises
        `Unavailable` for a file that is locked, damaged, of another program or too new.
        """
        with translated():
            prepare(Path(path))
            return cls(Path(path), clock=clock, patience=patience)

    async def read(self, type: str, id: str, version: int | None = None) -> Version | None:
        try:  # the hottest path: no context manager, which would cost a fifth of it
            return self._reader.read(type, id, version)
        except apsw.Error as error:
            raise refusal(error) from error

    async def read_many(self, keys: Sequence[Key]) -> Sequence[Version]:
        heads = await self.heads(keys)
        found = (heads.get(key) for key in keys)
        return [version for version in found if version and version.body is not None]

    async def heads(self, keys: Sequence[Key]) -> Mapping[Key, Version]:
        with translated():
            return self._reader.heads(keys)

    async def history(self, query: HistoryQuery) -> HistoryPage:
        return await self._bounded(lambda reader: reader.history.page(query))

    async def search(self, query: Query) -> SearchPage:
        return await self._bounded(lambda reader: reader.search.page(query))

    async def explain(self, query: Query) -> Explanation:
        return await self._bounded(lambda reader: reader.explain.explain(query))

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
            return self._reader.noted()

    def forget(self, numbers: Sequence[int]) -> None:
        self._writer.forget(numbers)

    async def reindex(self, entered: Sequence[Entered], unchanged: Unchanged | None = None) -> int:
        def enter(batch: Batch) -> int:
            batch.check(unchanged)
            return batch.reindex(entered)

        return await self._writer.write(enter, len(entered), changes=entered)

    async def latest(self, type: str) -> int:
        try:
            return self._reader.latest(type)
        except apsw.Error as error:
            raise refusal(error) from error

    async def expunge(self, what: Expunge) -> int:
        return await self._writer.do(partial(expunge, what))

    async def restore(self, versions: Sequence[Kept]) -> None:
        await self._writer.do(partial(restore, versions))

    async def rewrite(self, bodies: Sequence[Rewritten]) -> int:
        return await self._writer.write(
            lambda batch: rewrite(batch.connection, bodies), len(bodies)
        )

    async def log(self, query: LogQuery) -> AsyncIterator[Version]:
        place: Place | None = Place(0, None)
        while place is not None:
            page = await self._bounded(partial(log_page, query, place))
            for version in page.versions:
                yield version
            place = page.next

    async def scan(self, type: str | None = None) -> AsyncIterator[Version]:
        types = (type,) if type else ()
        last = 0
        while True:
            with translated():
                found = self._reader.search.following(types, last, _SCAN_PAGE)
            for _, version in found:
                yield version
            if len(found) < _SCAN_PAGE:
                return
            last = found[-1][0]

    async def counts(self) -> dict[str, int]:
        return await self._bounded(lambda reader: reader.counts())

    @property
    def concepts(self) -> SqliteStore:
        """It keeps the concepts as well: a `fhirserver.store.concepts.ConceptStore`."""
        return self

    @property
    def others_write(self) -> bool:
        """Whether another process was seen to write within the last second."""
        return self._writer.others_write

    async def ask(self, question: Callable[[Source], _T]) -> _T:
        def whole(reader: Reader) -> _T:
            with reader.connection.snapshot():
                try:
                    return question(reader.terminology)
                finally:
                    reader.terminology.release()

        return await self._bounded(whole)

    async def code_systems(self) -> list[SystemCount]:
        return await self._bounded(lambda reader: reader.terminology.counts())

    async def stage(
        self,
        url: str,
        version: str | None,
        concepts: Iterable[Concept],
        told: Callable[[int], None] = lambda number: None,
    ) -> int:
        return await stage(self._writer, url, version, concepts, told)

    async def begin_closure(self, owner: str, name: str, most: int) -> None:
        await self._writer.write(lambda batch: closure.begin(batch.connection, owner, name, most))

    async def extend_closure(
        self, owner: str, name: str, codes: Sequence[tuple[str, str]], most: int
    ) -> ClosureTable | None:
        return await self._writer.write(
            lambda batch: closure.extend(batch.connection, owner, name, codes, most)
        )

    async def close(self) -> None:
        await self._writer.close()
        await asyncio.get_running_loop().run_in_executor(None, self._pool.shutdown)
        self._reader.close()
        while True:
            try:
                self._idle.get_nowait().close()
            except Empty:
                return

    async def _bounded(self, ask: Callable[[Reader], _T]) -> _T:
        """What the question gives: at once, or when that takes too long, from the pool."""
        with translated():
            try:
                with self._reader.connection.within(_AT_ONCE):
                    return ask(self._reader)
            except apsw.InterruptError:
                pass
        until = time.monotonic() + self._patience
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._ask_elsewhere, ask, until)

    def _ask_elsewhere(self, ask: Callable[[Reader], _T], until: float) -> _T:
        left = until - time.monotonic()
        if left <= 0 < self._patience:
            raise Unavailable("The store is busy with long searches. Try again later.")
        with translated():
            try:
                reader = self._idle.get_nowait()
            except Empty:
                reader = Reader(self._path)
            try:
                with reader.connection.within(left):
                    return ask(reader)
            finally:
                self._idle.put(reader)
