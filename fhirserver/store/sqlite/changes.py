"""What a transaction writes, gathered from the commits of a group.

Each commit is first looked at as a whole: when a precondition does not hold, nothing of it
was gathered yet. New resources get their numbers in the order of the changes, before what
they refer to. Rows are written table by table, for all commits together, many in a statement:
a thread that holds the interpreter's lock makes us wait at each statement.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import NamedTuple

import apsw

from fhirserver.store.port import Change, Committed, Method, Stale
from fhirserver.store.sqlite.concept_writer import ConceptWriter
from fhirserver.store.sqlite.dictionary import Interning
from fhirserver.store.sqlite.rows import WIDTHS, WORD_TABLES, Row, Rows, add_rows
from fhirserver.terminology.concept import ConceptSet

CODE_SYSTEM = "CodeSystem"
METHODS: tuple[Method, ...] = ("POST", "PUT", "PATCH", "DELETE")
METHOD_NUMBERS = {name: number for number, name in enumerate(METHODS)}

_FIND = "SELECT rid, version FROM resource WHERE tid=? AND id=?"
_UPDATE_RESOURCE = """UPDATE resource SET version=?, vid=?, created=coalesce(created, ?),
    instant=?, live=? WHERE rid=?"""
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
        "position": "latitude=? AND longitude=?",
    }.items()
}
_WORDS = tuple(WORD_TABLES.values())
_DELETE |= {table: f"DELETE FROM {table} WHERE rowid=?" for table in _WORDS}
_KEY_WIDTHS = {name: statement.count("?") for name, statement in _DELETE.items()}
_AT_ONCE = (64, 16, 4, 1)
_INSERT = {
    (table, count): f"INSERT INTO {table} VALUES{','.join([f'({marks})'] * count)}"
    for table, width in {
        **WIDTHS,
        "resource": 8,
        "version": 7,
        **{f"{words}(rowid, words)": 2 for words in _WORDS},
    }.items()
    for marks in [",".join("?" * width)]
    for count in _AT_ONCE
}


class Head(NamedTuple):
    """Where the file stands: the last numbers given, and the last instant (milliseconds)."""

    vid: int
    rid: int
    instant: int


class _Known(NamedTuple):
    """A resource's number and its latest version, 0 when it is only referred to."""

    rid: int
    version: int


def head(connection: apsw.Connection) -> Head:
    """The head as the connection's transaction sees it."""
    vid, instant = 0, 0
    for row in connection.execute("SELECT vid, instant FROM version ORDER BY vid DESC LIMIT 1"):
        vid, instant = row
    rid = connection.execute("SELECT max(rid) FROM resource").get
    return Head(vid, rid or 0, instant)


class Batch:
    """The rows that a transaction is about to write."""

    def __init__(self, connection: apsw.Connection, names: Interning) -> None:
        self._connection = connection
        self._names = names
        self._known: dict[tuple[int, str], _Known] = {}
        self._updates: list[Row] = []
        self._gone: Rows = defaultdict(list)
        self._rows: Rows = defaultdict(list)
        self._pending: set[int] = set()
        self._concepts: dict[int, ConceptSet | None] = {}
        self.head = head(connection)

    def add(self, changes: Sequence[Change], clock: int) -> Committed:
        """Gathers one commit at the time of the clock (milliseconds).

        Raises `Stale` when a precondition does not hold; then nothing of it was gathered.
        """
        instant = max(clock, self.head.instant)
        commit = _Commit(self, instant)
        placed = [(change, *commit.place(change)) for change in changes]
        if any(rid in self._pending for change, rid, _ in placed if change.version > 1):
            self.flush()  # what it replaces must be in the tables
        for change, rid, tid in placed:
            if change.version == 1:
                commit.add_rows(commit.rows, change, rid, tid)
            else:
                self._add_differences(commit, change, rid, tid)
            if change.type == CODE_SYSTEM:
                commit.concepts[rid] = change.concepts
        self._merge(commit)
        return Committed(commit.vid, instant * 1000)

    def flush(self) -> None:
        """Writes what was gathered."""
        for table in ("resource", "version"):
            insert(self._connection, table, self._rows.pop(table, ()))
        if self._updates:
            self._connection.executemany(_UPDATE_RESOURCE, self._updates)
        for table, gone in self._gone.items():
            self._connection.executemany(_DELETE[table], gone)
        for table, rows in self._rows.items():
            insert(self._connection, table, rows)
        for rid, parts in self._concepts.items():
            ConceptWriter(self._connection).replace(rid, parts)
        self._updates.clear()
        self._gone.clear()
        self._rows.clear()
        self._pending.clear()
        self._concepts.clear()

    def return_to(self, earlier: Head) -> None:
        """Forgets commits that were flushed and rolled back since."""
        self.head = earlier
        self._known.clear()
        for rows in (self._updates, self._gone, self._rows, self._pending, self._concepts):
            rows.clear()

    def find(self, tid: int, id: str) -> _Known | None:
        """The resource as this transaction left it."""
        known = self._known.get((tid, id))
        if known is None:
            for rid, version in self._connection.execute(_FIND, (tid, id)):
                known = self._known[tid, id] = _Known(rid, version)
        return known

    @property
    def names(self) -> Interning:
        return self._names

    def _add_differences(self, commit: _Commit, change: Change, rid: int, tid: int) -> None:
        """Takes away the resource's index rows that are no more, and adds those that are new."""
        new: Rows = defaultdict(list)
        commit.add_rows(new, change, rid, tid)
        for table in WIDTHS:
            old = set(self._connection.execute(_OLD[table], (rid,)))
            wanted = set(new.get(table, ()))
            if gone := old - wanted:
                commit.gone[table].extend(row[: _KEY_WIDTHS[table]] for row in gone)
            if added := wanted - old:
                commit.rows[table].extend(added)
        for table in _WORDS:  # what they hold cannot be read again
            commit.gone[table].append((rid,))
            commit.rows[table].extend(new.get(table, ()))

    def _merge(self, commit: _Commit) -> None:
        self._known.update(commit.known)
        self._updates.extend(commit.updates)
        self._concepts.update(commit.concepts)
        self._pending.update(known.rid for known in commit.known.values())
        for mine, theirs in ((self._gone, commit.gone), (self._rows, commit.rows)):
            for table, rows in theirs.items():
                mine[table].extend(rows)
        self.head = Head(commit.vid, commit.rid, commit.instant)


class _Commit:
    """One commit while it is gathered: its rows, and the numbers that it gave."""

    def __init__(self, batch: Batch, instant: int) -> None:
        self._batch = batch
        self._names = batch.names
        self.instant = instant
        self.vid, self.rid, _ = batch.head
        self.known: dict[tuple[int, str], _Known] = {}
        self.updates: list[Row] = []
        self.gone: Rows = defaultdict(list)
        self.rows: Rows = defaultdict(list)
        self.concepts: dict[int, ConceptSet | None] = {}

    def place(self, change: Change) -> tuple[int, int]:
        """Gives the change its version row and its resource row; the numbers rid and tid."""
        tid = self._names.intern_type(change.type)
        found = self._batch.find(tid, change.id)
        if (found.version if found else 0) != change.version - 1:
            raise Stale(f"{change.type}/{change.id} was changed meanwhile. Read it again.")
        self.vid += 1
        live = change.body is not None
        if found is None:
            rid = self.rid = self.rid + 1
            self.rows["resource"].append(
                (rid, tid, change.id, 1, self.vid, self.vid, self.instant, live)
            )
        else:
            rid = found.rid
            self.updates.append((change.version, self.vid, self.vid, self.instant, live, rid))
        self.known[tid, change.id] = _Known(rid, change.version)
        body = change.body.stamped(self.instant * 1000) if change.body else None
        method = METHOD_NUMBERS[change.method]
        self.rows["version"].append(
            (self.vid, rid, change.version, tid, self.instant, method, body)
        )
        return rid, tid

    def add_rows(self, rows: Rows, change: Change, rid: int, tid: int) -> None:
        if change.entries:
            add_rows(rows, rid, tid, change.entries, self._names, self._rid_of)

    def _rid_of(self, type: str, id: str) -> int:
        """The number of a reference's target; a new one if the store never heard of it."""
        tid = self._names.intern_type(type)
        known = self.known.get((tid, id)) or self._batch.find(tid, id)
        if known is None:
            self.rid += 1
            known = self.known[tid, id] = _Known(self.rid, 0)
            self.rows["resource"].append((self.rid, tid, id, 0, None, None, None, 0))
        return known.rid


def insert(connection: apsw.Connection, table: str, rows: Iterable[Row]) -> None:
    """Inserts rows, as many as possible in one statement."""
    waiting = list(rows)
    start = 0
    table = f"{table}(rowid, words)" if table in _WORDS else table
    for count in _AT_ONCE:
        statement = _INSERT[table, count]
        while len(waiting) - start >= count:
            some = waiting[start : start + count]
            connection.execute(statement, list(chain.from_iterable(some)))
            start += count
