"""The archive of one tenant in one SQLite file, which many processes may have open.

What is short is read on the calling thread; a search gets some milliseconds there, and one that
needs longer begins again in a thread. Writes go to the one writer of the process.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final, TypeVar

import apsw

from fhirserver.archive.port import (
    Changed,
    Conflicts,
    Deleted,
    Held,
    Instance,
    Outcome,
    Series,
    Study,
)
from fhirserver.archive.query import Found, Question
from fhirserver.archive.sqlite.batch import ready
from fhirserver.archive.sqlite.reader import Reader, portions
from fhirserver.archive.sqlite.schema import prepare
from fhirserver.archive.sqlite.writer import Writer
from fhirserver.archive.veil import Clear, Veil
from fhirserver.errors import FhirError, TooCostly, Unavailable
from fhirserver.store.sqlite.connection import translated

_AT_ONCE: Final = 0.008  # seconds that the calling thread spends on a search
_PATIENCE: Final = 10.0
_THREADS: Final = 2
_BLOBS: Final = 5000

_T = TypeVar("_T")


class SqliteArchive:
    """A `fhirserver.archive.port.Archive`; reads are for the thread that opened it."""

    def __init__(
        self, path: Path, *, clock: Callable[[], int], veil: Veil, patience: float
    ) -> None:
        self._path = path
        self._veil = veil
        self._patience = patience
        self._reader = Reader(path, veil)
        self._idle: SimpleQueue[Reader] = SimpleQueue()
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="archive-reader")
        self._writer = Writer(path, veil, clock)

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        clock: Callable[[], int],
        veil: Veil | None = None,
        patience: float = _PATIENCE,
    ) -> SqliteArchive:
        """The archive in the file, which is made when missing.

        `clock` gives microseconds since 1970; a search may take `patience` seconds; `veil` seals.
        Raises `Unavailable` for a file that is locked, damaged, of another program or too new, or
        that was sealed otherwise.
        """
        veil = veil or Clear()
        with translated():
            prepare(Path(path), sealed=not veil.is_clear)
            return cls(Path(path), clock=clock, veil=veil, patience=patience)

    # --- writing -----------------------------------------------------------------------------

    async def add(
        self,
        instances: Sequence[Instance],
        conflicts: Conflicts = "keep",
        *,
        verified: bool = False,
    ) -> Sequence[Outcome]:
        added = self.add_soon(instances, conflicts, verified=verified)
        return await asyncio.wrap_future(added)

    def add_soon(
        self,
        instances: Sequence[Instance],
        conflicts: Conflicts = "keep",
        *,
        verified: bool = False,
    ) -> Future[Sequence[Outcome]]:
        try:
            made = [ready(one, self._veil) for one in instances]
        except FhirError as error:
            refused: Future[Sequence[Outcome]] = Future()
            refused.set_exception(error)
            return refused
        return self._writer.write(lambda batch: batch.add(made, conflicts, verified), len(made))

    async def delete(
        self, study: str, series: str | None = None, instance: str | None = None
    ) -> Deleted:
        gone = self._writer.write(lambda batch: batch.delete(study, series, instance))
        return await asyncio.wrap_future(gone)

    # --- asking ------------------------------------------------------------------------------

    async def find(self, question: Question, among: Sequence[str] | None = None) -> Found:
        with translated():
            try:
                return self._find(self._reader, question, among, _AT_ONCE)
            except (apsw.InterruptError, TooCostly):
                pass
        loop = asyncio.get_running_loop()
        until = time.monotonic() + self._patience
        return await loop.run_in_executor(self._pool, self._find_elsewhere, question, among, until)

    async def study(self, uid: str) -> Study | None:
        with translated():
            return self._reader.study(uid)

    async def series(self, study: str) -> Sequence[Series]:
        with translated():
            return self._reader.series(study)

    async def held(
        self, study: str, series: Sequence[str] = (), instances: Sequence[str] = ()
    ) -> Sequence[Held]:
        with translated():
            return self._reader.held(study, series, instances)

    async def held_by_uid(self, instances: Sequence[str]) -> Sequence[Held]:
        with translated():
            return self._reader.held_by_uid(instances)

    async def held_by_blob(self, digests: Sequence[str]) -> Sequence[Held]:
        with translated():
            return self._reader.held_by_blob(digests)

    async def headers(
        self, study: str, series: Sequence[str] = (), instances: Sequence[str] = ()
    ) -> AsyncIterator[tuple[Held, bytes]]:
        with translated():
            numbers = self._reader.numbers(study, series, instances)
        for some in portions(numbers):
            with translated():
                found = self._reader.headers(some)
            for one in found:
                yield one

    async def was_deleted(
        self, study: str, series: str | None = None, instance: str | None = None
    ) -> bool:
        with translated():
            return self._reader.was_deleted(study, series, instance)

    async def count(self) -> tuple[int, int, int]:
        with translated():
            return self._reader.count()

    # --- the projection ------------------------------------------------------------------------

    async def changed(self, limit: int = 100) -> Sequence[Changed]:
        with translated():
            return self._reader.changed(limit)

    async def projected(
        self, study: str, revision: int, imaging_study: str | None, subject: str | None
    ) -> None:
        done = self._writer.write(
            lambda batch: batch.project(study, revision, imaging_study, subject)
        )
        await asyncio.wrap_future(done)

    # --- blobs ---------------------------------------------------------------------------------

    async def free(self, digests: Sequence[str]) -> None:
        await asyncio.wrap_future(self._writer.write(lambda batch: batch.free(digests)))

    async def freed(self, limit: int = 100) -> Sequence[str]:
        return await asyncio.wrap_future(self._writer.write(lambda batch: batch.claim(limit)))

    async def dropped(self, digests: Sequence[str]) -> None:
        await asyncio.wrap_future(self._writer.write(lambda batch: batch.drop(digests)))

    async def blobs(self) -> AsyncIterator[str]:
        last = 0
        while True:
            with translated():
                found = self._reader.blobs(last, _BLOBS)
            for number, blob in found:
                last = number
                yield blob.hex()
            if len(found) < _BLOBS:
                return

    async def close(self) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self._writer.close)
        await loop.run_in_executor(None, self._pool.shutdown)
        self._reader.connection.close()
        while True:
            try:
                self._idle.get_nowait().connection.close()
            except Empty:
                return

    def _find(
        self, reader: Reader, question: Question, among: Sequence[str] | None, seconds: float
    ) -> Found:
        until = time.monotonic() + seconds
        with reader.connection.within(seconds), reader.connection.snapshot():
            return reader.finder.page(question, among, until)

    def _find_elsewhere(
        self, question: Question, among: Sequence[str] | None, until: float
    ) -> Found:
        left = until - time.monotonic()
        if left <= 0 < self._patience:
            raise Unavailable("The archive is busy with long searches. Try again later.")
        with translated():
            try:
                reader = self._idle.get_nowait()
            except Empty:
                reader = Reader(self._path, self._veil)
            try:
                return self._find(reader, question, among, left)
            finally:
                self._idle.put(reader)
