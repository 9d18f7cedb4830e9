"""The archive's one writer of a process: a thread that commits what waits with one sync.

Associations in threads and requests on the loop add at the same time; what waits while a commit
becomes durable forms the next one. Answers are given when it is durable. Between processes
SQLite's lock decides.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from math import inf
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final, NamedTuple, TypeVar

from fhirserver.archive.sqlite.batch import Batch
from fhirserver.archive.veil import Veil
from fhirserver.errors import FhirError, Unavailable
from fhirserver.store.sqlite.connection import BUSY_TIMEOUT, FATAL, Connection, refused

_GROUP: Final = 512  # rows of one transaction
_CHECKPOINT_PAGES: Final = 4000
_LOOK: Final = 0.00025  # seconds between looks whether another process still has the lock
_PAUSE: Final = 0.0007  # seconds that other processes get to take the lock
_WATCHED: Final = 1.0  # seconds after another's commit in which they get them
_TURN: Final = 0.02  # seconds between pauses, where others have not written since the last one

_T = TypeVar("_T")


class _Job(NamedTuple):
    """`write` raises a `FhirError` before it has written anything."""

    write: Callable[[Batch], Any]
    size: int
    done: Future[Any]


class Writer:
    """Takes writes from any thread."""

    def __init__(self, path: Path, veil: Veil, clock: Callable[[], int]) -> None:
        self._veil = veil
        self._clock = clock
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._is_closed = False
        self._connection = Connection(path)
        self._connection.wal_autocheckpoint(_CHECKPOINT_PAGES)
        self._connection.setlk_timeout(0, 0)  # that looks every millisecond
        self._connection.set_busy_handler(_look_again)
        self._by_others = self._connection.pragma("data_version")
        self._seen = self._paused = -inf
        self._thread = threading.Thread(target=self._run, name="archive-writer", daemon=True)
        self._thread.start()

    def write(self, write: Callable[[Batch], _T], size: int = 1) -> Future[_T]:
        """What `write` gives, once it is durable. It is called in the writer's thread."""
        done: Future[_T] = Future()
        done.set_running_or_notify_cancel()  # who gives up cannot take it back
        if self._is_closed:
            done.set_exception(Unavailable("The archive is closed."))
        else:
            self._queue.put(_Job(write, size, done))
        return done

    def close(self) -> None:
        """Finishes what waits, then ends the thread and its connection. It blocks."""
        if not self._is_closed:
            self._is_closed = True
            self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        is_last = False
        while not is_last and (first := self._queue.get()) is not None:
            group = [first]
            is_last = self._commit(group)
            self._give_way()
        self._connection.close()

    def _commit(self, group: list[_Job]) -> bool:
        """Commits a group; whether the writer is to end after it."""
        is_last = False
        results: Sequence[Any]
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            is_last = self._gather(group)
            results = self._write(group)
        except Exception as error:  # noqa: BLE001  the thread must live on, its askers be told
            self._roll_back()
            results = self._one_by_one(group, error)
        for job, result in zip(group, results, strict=True):
            if isinstance(result, Exception):
                job.done.set_exception(result)
            else:
                job.done.set_result(result)
        return is_last

    def _gather(self, group: list[_Job]) -> bool:
        size = group[0].size
        while size < _GROUP:
            try:
                job = self._queue.get_nowait()
            except Empty:
                return False
            if job is None:
                return True
            group.append(job)
            size += job.size
        return False

    def _write(self, group: Sequence[_Job]) -> list[Any]:
        batch = Batch(self._connection, self._veil, self._clock())
        results: list[Any] = []
        for job in group:
            try:
                results.append(job.write(batch))
            except FhirError as error:
                results.append(error)
        batch.flush()
        self._connection.execute("COMMIT")
        return results

    def _one_by_one(self, group: Sequence[_Job], error: Exception) -> list[Any]:
        """The outcomes when writing the group failed: it may have been the fault of one."""
        if len(group) == 1 or isinstance(error, FATAL):
            return [refused(error)] * len(group)
        results: list[Any] = []
        for job in group:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                results += self._write([job])
            except Exception as fault:  # noqa: BLE001  as above
                self._roll_back()
                results.append(refused(fault))
        return results

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def _give_way(self) -> None:
        """Pauses when other processes write as well: they look several times meanwhile.

        After each group where they wrote since the last one, else less often. Not where nothing
        waits: they have the time until something does.
        """
        if self._queue.empty():
            return
        now = time.monotonic()
        by_others = self._connection.pragma("data_version")
        if by_others != self._by_others:
            self._by_others = by_others
            self._seen = now
        if self._seen == now or (now - self._seen < _WATCHED and now - self._paused > _TURN):
            self._paused = now
            time.sleep(_PAUSE)


def _look_again(looks: int) -> bool:
    """Waits for the lock of another process, as long as other connections do."""
    time.sleep(_LOOK)
    return looks * _LOOK * 1000 < BUSY_TIMEOUT
