"""Versions taken out of the file for good, with every trace that they left in it.

docs/adr/0028-expunge.md. The writer zeroes what it deletes (`secure_delete`), so that no page
keeps it; full-text segments are written anew, as FTS5 only marks what is deleted; the log is
emptied at the end. Numbers that were given out stay given: `floor` remembers the last ones.
"""

from __future__ import annotations

from contextlib import suppress
from typing import NamedTuple

import apsw

from fhirserver.store.port import Expunge
from fhirserver.store.sqlite.changes import head
from fhirserver.store.sqlite.connection import BUSY_TIMEOUT, Connection
from fhirserver.store.sqlite.dictionary import UNKNOWN, Dictionary
from fhirserver.store.sqlite.rows import WORD_TABLES
from fhirserver.store.sqlite.sql import FALSE, TRUE, Sql, any_of, sql

_EMPTY_LOG = 1000  # milliseconds that emptying the log may wait for readers
_CHOSEN = """SELECT v.vid, v.rid, v.vid=r.vid FROM {table} CROSS JOIN resource r ON r.rid=v.rid
    WHERE {scope} AND {wanted} ORDER BY v.vid LIMIT ?"""
_NEVER_WAS = """UPDATE resource SET version=0, vid=NULL, created=NULL, instant=NULL, live=0
    WHERE rid=?"""
_UNHEARD_OF = """DELETE FROM resource WHERE version=0
    AND NOT EXISTS (SELECT 1 FROM reference f INDEXED BY reference_target
        WHERE f.target=resource.rid)"""


class _Scope(NamedTuple):
    table: str
    where: Sql


def expunge(what: Expunge, connection: Connection, names: Dictionary) -> int:
    """As `Store.expunge`, in one transaction; how many versions went."""
    connection.execute("BEGIN IMMEDIATE")
    scope = _scope(what, names)
    wanted = any_of((
        sql("(r.live AND v.vid<>r.vid)") if what.previous else FALSE,
        sql("NOT r.live") if what.deleted else FALSE,
    ))  # fmt: skip
    text = _CHOSEN.format(table=scope.table, scope=scope.where.text, wanted=wanted.text)
    args = (*scope.where.args, *wanted.args, what.limit)
    chosen = list(connection.execute(text, args))
    if chosen:
        connection.execute("UPDATE floor SET vid=?, rid=?, instant=?", head(connection))
        connection.executemany("DELETE FROM version WHERE vid=?", [(row[0],) for row in chosen])
        connection.executemany(_NEVER_WAS, [(rid,) for _, rid, is_last in chosen if is_last])
        connection.execute(_UNHEARD_OF)
        for table in WORD_TABLES.values():
            connection.execute(f"INSERT INTO {table}({table}) VALUES('optimize')")
    connection.execute("COMMIT")
    _empty_log(connection)
    return len(chosen)


def _scope(what: Expunge, names: Dictionary) -> _Scope:
    if what.type is None:
        return _Scope("version v", TRUE)
    tid = names.type(what.type)
    if what.id is None:
        return _Scope("version v INDEXED BY version_type", sql("v.tid=?", tid))
    rid = names.resource(tid, what.id) if tid != UNKNOWN else UNKNOWN
    return _Scope("version v INDEXED BY version_number", sql("v.rid=?", rid))


def _empty_log(connection: Connection) -> None:
    """Writes the log back and cuts it; what readers hold up, a later checkpoint does."""
    connection.setlk_timeout(_EMPTY_LOG, 0)
    try:
        with suppress(apsw.BusyError, apsw.LockedError):
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    finally:
        connection.setlk_timeout(BUSY_TIMEOUT, 0)
