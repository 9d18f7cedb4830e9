"""The records of a store file: one table, written by the one writer.

The row number is the revision: SQLite gives no number of an AUTOINCREMENT table twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import apsw

from fhirserver.store.port import Stale
from fhirserver.store.records import ABSENT, MAX_LISTED, Record
from fhirserver.store.sqlite.changes import Batch
from fhirserver.store.sqlite.connection import translated
from fhirserver.store.sqlite.writer import Writer

_GET = """SELECT key, revision, body, expires FROM record
    WHERE collection=? AND key=? AND (expires IS NULL OR expires>?)"""
_LIST = """SELECT key, revision, body, expires FROM record
    WHERE collection=? AND key>? AND key>=? AND key<? AND (expires IS NULL OR expires>?)
    ORDER BY key LIMIT ?"""
_PUT = "REPLACE INTO record(collection, key, body, expires) VALUES(?,?,?,?)"
_DELETE = "DELETE FROM record WHERE collection=? AND key=?"
_EXPIRED = """DELETE FROM record WHERE revision IN
    (SELECT revision FROM record WHERE expires<=? ORDER BY expires LIMIT 20)"""
_COLLECTIONS = """SELECT DISTINCT collection FROM record
    WHERE expires IS NULL OR expires>? ORDER BY collection"""
_LAST = "\U0010ffff"  # behind every character that a key can have


class SqliteRecords:
    """A `fhirserver.store.records.Records`."""

    def __init__(
        self, connection: apsw.Connection, writer: Writer, clock: Callable[[], int]
    ) -> None:
        self._connection = connection
        self._writer = writer
        self._clock = clock

    async def get(self, collection: str, key: str) -> Record | None:
        with translated():
            return _get(self._connection, collection, key, self._clock())

    async def put(
        self,
        collection: str,
        key: str,
        body: bytes,
        *,
        expected: int | None = None,
        expires: int | None = None,
    ) -> int:
        def put(batch: Batch) -> int:
            now = self._clock()
            _check(batch.connection, collection, key, expected, now)
            batch.connection.execute(_EXPIRED, (now,))
            batch.connection.execute(_PUT, (collection, key, body, expires))
            return batch.connection.last_insert_rowid()

        return await self._writer.write(put)

    async def delete(self, collection: str, key: str, *, expected: int | None = None) -> None:
        def delete(batch: Batch) -> None:
            _check(batch.connection, collection, key, expected, self._clock())
            batch.connection.execute(_DELETE, (collection, key))

        await self._writer.write(delete)

    async def list(
        self, collection: str, *, prefix: str = "", after: str = "", count: int = MAX_LISTED
    ) -> Sequence[Record]:
        most = min(count, MAX_LISTED)
        bounds = (collection, after, prefix, prefix + _LAST, self._clock(), most)
        with translated():
            return [Record(*row) for row in self._connection.execute(_LIST, bounds)]

    async def collections(self) -> Sequence[str]:
        with translated():
            return [name for (name,) in self._connection.execute(_COLLECTIONS, (self._clock(),))]


def _get(connection: apsw.Connection, collection: str, key: str, now: int) -> Record | None:
    for row in connection.execute(_GET, (collection, key, now)):
        return Record(*row)
    return None


def _check(
    connection: apsw.Connection, collection: str, key: str, expected: int | None, now: int
) -> None:
    """Raises `Stale` unless the record has the revision that is expected."""
    if expected is None:
        return
    found = _get(connection, collection, key, now)
    if (found.revision if found else ABSENT) != expected:
        raise Stale("The record was changed meanwhile. Read it again.")
