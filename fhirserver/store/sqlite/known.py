"""Which resources a transaction knows by now, so that what it was told is not asked again.

What commits are about and what they refer to is known beforehand: all of it is looked up in
one statement, because a thread that holds the interpreter's lock makes us wait at each.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from math import inf
from typing import NamedTuple

import apsw
import msgspec
from msgspec.json import decode

from fhirserver.search.entry import Contained, Entries, Reference
from fhirserver.store.port import Change, Entered
from fhirserver.store.sqlite.dictionary import UNKNOWN, Interning

_FIND = "SELECT rid, version FROM resource WHERE tid=? AND id=?"
_OF_TYPE = """SELECT r.rid, r.version FROM json_each(?) k
    LEFT JOIN resource r INDEXED BY resource_id ON r.tid=? AND r.id=k.value"""
_FEW = 4  # fewer are looked up one by one, when they are needed
_MOST_TYPES = 100
_NUL = b"\\u0000"  # SQLite does not read it from JSON


class Known(NamedTuple):
    """A resource's number and its latest version, 0 when it is only referred to."""

    rid: int
    version: int


class KnownResources:
    """The resources as one transaction left them."""

    def __init__(self, connection: apsw.Connection, names: Interning) -> None:
        self._connection = connection
        self._names = names
        self._known: dict[tuple[int, str], Known | None] = {}
        self._last_type: float = inf

    def find(self, tid: int, id: str) -> Known | None:
        """The resource, be it there, deleted or only referred to."""
        key = (tid, id)
        known = self._known.get(key)
        if known is None and key not in self._known and tid <= self._last_type:
            for rid, version in self._connection.execute(_FIND, key):
                known = self._known[key] = Known(rid, version)
        return known

    def update(self, known: Mapping[tuple[int, str], Known]) -> None:
        """Takes in what was written, or will be."""
        self._known.update(known)

    def clear(self) -> None:
        """Forgets all, as after a roll-back."""
        self._known.clear()
        self._last_type = inf

    def expect(self, changes: Iterable[Change | Entered]) -> None:
        """Looks up what the changes are about, and what they contain and refer to.

        To be called before any of them is written.
        """
        wanted: defaultdict[str, set[str]] = defaultdict(set)
        for change in changes:
            wanted[change.type].add(change.id)
            _add_targets(wanted, change.entries)
        by_type = [
            (tid, [*ids])
            for type, ids in wanted.items()
            if (tid := self._names.type(type)) != UNKNOWN
        ]
        if len(by_type) < len(wanted):  # of types that come now, there is what is written now
            self._last_type = self._connection.execute("SELECT max(tid) FROM type").get
        keys = [(tid, id) for tid, ids in by_type for id in ids]
        if len(keys) < _FEW or len(by_type) > _MOST_TYPES:
            return
        try:
            lists = [msgspec.json.encode(ids) for _, ids in by_type]
        except UnicodeEncodeError:
            return  # who writes it is told
        if any(_NUL in ids for ids in lists):
            return
        args = [
            arg for ids, (tid, _) in zip(lists, by_type, strict=True) for arg in (ids.decode(), tid)
        ]
        for rids, versions in self._connection.execute(_find_many(len(by_type)), args):
            found = zip(keys, decode(rids), decode(versions), strict=True)
            for key, rid, version in found:
                self._known[key] = None if rid is None else Known(rid, version)


@cache
def _find_many(types: int) -> str:
    """In one row, because the interpreter's lock is given away at each."""
    parts = " UNION ALL ".join([_OF_TYPE] * types)
    return f"SELECT json_group_array(rid), json_group_array(version) FROM ({parts})"


def _add_targets(wanted: defaultdict[str, set[str]], entries: Entries) -> None:
    for values in entries.values():
        if not values:
            continue
        if isinstance(values[0], Reference):  # all of one parameter are of one kind
            for target in values:
                assert isinstance(target, Reference)
                wanted[target.type].add(target.id)
        elif isinstance(values[0], Contained):
            for part in values:
                assert isinstance(part, Contained)
                wanted[part.type].add(part.id)
                _add_targets(wanted, part.entries)
