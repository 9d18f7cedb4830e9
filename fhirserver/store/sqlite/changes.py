"""What a transaction writes, gathered from the commits of a group.

Each commit is first looked at as a whole: when a precondition does not hold, nothing of it
was gathered yet. New resources get their numbers in the order of the changes, before what
they refer to. Rows are written table by table, for all commits together, many in a statement:
a thread that holds the interpreter's lock makes us wait at each statement.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import apsw

from fhirserver.model.json import decode
from fhirserver.search.contained import CONTAINED, CONTAINED_TYPE, MARK
from fhirserver.search.entry import Contained, Entries
from fhirserver.store.port import Change, Committed, Entered, Method, Outdated, Stale, Unchanged
from fhirserver.store.sqlite.concept_writer import ConceptWriter
from fhirserver.store.sqlite.dictionary import UNKNOWN, Interning
from fhirserver.store.sqlite.insertion import insert
from fhirserver.store.sqlite.known import Known, KnownResources
from fhirserver.store.sqlite.rows import WIDTHS, WORD_TABLES, Row, Rows, add_rows
from fhirserver.terminology.concept import ConceptSet, concept_set

CODE_SYSTEM = "CodeSystem"
METHODS: tuple[Method, ...] = ("POST", "PUT", "PATCH", "DELETE")
METHOD_NUMBERS = {name: number for number, name in enumerate(METHODS)}

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
NEVER_WAS = """UPDATE resource SET version=0, vid=NULL, created=NULL, instant=NULL, live=0
    WHERE rid=?"""
_PART_TYPES = "SELECT code FROM token WHERE rid=? AND pid=?"
_PARTS = "SELECT rid, id FROM resource WHERE tid=? AND id>? AND id<? AND live"


LATEST = """SELECT max(coalesce(max(vid), 0), (SELECT vid FROM floor))
    FROM version WHERE tid=?"""
_VERSION = "SELECT vid, instant FROM resource WHERE rid=?"


class Head(NamedTuple):
    """Where the file stands: the last numbers given, and the last instant (milliseconds)."""

    vid: int
    rid: int
    instant: int


class _Place(NamedTuple):
    """The numbers of a resource, of its type, and of the version that is made of it."""

    rid: int
    tid: int
    vid: int


def head(connection: apsw.Connection) -> Head:
    """The head as the connection's transaction sees it; what was expunged counts as given."""
    floor = Head(*connection.execute("SELECT vid, rid, instant FROM floor").get)
    vid, instant = 0, 0
    for row in connection.execute("SELECT vid, instant FROM version ORDER BY vid DESC LIMIT 1"):
        vid, instant = row
    rid = connection.execute("SELECT max(rid) FROM resource").get or 0
    return Head(max(vid, floor.vid), max(rid, floor.rid), max(instant, floor.instant))


class Batch:
    """The rows that a transaction is about to write."""

    def __init__(self, connection: apsw.Connection, names: Interning) -> None:
        self._connection = connection
        self._names = names
        self.known = KnownResources(connection, names)
        self._updates: list[Row] = []
        self._forgotten: list[Row] = []
        self._gone: Rows = defaultdict(list)
        self._rows: Rows = defaultdict(list)
        self._pending: set[int] = set()
        self._concepts: dict[int, ConceptSet | None] = {}
        self._latest: dict[int, int] = {}

    @cached_property
    def head(self) -> Head:
        """Where the file stands with what was gathered; records alone do not need it."""
        return head(self._connection)

    @property
    def connection(self) -> apsw.Connection:
        return self._connection

    def check(self, unchanged: Unchanged | None) -> None:
        """Raises `Outdated` when it does not hold, with what was gathered so far."""
        if unchanged is None:
            return
        tid = self._names.type(unchanged.type)
        latest = self._latest.get(tid)
        if latest is None:
            latest = self._latest[tid] = self._connection.execute(LATEST, (tid,)).get or 0
        if latest != unchanged.number:
            raise Outdated(f"A {unchanged.type} was changed meanwhile. Send the request again.")

    def add(self, changes: Sequence[Change], clock: int, note: bytes | None = None) -> Committed:
        """Gathers one commit at the time of the clock (milliseconds), with its note.

        Raises `Stale` when a precondition does not hold; then nothing of it was gathered.
        """
        instant = max(clock, self.head.instant)
        done = self._gather(_Commit(self, instant), changes)
        if note is not None and changes:
            self._rows["note"].append((done.number, note))
        return done

    def restore(self, version: Change, instant: int) -> None:
        """Gathers a version as another store numbered and dated it (milliseconds).

        Raises `Stale` where it is not newer than what is there.
        """
        if instant < self.head.instant:
            raise Stale("The store has later commits than what is to be restored.")
        self._gather(_Commit(self, instant, is_restored=True), [version])

    def _gather(self, commit: _Commit, changes: Sequence[Change]) -> Committed:
        placed = [(change, commit.place(change)) for change in changes]
        if any(here.rid in self._pending for change, here in placed if change.version > 1):
            self.flush()  # what it replaces must be in the tables
        for change, here in placed:
            if change.version > 1 or CONTAINED in change.entries:
                self._add_parts(commit, change, here)
            if change.version == 1:
                commit.add_rows(commit.rows, change.entries, here)
            else:
                self._add_differences(commit, change.entries, here)
            if change.type == CODE_SYSTEM:
                commit.concepts[here.rid] = _concepts(change)
        self._merge(commit)
        for _, here in placed:
            self._latest[here.tid] = here.vid
        return Committed(commit.vid, commit.instant * 1000)

    def reindex(self, entered: Sequence[Entered]) -> int:
        """Gathers other entries of current versions; how many there were."""
        commit = _Commit(self, self.head.instant)
        placed = []
        for item in entered:
            tid = self._names.intern_type(item.type)
            known = self.known.find(tid, item.id)
            if known is not None and known.version == item.version:
                placed.append((item, known.rid, tid))
        if any(rid in self._pending for _, rid, _ in placed):
            self.flush()
        for item, rid, tid in placed:
            # What it contains stays as old as it is.
            vid, commit.instant = self._connection.execute(_VERSION, (rid,)).get
            here = _Place(rid, tid, vid)
            self._add_parts(commit, item, here)
            self._add_differences(commit, item.entries, here)
            commit.known[tid, item.id] = Known(rid, item.version)
        commit.instant = self.head.instant
        self._merge(commit)
        return len(placed)

    def flush(self) -> None:
        """Writes what was gathered."""
        for table in ("resource", "version"):
            insert(self._connection, table, self._rows.pop(table, ()))
        if self._updates:
            self._connection.executemany(_UPDATE_RESOURCE, self._updates)
        self._connection.executemany(NEVER_WAS, self._forgotten)
        for table, gone in self._gone.items():
            self._connection.executemany(_DELETE[table], gone)
        for table, rows in self._rows.items():
            insert(self._connection, table, rows)
        for rid, parts in self._concepts.items():
            ConceptWriter(self._connection).replace(rid, parts)
        self._updates.clear()
        self._forgotten.clear()
        self._gone.clear()
        self._rows.clear()
        self._pending.clear()
        self._concepts.clear()

    def return_to(self, earlier: Head) -> None:
        """Forgets commits that were flushed and rolled back since."""
        self.head = earlier
        self.known.clear()
        self._latest.clear()
        for rows in (
            self._updates,
            self._forgotten,
            self._gone,
            self._rows,
            self._pending,
            self._concepts,
        ):
            rows.clear()

    @property
    def names(self) -> Interning:
        return self._names

    def _add_parts(self, commit: _Commit, change: Change | Entered, container: _Place) -> None:
        """Puts what a resource contains beside it, and takes away what it contains no more."""
        is_first = isinstance(change, Change) and change.version == 1
        gone = {} if is_first else self._parts(change, container)
        for part in change.entries.get(CONTAINED, ()):
            assert isinstance(part, Contained)
            here, is_new = commit.place_part(part, change.version, container.vid)
            if is_new:
                commit.add_rows(commit.rows, part.entries, here)
            else:
                self._add_differences(commit, part.entries, here)
            gone.pop((here.tid, part.id), None)
        for key, rid in gone.items():
            commit.known[key] = Known(rid, 0)
            commit.forgotten.append((rid,))
            self._add_differences(commit, {}, _Place(rid, key[0], container.vid))

    def _parts(self, change: Change | Entered, container: _Place) -> dict[tuple[int, str], int]:
        """The numbers of what the version before the change contained, by type and id."""
        pid = self._names.param(container.tid, CONTAINED_TYPE)
        if pid == UNKNOWN:
            return {}
        first = f"{change.type}/{change.id}{MARK}"
        behind = f"{change.type}/{change.id}{chr(ord(MARK) + 1)}"
        return {
            (tid, id): rid
            for (code,) in list(self._connection.execute(_PART_TYPES, (container.rid, pid)))
            for tid in [self._names.type(MARK + code)]
            for rid, id in self._connection.execute(_PARTS, (tid, first, behind))
        }

    def _add_differences(self, commit: _Commit, entries: Entries, here: _Place) -> None:
        """Takes away the resource's index rows that are no more, and adds those that are new."""
        rid = here.rid
        new: Rows = defaultdict(list)
        commit.add_rows(new, entries, here)
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
        self.known.update(commit.known)
        self._updates.extend(commit.updates)
        self._concepts.update(commit.concepts)
        self._forgotten.extend(commit.forgotten)
        self._pending.update(known.rid for known in commit.known.values())
        for mine, theirs in ((self._gone, commit.gone), (self._rows, commit.rows)):
            for table, rows in theirs.items():
                mine[table].extend(rows)
        self.head = Head(commit.vid, commit.rid, commit.instant)


class _Commit:
    """One commit while it is gathered: its rows, and the numbers that it gave."""

    def __init__(self, batch: Batch, instant: int, *, is_restored: bool = False) -> None:
        self._is_restored = is_restored
        self._names = batch.names
        self.instant = instant
        self.vid, self.rid, _ = batch.head
        self._find = batch.known.find
        self.known: dict[tuple[int, str], Known] = {}
        self.updates: list[Row] = []
        self.forgotten: list[Row] = []
        self.gone: Rows = defaultdict(list)
        self.rows: Rows = defaultdict(list)
        self.concepts: dict[int, ConceptSet | None] = {}

    def place(self, change: Change) -> _Place:
        """Gives the change its version row and its resource row."""
        tid = self._names.intern_type(change.type)
        found = self._find(tid, change.id)
        last = found.version if found else 0
        if last >= change.version or (last != change.version - 1 and not self._is_restored):
            raise Stale(f"{change.type}/{change.id} was changed meanwhile. Read it again.")
        self.vid += 1
        live = change.body is not None
        if found is None:
            rid = self.rid = self.rid + 1
            self.rows["resource"].append(
                (rid, tid, change.id, change.version, self.vid, self.vid, self.instant, live)
            )
        else:
            rid = found.rid
            self.updates.append((change.version, self.vid, self.vid, self.instant, live, rid))
        self.known[tid, change.id] = Known(rid, change.version)
        body = change.body.stamped(self.instant * 1000) if change.body else None
        method = METHOD_NUMBERS[change.method]
        self.rows["version"].append(
            (self.vid, rid, change.version, tid, self.instant, method, body)
        )
        return _Place(rid, tid, self.vid)

    def place_part(self, part: Contained, version: int, vid: int) -> tuple[_Place, bool]:
        """Gives a contained resource its row, and tells whether it has no index rows yet."""
        tid = self._names.intern_type(part.type)
        known = self.known.get((tid, part.id)) or self._find(tid, part.id)
        if known is None:
            rid = self.rid = self.rid + 1
            self.rows["resource"].append((rid, tid, part.id, version, vid, vid, self.instant, 1))
        else:
            rid = known.rid
            self.updates.append((version, vid, vid, self.instant, 1, rid))
        self.known[tid, part.id] = Known(rid, version)
        return _Place(rid, tid, vid), known is None or not known.version

    def add_rows(self, rows: Rows, entries: Entries, here: _Place) -> None:
        if entries:
            add_rows(rows, here.rid, here.tid, entries, self._names, self._rid_of)

    def _rid_of(self, type: str, id: str) -> int:
        """The number of a reference's target; a new one if the store never heard of it."""
        key = (self._names.intern_type(type), id)
        known = self.known.get(key) or self._find(*key)
        if known is None:
            self.rid += 1
            known = self.known[key] = Known(self.rid, 0)
            self.rows["resource"].append((self.rid, *key, 0, None, None, None, 0))
        return known.rid


def _concepts(change: Change) -> ConceptSet | None:
    """The concepts of a CodeSystem as it becomes; of one that is restored they are not told."""
    if change.body is None:
        return None
    return change.concepts or concept_set(decode(change.body.data))
