"""The one writer of a process: a thread that commits many requests with one fsync.

Requests that wait while a commit is made durable form the next group: one transaction, with
a savepoint for each, so that one that fails takes no other with it. Answers are given after
the transaction is durable. Between processes SQLite's write lock decides; numbers and
instants are read and given under it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import NamedTuple

import apsw

from fhirserver.errors import Unavailable
from fhirserver.store.port import Change, Committed, Expectation
from fhirserver.store.sqlite.changes import Application, Head, head
from fhirserver.store.sqlite.connection import Connection, refusal
from fhirserver.store.sqlite.dictionary import Interning
from fhirserver.store.sqlite.expectation import check
from fhirserver.store.sqlite.search import Searcher

_GROUP_REQUESTS = 256
_GROUP_CHANGES = 2000
_CHECKPOINT_PAGES = 4000
_PATIENCE = 10.0  # seconds that the expectations of one commit may take

_FATAL = (apsw.FullError, apsw.IOError, apsw.CorruptError, apsw.NoMemError, apsw.NotADBError)
"""Failures of the file, not of one request: the whole group is given up."""


class Request(NamedTuple):
    """A commit that waits, and whom to tell. Its loop resolves `done`."""

    changes: Sequence[Change]
    before: Sequence[Expectation]
    after: Sequence[Expectation]
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[Committed]


class Outcome(NamedTuple):
    request: Request
    result: Committed | BaseException


class Writer:
    """Takes commits from any thread and gives their outcome to the loop that asked."""

    def __init__(self, path: Path, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._queue: SimpleQueue[Request | None] = SimpleQueue()
        self._is_closed = False
        self._connection = Connection(path)
        self._connection.wal_autocheckpoint(_CHECKPOINT_PAGES)
        self._names = Interning(self._connection)
        self._searcher = Searcher(self._connection, self._names)
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    async def commit(
        self,
        changes: Sequence[Change],
        before: Sequence[Expectation],
        after: Sequence[Expectation],
    ) -> Committed:
        """As `Store.commit`."""
        if self._is_closed:
            raise Unavailable("The store is closed.")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Committed] = loop.create_future()
        self._queue.put(Request(changes, before, after, loop, done))
        return await done

    async def close(self) -> None:
        """Finishes what waits, then ends the thread and its connection."""
        if not self._is_closed:
            self._is_closed = True
            self._queue.put(None)
        await asyncio.get_running_loop().run_in_executor(None, self._thread.join)

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            is_last = self._commit_group(first)
            if is_last:
                break
        self._connection.close()

    def _commit_group(self, first: Request) -> bool:
        """Commits a group that begins with `first`; whether the writer is to end after it."""
        group = [first]
        is_last = False
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            is_last = self._gather(group)
            outcomes = self._apply_group(group)
            self._connection.execute("COMMIT")
        except apsw.Error as error:
            self._roll_back()
            outcomes = [Outcome(request, _refused(error)) for request in group]
        except Exception as error:  # noqa: BLE001  the thread must live on, and its askers be told
            self._roll_back()
            outcomes = [Outcome(request, error) for request in group]
        _tell(outcomes)
        return is_last

    def _gather(self, group: list[Request]) -> bool:
        """Adds to the group what waits; whether the end of all requests was met."""
        size = len(group[0].changes)
        while len(group) < _GROUP_REQUESTS and size < _GROUP_CHANGES:
            try:
                request = self._queue.get_nowait()
            except Empty:
                return False
            if request is None:
                return True
            group.append(request)
            size += len(request.changes)
        return False

    def _apply_group(self, group: Sequence[Request]) -> list[Outcome]:
        self._names.mark()
        now = head(self._connection)
        outcomes = []
        for request in group:
            self._connection.execute("SAVEPOINT request")
            try:
                application = self._apply(request, now)
            except apsw.Error as error:
                if isinstance(error, _FATAL) or not self._connection.in_transaction:
                    raise
                self._undo()
                outcomes.append(Outcome(request, _refused(error)))
            except Exception as error:  # noqa: BLE001  it is the asker's, whatever it is
                self._undo()
                outcomes.append(Outcome(request, error))
            else:
                self._connection.execute("RELEASE request")
                now = application.head
                outcomes.append(Outcome(request, application.committed))
        return outcomes

    def _apply(self, request: Request, now: Head) -> Application:
        instant = max(self._clock() // 1000, now.instant)
        application = Application(self._connection, self._names, now, instant)
        if request.before:
            with self._connection.within(_PATIENCE):
                check(self._searcher, request.before)
        application.apply(request.changes)
        if request.after:
            with self._connection.within(_PATIENCE):
                check(self._searcher, request.after)
        return application

    def _undo(self) -> None:
        self._connection.execute("ROLLBACK TO request")
        self._connection.execute("RELEASE request")
        self._names.forget()

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
        self._names.forget()


def _refused(error: apsw.Error) -> BaseException:
    try:
        return refusal(error)
    except apsw.Error as unknown:
        return unknown


def _tell(outcomes: Sequence[Outcome]) -> None:
    """Resolves the futures, each in its own loop, with one wake-up a loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Outcome]] = {}
    for outcome in outcomes:
        by_loop.setdefault(outcome.request.loop, []).append(outcome)
    for loop, told in by_loop.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(_resolve, told)


def _resolve(outcomes: Sequence[Outcome]) -> None:
    for (_, _, _, _, done), result in outcomes:
        if done.done():
            continue
        if isinstance(result, BaseException):
            done.set_exception(result)
        else:
            done.set_result(result)
