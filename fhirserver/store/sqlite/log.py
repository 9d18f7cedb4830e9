"""The log: versions in the order of commits, oldest first, a page at a time."""

from __future__ import annotations

from fhirserver.store.log import LogPage, Place
from fhirserver.store.port import LogQuery, Version
from fhirserver.store.sqlite.changes import METHODS
from fhirserver.store.sqlite.dictionary import UNKNOWN
from fhirserver.store.sqlite.reader import Reader
from fhirserver.store.sqlite.sql import Sql, all_of, any_of, sql

_PAGE = 200
_LOOKED_AT = 2000  # version rows that one page passes, so that none takes long
_ROWS = """SELECT v.vid, v.tid, r.id, v.version, v.instant, v.method, v.body
    FROM {table} CROSS JOIN resource r ON r.rid=v.rid WHERE {where} ORDER BY v.vid LIMIT ?"""


def log_page(query: LogQuery, place: Place, reader: Reader) -> LogPage:
    """The versions from a place on, as `Store.log`; the first page chooses the snapshot."""
    names = reader.names
    with reader.connection.snapshot():
        until = place.until
        if until is None:
            until = int(reader.connection.execute("SELECT max(vid) FROM version").get or 0)
        start = place.after
        end = min(until, start + _LOOKED_AT) if _is_sparse(query) else until
        tids = [tid for type in query.types if (tid := names.type(type)) != UNKNOWN]
        if query.types and not tids:
            return LogPage([], None)
        table = "version v INDEXED BY version_type" if len(tids) == 1 else "version v"
        where = all_of((
            sql("v.vid>? AND v.vid<=?", start, end),
            *([any_of(sql("v.tid=?", tid) for tid in tids)] if tids else []),
            *([sql("v.instant>=?", -(-query.since // 1000))] if query.since is not None else []),
            *([_is_current(until)] if query.current else []),
        ))  # fmt: skip
        rows = list(
            reader.connection.execute(
                _ROWS.format(table=table, where=where.text), (*where.args, _PAGE)
            )
        )
    versions = [
        Version(names.type_name(tid), id, version, at * 1000, METHODS[method], body)
        for _, tid, id, version, at, method, body in rows
    ]
    reached = rows[-1][0] if len(rows) == _PAGE else end
    return LogPage(versions, Place(reached, until) if reached < until else None)


def _is_sparse(query: LogQuery) -> bool:
    """Whether a page may have to pass many versions that are not asked for."""
    return bool(query.current or query.since is not None or len(query.types) > 1)


def _is_current(until: int) -> Sql:
    return sql(
        "v.body IS NOT NULL AND (r.vid=v.vid OR NOT EXISTS (SELECT 1 FROM version n "
        "INDEXED BY version_number WHERE n.rid=v.rid AND n.version>v.version AND n.vid<=?))",
        until,
    )
