"""The records of a store file: one table, written by the one writer.

The row number is the revision: SQLite gives no number of an AUTOINCREMENT table twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import apsw

from fhirserver.store.port import Stale
from fhirserver.store.records import ABSENT, MAX_LISTED, Place, Record
from fhirserver.store.sqlite.changes import Batch
from fhirserver.store.sqlite.connection import refusal, translated
from fhirserver.store.sqlite.writer import Insertion, Writer

_GET = """SELECT key, revision, body, expires FROM record
    WHERE collection=? AND key=? AND (expires IS NULL OR expires>?)"""
_LIST = """SELECT key, revision, body, expires FROM record
    WHERE collection=? AND key>? AND key>=? AND key<? AND (expires IS NULL OR expires>?)
    ORDER BY key LIMIT ?"""
_PUT = "REPLACE INTO record(collection, key, body, expires) VALUES(?,?,?,?)"
_INSERT = "INSERT INTO record(collection, key, body, expires) VALUES(?,?,?,?)"
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

    async def get_many(self, keys: Sequence[Place]) -> Sequence[Record | None]:
        if not keys:
            return []
        values = [text for place in keys for text in place]
        try:  # asked with every request: no context manager
            found = {
                Place(collection, key): Record(key, revision, body, expires)
                for collection, key, revision, body, expires in self._connection.execute(
                    _get_many(len(keys)), (*values, self._clock())
                )
            }
        except apsw.Error as error:
            raise refusal(error) from error
        return [found.get(place) for place in keys]

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

        insertion = None
        if expected == ABSENT and expires is None:  # what expires is taken away by what does too
            insertion = Insertion(_INSERT, (collection, key, body, None))
        return await self._writer.write(put, insertion=insertion)

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


@lru_cache(maxsize=16)
def _get_many(count: int) -> str:
    # A join, as a row of values in IN is not sought by the index.
    places = ",".join(["(?,?)"] * count)
    return f"""WITH place(collection, key) AS (VALUES {places})
        SELECT r.collection, r.key, r.revision, r.body, r.expires
        FROM place CROSS JOIN record r ON r.collection=place.collection AND r.key=place.key
        WHERE r.expires IS NULL OR r.expires>?"""


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
