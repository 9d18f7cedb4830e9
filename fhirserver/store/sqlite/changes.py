"""Applying one commit inside the writer's transaction.

All preconditions are looked at first; then every new resource gets its number, in the order
of the changes, before what they refer to; then the rows are written, table by table.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import apsw

from fhirserver.store.port import Change, Committed, Method, Stale
from fhirserver.store.sqlite.dictionary import Interning
from fhirserver.store.sqlite.rows import WIDTHS, Row, Rows, add_rows

METHODS: tuple[Method, ...] = ("POST", "PUT", "PATCH", "DELETE")
METHOD_NUMBERS = {name: number for number, name in enumerate(METHODS)}

_FIND = "SELECT rid, version FROM resource WHERE tid=? AND id=?"
_INSERT_RESOURCE = "INSERT INTO resource VALUES(?,?,?,?,?,?,?,?)"
_UPDATE_RESOURCE = """UPDATE resource SET version=?, vid=?, created=coalesce(created, ?),
    instant=?, live=? WHERE rid=?"""
_INSERT_VERSION = "INSERT INTO version VALUES(?,?,?,?,?,?,?)"
_INSERT = {name: f"INSERT INTO {name} VALUES({','.join('?' * n)})" for name, n in WIDTHS.items()}
_OLD = {name: f"SELECT * FROM {name} WHERE rid=?" for name in WIDTHS}
_DELETE = {
    name: f"DELETE FROM {name} WHERE rid=? AND pid=? AND {key}"
    for name, key in {
        "token": "code=? AND sid=?",
        "string": "n=?",
        "date": "low=? AND high=?",
        "number": "low=? AND high=?",
        "quantity": "low=? AND high=? AND sid=? AND extra=? AND unit=?",
        "reference": "target=?",
        "uri": "value=?",
        "composite": "n=?",
    }.items()
}
_KEY_WIDTHS = {name: statement.count("?") for name, statement in _DELETE.items()}


class Head(NamedTuple):
    """Where the file stands: the last numbers given, and the last instant (milliseconds)."""

    vid: int
    rid: int
    instant: int


def head(connection: apsw.Connection) -> Head:
    """The head as the connection's transaction sees it."""
    vid, instant = 0, 0
    for row in connection.execute("SELECT vid, instant FROM version ORDER BY vid DESC LIMIT 1"):
        vid, instant = row
    rid = connection.execute("SELECT max(rid) FROM resource").get
    return Head(vid, rid or 0, instant)


class Application:
    """One commit being written. `instant` is in milliseconds."""

    def __init__(
        self, connection: apsw.Connection, names: Interning, start: Head, instant: int
    ) -> None:
        self._connection = connection
        self._names = names
        self._vid = start.vid
        self._rid = start.rid
        self._instant = instant
        self._rids: dict[tuple[int, str], int] = {}
        self._new_resources: list[Row] = []
        self._versions: list[Row] = []

    @property
    def head(self) -> Head:
        return Head(self._vid, self._rid, self._instant)

    @property
    def committed(self) -> Committed:
        return Committed(self._vid, self._instant * 1000)

    def apply(self, changes: Sequence[Change]) -> None:
        """Writes the changes. Raises `Stale` when a precondition does not hold."""
        placed = [(change, *self._place(change)) for change in changes]
        self._connection.executemany(_INSERT_VERSION, self._versions)
        rows: Rows = defaultdict(list)
        for change, rid, tid in placed:
            new: Rows = rows if change.version == 1 else defaultdict(list)
            if change.entries:
                add_rows(new, rid, tid, change.entries, self._names, self._rid_of)
            if change.version > 1:
                self._add_differences(rows, rid, new)
        self._connection.executemany(_INSERT_RESOURCE, self._new_resources)
        for table, added in rows.items():
            self._connection.executemany(_INSERT[table], added)

    def _place(self, change: Change) -> tuple[int, int]:
        """Gives the change its version row and its resource row; the numbers rid and tid."""
        tid = self._names.intern_type(change.type)
        found = self._connection.execute(_FIND, (tid, change.id)).fetchone()
        rid, version = found or (0, 0)
        if version != change.version - 1:
            raise Stale(f"{change.type}/{change.id} was changed meanwhile. Read it again.")
        self._vid += 1
        live = change.body is not None
        if found:
            self._connection.execute(
                _UPDATE_RESOURCE,
                (change.version, self._vid, self._vid, self._instant, live, rid),
            )
        else:
            rid = self._rid = self._rid + 1
            self._new_resources.append(
                (rid, tid, change.id, 1, self._vid, self._vid, self._instant, live)
            )
        self._rids[tid, change.id] = rid
        body = change.body.stamped(self._instant * 1000) if change.body else None
        method = METHOD_NUMBERS[change.method]
        self._versions.append((self._vid, rid, change.version, tid, self._instant, method, body))
        return rid, tid

    def _rid_of(self, type: str, id: str) -> int:
        """The number of a reference's target; a new one if the store never heard of it."""
        tid = self._names.intern_type(type)
        rid = self._rids.get((tid, id))
        if rid is None:
            for known, _ in self._connection.execute(_FIND, (tid, id)):
                rid = known
            if rid is None:
                rid = self._rid = self._rid + 1
                self._new_resources.append((rid, tid, id, 0, None, None, None, 0))
            self._rids[tid, id] = rid
        return rid

    def _add_differences(self, rows: Rows, rid: int, new: Rows) -> None:
        """Removes the resource's index rows that are no more, and adds those that are new."""
        for table in WIDTHS:
            old = set(self._connection.execute(_OLD[table], (rid,)))
            wanted = set(new.get(table, ()))
            if gone := old - wanted:
                width = _KEY_WIDTHS[table]
                self._connection.executemany(_DELETE[table], [row[:width] for row in gone])
            if added := wanted - old:
                rows[table].extend(added)
