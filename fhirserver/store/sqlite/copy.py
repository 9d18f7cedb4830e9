"""Copies a store file while others write to it, and tells what a file holds.

A read transaction that lasts from the first page to the last makes the copy one state of the
store: SQLite's backup begins anew only when its own connection sees a newer one
(https://sqlite.org/backup.html, https://sqlite.org/isolation.html).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

import apsw
import msgspec

from fhirserver.store.sqlite.connection import BUSY_TIMEOUT, translated
from fhirserver.store.sqlite.schema import schema_version

_PAGES: Final = 2000
"""Pages of a step, between which progress is told."""

_COUNTS: Final = """SELECT t.name, count(*) FROM resource r JOIN type t ON t.tid=r.tid
    WHERE r.live AND substr(t.name, 1, 1)<>'#' GROUP BY r.tid ORDER BY t.name"""
_VERSIONS: Final = """SELECT v.vid, t.name, r.id, v.version, v.instant, v.method, v.body
    FROM version v JOIN resource r ON r.rid=v.rid JOIN type t ON t.tid=v.tid ORDER BY v.vid"""
_RECORDS: Final = "SELECT collection, key, revision, body, expires FROM record ORDER BY revision"

_KEYS: Final = "SELECT key FROM record WHERE collection=?"


class Content(msgspec.Struct, frozen=True):
    """What a store file holds: current resources by type, versions, records, and their digests.

    `last` is the instant of the last commit (microseconds, 0: none). Digests are SHA-256 over
    every version, and every record, with its bytes as they are kept.
    """

    schema: int
    counts: dict[str, int]
    versions: int
    records: int
    last: int
    version_digest: str
    record_digest: str


def copy(source: Path, target: Path, told: Callable[[float], None] = lambda part: None) -> None:
    """Makes `target`, which must not be there, what `source` is at this moment.

    `told` hears which part of it is done. Writers go on meanwhile; their log grows until the
    copy ends. Raises `Unavailable`, `FileExistsError`.
    """
    target.touch(mode=0o600, exist_ok=False)
    with translated():
        reader = apsw.Connection(str(source), flags=apsw.SQLITE_OPEN_READWRITE)
        writer = apsw.Connection(str(target))
        try:
            reader.set_busy_timeout(BUSY_TIMEOUT)
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM sqlite_schema").get  # noqa: B018  takes the snapshot
            with writer.backup("main", reader, "main") as backup:
                while not backup.done:
                    backup.step(_PAGES)
                    told(1 - backup.remaining / max(1, backup.page_count))
            reader.execute("COMMIT")
            writer.pragma("journal_mode", "delete")  # one file, with no log beside it
        finally:
            writer.close()
            reader.close()


def content(path: Path) -> Content:
    """What a store file holds, in one state of it. Raises `Unavailable` for one that is damaged."""
    with translated():
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            connection.execute("BEGIN")
            versions, last, of_versions = 0, 0, hashlib.sha256()
            for row in connection.execute(_VERSIONS):
                versions, last = versions + 1, max(last, row[4])
                _add(of_versions, row)
            records, of_records = 0, hashlib.sha256()
            for row in connection.execute(_RECORDS):
                records += 1
                _add(of_records, row)
            return Content(
                schema_version(connection),
                dict(connection.execute(_COUNTS)),
                versions,
                records,
                last,
                of_versions.hexdigest(),
                of_records.hexdigest(),
            )
        finally:
            connection.close()


def keys(path: Path, collection: str) -> set[str]:
    """The keys of a collection of records, as a file has them. Raises `Unavailable`."""
    with translated():
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            return {str(row[0]) for row in connection.execute(_KEYS, (collection,))}
        finally:
            connection.close()


def damage(path: Path) -> list[str]:
    """SQLite's words on what is broken in a file; of tables, rows and indexes."""
    with translated():
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(20)")]
        finally:
            connection.close()
    return [] if found == ["ok"] else found


def _add(digest: hashlib._Hash, row: tuple[object, ...]) -> None:
    encoded = msgspec.msgpack.encode(row)
    digest.update(len(encoded).to_bytes(8, "big"))
    digest.update(encoded)
