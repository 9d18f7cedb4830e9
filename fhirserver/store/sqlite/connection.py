"""Connections to a store file: how they are opened, bounded in time, and what failures mean."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from pathlib import Path
from typing import Any, Final

import apsw

from fhirserver.errors import FhirError, Invalid, TooCostly, Unavailable
from fhirserver.search.distance import distance
from fhirserver.search.score import score_of

BUSY_TIMEOUT = 15_000  # milliseconds that a writer waits for another process's commit
_STEPS = 20_000  # virtual machine steps between two looks at the time
_CACHE_KIB = 32 * 1024
_CACHES_TOGETHER = 4 * 1024 * 1024  # bytes; beyond, a connection reuses pages before it takes more
_MMAP = 1 << 36  # address space, not memory: pages are read where the system caches them
_STATEMENTS = 256

_TEXTS: tuple[tuple[type[apsw.Error], str], ...] = (
    (apsw.FullError, "The disk of the store is full. Nothing of this request was written."),
    (apsw.BusyError, "The store is busy with another writer. Try again."),
    (apsw.LockedError, "The store is locked by another program. Try again."),
    (apsw.ReadOnlyError, "The store file may only be read. Give the server write access to it."),
    (apsw.CantOpenError, "The store file cannot be opened. Check its folder and access rights."),
    (apsw.NotADBError, "The store file is not a SQLite file. Name another, or restore it."),
    (apsw.CorruptError, "The store file is damaged. Restore it from a backup."),
    (apsw.IOError, "The disk of the store failed. Nothing of this request was written."),
    (apsw.NoMemError, "The server has no memory left for this request."),
)


def _distance(*place: Any) -> float:
    return distance(*place)


def _score(*counts: Any) -> float:
    """As `score_of`, where the size of a text is what FTS5 keeps of it (None: no text)."""
    numbers = [_number(value) if n % 3 == 2 else value for n, value in enumerate(counts)]
    return score_of(*numbers)


def _number(varint: bytes | None) -> int:
    """A number of SQLite's file format: seven bits in a byte, the highest first."""
    number = 0
    for byte in varint or b"":
        number = number << 7 | byte & 0x7F
    return number


FATAL: Final = (
    apsw.BusyError,
    apsw.CorruptError,
    apsw.FullError,
    apsw.IOError,
    apsw.LockedError,
    apsw.NoMemError,
    apsw.NotADBError,
    apsw.ReadOnlyError,
)
"""Failures of the file, not of one request: the whole group is given up."""


# What is read of the file itself is mapped; the caches hold what is in the write-ahead log, or
# changed and not yet written, which is kept beyond this.
apsw.soft_heap_limit(_CACHES_TOGETHER)


class Connection(apsw.Connection):
    """A connection whose statements stop at a deadline, when one is set."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), statementcachesize=_STATEMENTS)
        self._deadline = inf
        self.set_busy_timeout(BUSY_TIMEOUT)
        self.setlk_timeout(BUSY_TIMEOUT, 0)  # looks every millisecond: fair between processes
        self.pragma("synchronous", "full")
        self.pragma("cache_size", -_CACHE_KIB)
        self.pragma("mmap_size", _MMAP)
        self.pragma("temp_store", "memory")
        self.pragma("secure_delete", "fast")  # what is overwritten is, where that costs no write
        self.create_scalar_function("score", _score, -1, deterministic=True)
        self.create_scalar_function("distance", _distance, 4, deterministic=True)
        self.create_scalar_function("among", self._is_among, 2, deterministic=True)
        self.sets: dict[int, set[int]] = {}
        # Plans do not depend on bound values; else SQLite plans again whenever these change.
        self.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
        self.set_progress_handler(self._is_late, _STEPS)

    def _is_among(self, *place: Any) -> bool:
        """Whether a value is in the set of that number: a look-up, however large it is."""
        number, value = place
        return value in self.sets[number]

    def _is_late(self) -> bool:
        return self._deadline is not inf and time.monotonic() > self._deadline

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Statements inside raise `apsw.InterruptError` when the time is over."""
        self._deadline = time.monotonic() + seconds
        try:
            yield
        finally:
            self._deadline = inf

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """All reads inside see the same commit."""
        self.execute("BEGIN")
        try:
            yield
        finally:
            if self.in_transaction:
                self.execute("COMMIT")


@contextmanager
def translated() -> Iterator[None]:
    """Turns what SQLite raises into `Unavailable` or `TooCostly`, with a text that helps.

    A text that is not Unicode (a lone surrogate) is `Invalid`.
    """
    try:
        yield
    except UnicodeEncodeError as error:
        raise Invalid("The request has characters that are not Unicode text.") from error
    except apsw.Error as error:
        raise refusal(error) from error


def refusal(error: apsw.Error) -> FhirError:
    """What a failure of SQLite means to the caller; an error of our own is raised again."""
    if isinstance(error, apsw.InterruptError):
        return TooCostly("The search takes too long. Add a more selective parameter.")
    for kind, text in _TEXTS:
        if isinstance(error, kind):
            return Unavailable(text)
    if isinstance(error, apsw.TooBigError) or "too " in str(error):
        return TooCostly("The search is too complex. Ask for less at once.")
    raise error


def refused(error: Exception) -> Exception:
    """What the failure means to the asker."""
    if not isinstance(error, apsw.Error):
        return error
    try:
        return refusal(error)
    except apsw.Error as unknown:
        return unknown
