"""History: versions in the order of commits, newest first, within a snapshot.

Instants never decrease from one version row to the next, so that an instant becomes a version
number by bisection, and every question about time a range of numbers.
"""

from __future__ import annotations

from fhirserver.errors import Invalid
from fhirserver.model.temporal import ALWAYS
from fhirserver.search.expression import Cursor
from fhirserver.store.port import HistoryPage, HistoryQuery, Version
from fhirserver.store.sqlite.changes import METHODS
from fhirserver.store.sqlite.connection import Connection
from fhirserver.store.sqlite.dictionary import UNKNOWN, Dictionary
from fhirserver.store.sqlite.sql import TRUE, Sql, all_of, sql

_EMPTY = HistoryPage((), 0, None)


class Historian:
    """Answers history queries on one connection."""

    def __init__(self, connection: Connection, names: Dictionary) -> None:
        self._connection = connection
        self._names = names

    def page(self, query: HistoryQuery) -> HistoryPage:
        """As `Store.history`."""
        with self._connection.snapshot():
            scope = self._scope(query)
            if scope is None:
                return _EMPTY
            tables, of_scope = scope
            last = int(self._connection.execute("SELECT max(vid) FROM version").get or 0)
            snapshot, total, before = _place(query.after, last)
            wanted = all_of((of_scope, self._in_time(query, snapshot)))
            if total is None:
                counted = f"SELECT count(*) FROM {tables} WHERE {wanted.text}"
                total = int(self._connection.execute(counted, wanted.args).get)
            versions, vids = self._versions(query, tables, all_of((wanted, before)))
            if len(vids) <= query.count or not query.count:
                return HistoryPage(versions, total, None)
            return HistoryPage(versions, total, (snapshot, total, vids[query.count - 1]))

    def _scope(self, query: HistoryQuery) -> tuple[str, Sql] | None:
        """The rows of the instance, type or system; None if there never was such a one."""
        if query.type is None:
            return "version v", TRUE
        tid = self._names.type(query.type)
        if query.id is None:
            return "version v INDEXED BY version_type", sql("v.tid=?", tid)
        rid = self._names.resource(tid, query.id)
        if rid == UNKNOWN:
            return None
        return "version v INDEXED BY version_number", sql("v.rid=?", rid)

    def _in_time(self, query: HistoryQuery, snapshot: int) -> Sql:
        parts = [sql("v.vid<=?", snapshot)]
        if query.since is not None:
            parts.append(sql("v.vid>=?", self._first_at(query.since, snapshot)))
        if query.at.end < ALWAYS.end:
            parts.append(sql("v.vid<?", self._first_at(query.at.end, snapshot)))
        if query.at.start > ALWAYS.start:
            parts.append(
                sql(
                    "NOT EXISTS (SELECT 1 FROM version n INDEXED BY version_number "
                    "WHERE n.rid=v.rid AND n.version=v.version+1 AND n.instant<=?)",
                    query.at.start // 1000,
                )
            )
        return all_of(parts)

    def _first_at(self, microseconds: int, snapshot: int) -> int:
        """The first version of the snapshot committed at or after an instant."""
        instant = -(-microseconds // 1000)
        low, high = 1, snapshot + 1
        while low < high:
            middle = (low + high) // 2
            row = self._connection.execute(
                "SELECT vid, instant FROM version WHERE vid>=? ORDER BY vid LIMIT 1", (middle,)
            ).fetchone()
            if row is None or row[1] >= instant:  # none is there: the last ones were expunged
                high = middle
            else:
                low = row[0] + 1
        return low

    def _versions(
        self, query: HistoryQuery, tables: str, wanted: Sql
    ) -> tuple[list[Version], list[int]]:
        limit = query.count + 1 if query.count else 0
        found = self._connection.execute(
            "SELECT v.vid, v.tid, r.id, v.version, v.instant, v.method, v.body FROM "
            f"(SELECT v.vid FROM {tables} WHERE {wanted.text} ORDER BY {_order(query)} "
            "LIMIT ?) p CROSS JOIN version v ON v.vid=p.vid "
            "CROSS JOIN resource r ON r.rid=v.rid",
            (*wanted.args, limit),
        )
        rows = sorted(found, key=lambda row: -row[0])
        versions = [
            Version(self._names.type_name(tid), id, version, at * 1000, METHODS[method], body)
            for _, tid, id, version, at, method, body in rows[: query.count]
        ]
        return versions, [row[0] for row in rows]


def _order(query: HistoryQuery) -> str:
    return "v.vid DESC" if query.id is None else "v.version DESC"


def _place(cursor: Cursor | None, last: int) -> tuple[int, int | None, Sql]:
    match cursor:
        case None:
            return last, None, TRUE
        case (int(snapshot), int(total), int(vid)):
            return snapshot, total, sql("v.vid<?", vid)
        case _:
            raise Invalid("This page link is not one of a history. Begin again.")
