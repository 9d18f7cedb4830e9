"""The one writer of a process: a thread that commits many requests with one fsync.

Requests that wait while a commit is made durable form the next group, one transaction. One of
them that fails takes no other with it. Answers are given after the transaction is durable.
Between processes SQLite's write lock decides; numbers and instants are given under it.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from math import inf
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, TypeAlias, TypeVar

import apsw

from fhirserver.errors import FhirError, Unavailable
from fhirserver.store.port import Change, Committed, Entered, Expectation, Unchanged
from fhirserver.store.sqlite.changes import Batch
from fhirserver.store.sqlite.connection import FATAL, Connection, refused
from fhirserver.store.sqlite.dictionary import Interning
from fhirserver.store.sqlite.expectation import check
from fhirserver.store.sqlite.search import Searcher

_GROUP_REQUESTS = 256
_GROUP_CHANGES = 2000
_CHECKPOINT_PAGES = 4000
_PATIENCE = 10.0  # seconds that the expectations of one commit may take
_PAUSE = 0.0015  # seconds that other processes get to take the lock
_WATCHED = 1.0  # seconds after another's commit in which they get them
_LOOKED = 0.02  # seconds between two looks whether others committed
_FORGET = "DELETE FROM note WHERE vid=?"

_T = TypeVar("_T")


class Insertion(NamedTuple):
    """A write that is one INSERT, where nothing is in its way: SQLite commits it by itself.

    A thread that holds the interpreter's lock makes us wait at each statement.
    """

    statement: str
    values: tuple[str | bytes | int | None, ...]


class Request(NamedTuple):
    """A write that waits, how many rows it changes, and whom to tell. Its loop resolves `done`.

    `write` raises a `FhirError` before it has written anything. `insertion` does the same with
    less, where no other write waits; where it violates a constraint, `write` is to be asked.
    `changes` are those that it will give to the batch.
    """

    write: Callable[[Batch], Any]
    size: int
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[Any]
    insertion: Insertion | None = None
    changes: Sequence[Change | Entered] = ()


Job: TypeAlias = Callable[[Connection, Interning], int]
"""Upkeep of the store: begins and ends its own transactions."""


class Upkeep(NamedTuple):
    """A job that waits. It is done by itself, between two groups of commits."""

    job: Job
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[int]


class Outcome(NamedTuple):
    request: Request | Upkeep
    result: Any


class Writer:
    """Takes commits from any thread and gives their outcome to the loop that asked."""

    def __init__(self, path: Path, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._queue: SimpleQueue[Request | Upkeep | None] = SimpleQueue()
        self._next: Request | Upkeep | None = None  # taken from the queue too early
        self._is_closed = False
        self._connection = Connection(path)
        self._connection.wal_autocheckpoint(_CHECKPOINT_PAGES)
        self._names = Interning(self._connection)
        self._searcher = Searcher(self._connection, self._names)
        self._by_others = self._connection.pragma("data_version")
        self._seen = self._looked = -inf
        self._forgotten: deque[int] = deque()
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    async def commit(
        self,
        changes: Sequence[Change],
        before: Sequence[Expectation],
        after: Sequence[Expectation],
        unchanged: Unchanged | None,
        note: bytes | None = None,
    ) -> Committed:
        """As `Store.commit`."""

        def add(batch: Batch) -> Committed:
            batch.check(unchanged)
            return self._add(batch, changes, before, after, note)

        return await self.write(add, len(changes), changes=changes)

    async def write(
        self,
        write: Callable[[Batch], _T],
        size: int = 1,
        insertion: Insertion | None = None,
        changes: Sequence[Change | Entered] = (),
    ) -> _T:
        """What `write` gives, once it is durable. It is called in the writer's thread.

        An `insertion` may be made instead, which gives the number of its row. `changes` are
        those that `write` gives to its batch, so that what they need is looked up together.
        """
        if self._is_closed:
            raise Unavailable("The store is closed.")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[_T] = loop.create_future()
        self._queue.put(Request(write, size, loop, done, insertion, changes))
        return await done

    def forget(self, numbers: Sequence[int]) -> None:
        """As `ServerStore.forget`."""
        self._forgotten.extend(numbers)

    async def do(self, job: Job) -> int:
        """What a job gives. It begins and ends its own transactions."""
        if self._is_closed:
            raise Unavailable("The store is closed.")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[int] = loop.create_future()
        self._queue.put(Upkeep(job, loop, done))
        return await done

    async def close(self) -> None:
        """Finishes what waits, then ends the thread and its connection."""
        if not self._is_closed:
            self._is_closed = True
            self._queue.put(None)
        await asyncio.get_running_loop().run_in_executor(None, self._thread.join)

    @property
    def others_write(self) -> bool:
        """Whether another process was seen to write within the last second."""
        return time.monotonic() - self._seen < _WATCHED

    def _run(self) -> None:
        is_last = False
        while not is_last and (first := self._next or self._queue.get()) is not None:
            self._next = None
            if isinstance(first, Upkeep):
                self._do(first)
                continue
            if not self._insert_alone(first):
                is_last = self._commit_group(first)
            self._give_way()
        with suppress(apsw.Error):  # whose notes are left is looked up again
            self._forget()
        self._connection.close()

    def _give_way(self) -> None:
        """Pauses after a group when other processes write as well.

        They look every millisecond whether the file is free; a busy writer that took it again
        at once would keep them waiting for seconds.
        """
        now = time.monotonic()
        if now - self._looked < _LOOKED and now - self._seen >= _WATCHED:
            return
        self._looked = now
        by_others = self._connection.pragma("data_version")
        if by_others != self._by_others:
            self._by_others = by_others
            self._seen = now
        if now - self._seen < _WATCHED:
            time.sleep(_PAUSE)

    def _insert_alone(self, request: Request) -> bool:
        """Commits a request by its one statement; False where it is to be done as a group."""
        if request.insertion is None or not self._queue.empty():
            return False
        try:
            self._connection.execute(*request.insertion)
            outcome = Outcome(request, self._connection.last_insert_rowid())
        except apsw.ConstraintError:
            return False
        except Exception as error:  # noqa: BLE001  as for commits
            outcome = Outcome(request, refused(error))
        _tell([outcome])
        return True

    def _commit_group(self, first: Request) -> bool:
        """Commits a group that begins with `first`; whether the writer is to end after it."""
        group = [first]
        is_last = False
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            is_last = self._gather(group)
            outcomes = self._write(group)
        except Exception as error:  # noqa: BLE001  the thread must live on, and its askers be told
            self._roll_back()
            outcomes = self._one_by_one(group, error)
        _tell(outcomes)
        return is_last

    def _do(self, upkeep: Upkeep) -> None:
        result: int | Exception
        try:
            result = upkeep.job(self._connection, self._names)
        except Exception as error:  # noqa: BLE001  as for commits
            self._roll_back()
            result = refused(error)
        _tell([Outcome(upkeep, result)])

    def _one_by_one(self, group: Sequence[Request], error: Exception) -> list[Outcome]:
        """The outcomes when writing the group failed: it may have been the fault of one."""
        if len(group) == 1 or isinstance(error, FATAL):
            return [Outcome(request, refused(error)) for request in group]
        outcomes = []
        for request in group:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                outcomes += self._write([request])
            except Exception as fault:  # noqa: BLE001  as above
                self._roll_back()
                outcomes.append(Outcome(request, refused(fault)))
        return outcomes

    def _gather(self, group: list[Request]) -> bool:
        """Adds to the group what waits; whether the end of all requests was met."""
        size = group[0].size
        while len(group) < _GROUP_REQUESTS and size < _GROUP_CHANGES:
            try:
                request = self._queue.get_nowait()
            except Empty:
                return False
            if request is None:
                return True
            if isinstance(request, Upkeep):
                self._next = request
                return False
            group.append(request)
            size += request.size
        return False

    def _write(self, group: Sequence[Request]) -> list[Outcome]:
        """Writes the requests of a group inside a transaction that has begun, and commits it."""
        self._names.mark()
        batch = Batch(self._connection, self._names)
        batch.known.expect(change for request in group for change in request.changes)
        outcomes = []
        for request in group:
            try:
                outcomes.append(Outcome(request, request.write(batch)))
            except FhirError as error:
                outcomes.append(Outcome(request, error))
            except apsw.InterruptError as error:
                outcomes.append(Outcome(request, refused(error)))
        batch.flush()
        self._forget()
        self._connection.execute("COMMIT")
        return outcomes

    def _forget(self) -> None:
        """Takes away the notes that need not be kept."""
        numbers = [self._forgotten.popleft() for _ in range(len(self._forgotten))]
        if numbers:
            self._connection.executemany(_FORGET, [(number,) for number in numbers])

    def _add(
        self,
        batch: Batch,
        changes: Sequence[Change],
        before: Sequence[Expectation],
        after: Sequence[Expectation],
        note: bytes | None,
    ) -> Committed:
        now = self._clock() // 1000
        if not before and not after:
            return batch.add(changes, now, note)
        batch.flush()
        with self._connection.within(_PATIENCE):
            check(self._searcher, before)
        if not after:
            return batch.add(changes, now, note)
        earlier = batch.head
        self._connection.execute("SAVEPOINT request")
        try:
            done = batch.add(changes, now, note)
            batch.flush()
            with self._connection.within(_PATIENCE):
                check(self._searcher, after)
        except (FhirError, apsw.InterruptError):
            self._connection.execute("ROLLBACK TO request")
            self._connection.execute("RELEASE request")
            self._names.forget()
            batch.return_to(earlier)
            raise
        self._connection.execute("RELEASE request")
        return done

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
        self._names.forget()


def _tell(outcomes: Sequence[Outcome]) -> None:
    """Resolves the futures, each in its own loop, with one wake-up a loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Outcome]] = {}
    for outcome in outcomes:
        by_loop.setdefault(outcome.request.loop, []).append(outcome)
    for loop, told in by_loop.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(_resolve, told)


def _resolve(outcomes: Sequence[Outcome]) -> None:
    for request, result in outcomes:
        done: asyncio.Future[Any] = request.done
        if done.done():
            continue
        if isinstance(result, Exception):
            done.set_exception(result)
        else:
            done.set_result(result)
