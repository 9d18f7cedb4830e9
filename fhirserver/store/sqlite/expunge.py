"""Versions taken out of the file for good, with every trace that they left in it.

docs/adr/0028-expunge.md. SQLite and FTS5 only mark what is deleted, and pages that were split
keep copies, so the file is written anew when a call has found the last of what it was to take
out. Numbers that were given out stay given: `floor` remembers the last ones.
"""

from __future__ import annotations

from typing import NamedTuple

import apsw

from fhirserver.store.port import Expunge
from fhirserver.store.sqlite.changes import NEVER_WAS, head
from fhirserver.store.sqlite.concept_writer import ConceptWriter
from fhirserver.store.sqlite.connection import BUSY_TIMEOUT, Connection
from fhirserver.store.sqlite.dictionary import UNKNOWN, Dictionary
from fhirserver.store.sqlite.rows import WORD_TABLES
from fhirserver.store.sqlite.sql import FALSE, TRUE, Sql, any_of, sql

_PATIENCE = 1000  # milliseconds that emptying the log may wait for readers
_CHOSEN = """SELECT v.vid, v.rid, v.vid=r.vid FROM {table} CROSS JOIN resource r ON r.rid=v.rid
    WHERE {scope} AND {wanted} ORDER BY v.vid LIMIT ?"""
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
        connection.execute("UPDATE floor SET vid=?, rid=?, instant=?, traces=1", head(connection))
        connection.executemany("DELETE FROM version WHERE vid=?", [(row[0],) for row in chosen])
        connection.executemany(NEVER_WAS, [(rid,) for _, rid, is_last in chosen if is_last])
        connection.execute(_UNHEARD_OF)
    connection.execute("COMMIT")
    if len(chosen) < what.limit and connection.execute("SELECT traces FROM floor").get:
        _remove_traces(connection)
    return len(chosen)


def _remove_traces(connection: Connection) -> None:
    """Writes the file anew and cuts its log. What readers hold up is left for the next time."""
    connection.execute("BEGIN IMMEDIATE")
    concepts = ConceptWriter(connection)
    for system in concepts.left_over():
        concepts.remove(system)
    connection.execute("COMMIT")
    for table in (*WORD_TABLES.values(), "concept_words"):
        connection.execute(f"INSERT INTO {table}({table}) VALUES('optimize')")
    connection.pragma("temp_store", "file")  # it may be larger than memory
    connection.setlk_timeout(_PATIENCE, 0)
    try:
        connection.execute("VACUUM")
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        connection.execute("UPDATE floor SET traces=0")
    except (apsw.BusyError, apsw.LockedError):
        pass
    finally:
        connection.setlk_timeout(BUSY_TIMEOUT, 0)
        connection.pragma("temp_store", "memory")


def _scope(what: Expunge, names: Dictionary) -> _Scope:
    if what.type is None:
        return _Scope("version v", TRUE)
    tid = names.type(what.type)
    if what.id is None:
        return _Scope("version v INDEXED BY version_type", sql("v.tid=?", tid))
    rid = names.resource(tid, what.id) if tid != UNKNOWN else UNKNOWN
    return _Scope("version v INDEXED BY version_number", sql("v.rid=?", rid))
