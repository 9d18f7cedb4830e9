"""Answering a query: the numbers of a page's resources first, then their bodies.

Everything of one answer is read in one snapshot. A cursor holds the number of the last commit
that the first page saw, the total, and the place where the page ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import merge
from itertools import islice

from fhirserver.errors import Invalid
from fhirserver.search.contained import is_contained
from fhirserver.search.expression import EVERYTHING, Cursor, Expression, Query
from fhirserver.store.bounds import check_size
from fhirserver.store.port import Key, SearchPage, Version
from fhirserver.store.sqlite.changes import METHODS
from fhirserver.store.sqlite.connection import Connection
from fhirserver.store.sqlite.dictionary import UNKNOWN, Dictionary
from fhirserver.store.sqlite.estimate import Estimator
from fhirserver.store.sqlite.order import Sorted, merged, sort_columns, width
from fhirserver.store.sqlite.place import Place, place_of
from fhirserver.store.sqlite.plan import Planner
from fhirserver.store.sqlite.sort import Sorter
from fhirserver.store.sqlite.walk import Walker

_VERSION = """SELECT r.tid, r.id, v.vid, v.version, v.instant, v.method, v.body
    FROM resource r CROSS JOIN version v ON v.vid=r.vid WHERE r.rid=?"""
_KEY = "SELECT tid, id FROM resource WHERE rid=?"


class Searcher:
    """Answers queries on one connection."""

    def __init__(self, connection: Connection, names: Dictionary) -> None:
        self._connection = connection
        self._names = names

    def matching(self, types: Sequence[str], where: Expression, limit: int) -> list[Key]:
        """The first resources that match, `limit` at the most, as the connection sees them."""
        check_size(where)
        planner = Planner(self._connection, self._names)
        rids = self._in_order(planner, where, self._types(types), None, limit)
        found = (row for rid in rids for row in self._connection.execute(_KEY, (rid,)))
        return [Key(self._names.type_name(tid), id) for tid, id in found]

    def page(self, query: Query) -> SearchPage:
        """As `Store.search`."""
        check_size(query.where)
        place = place_of(query.after)
        if place and len(place.values) != sum(map(width, query.sort)):
            raise Invalid("This page link belongs to another order. Begin again.")
        with self._connection.snapshot():
            planner = Planner(self._connection, self._names)
            tids = self._types(query.types)
            total = place.total if place else None
            if query.total and total is None:
                total = self._total(planner, query, tids)
            if not query.count:
                return SearchPage((), total, None)
            limit = query.count + 1
            if query.sort:
                rows = self._sorted(planner, query, tids, place, limit)
            else:
                rids = self._in_order(planner, query.where, tids, place, limit)
                rows = [Sorted(rid, ()) for rid in rids]
            if query.estimate and total is not None:
                total = max(total, len(rows))
            versions = self._versions([row.rid for row in rows[: query.count]])
            cursor: Cursor | None = None
            if len(rows) > query.count:
                last = rows[query.count - 1]
                snapshot = place.snapshot if place else self._snapshot()
                cursor = Place(snapshot, total, last.rid, last.values).cursor
            elif query.estimate and total is not None and place is None:
                total = len(rows)
        return SearchPage(versions, total, cursor)

    def following(self, types: Sequence[str], rid: int, limit: int) -> list[tuple[int, Version]]:
        """The next resources after a number, with their numbers."""
        planner = Planner(self._connection, self._names)
        start = Place(self._snapshot(), None, rid, ())
        rids = self._in_order(planner, EVERYTHING, self._types(types), start, limit)
        return list(zip(rids, self._versions(rids), strict=True))

    def _types(self, types: Sequence[str]) -> list[int]:
        if not types:
            return self._names.types()
        return [tid for name in dict.fromkeys(types) if (tid := self._names.type(name)) != UNKNOWN]

    def _snapshot(self) -> int:
        return int(self._connection.execute("SELECT max(vid) FROM version").get or 0)

    def _total(self, planner: Planner, query: Query, tids: Sequence[int]) -> int:
        if query.estimate:
            return Estimator(self._connection, planner).total(query.where, tids)
        return sum(self._count(planner, query.where, tid) for tid in tids)

    def _count(self, planner: Planner, where: Expression, tid: int) -> int:
        rows = planner.select(planner.smallest(where, tid))
        counted = self._connection.execute(f"SELECT count(*) FROM ({rows.text})", rows.args)
        return int(counted.get)

    def _in_order(
        self,
        planner: Planner,
        where: Expression,
        tids: Sequence[int],
        place: Place | None,
        limit: int,
    ) -> list[int]:
        """The next resources in the order of their numbers."""
        walker = Walker(self._connection, planner)
        lists = [walker.rids(where, tid, place, limit) for tid in tids]
        return lists[0] if len(lists) == 1 else list(islice(merge(*lists), limit))

    def _sorted(
        self,
        planner: Planner,
        query: Query,
        tids: Sequence[int],
        place: Place | None,
        limit: int,
    ) -> list[Sorted]:
        """The next resources in the order of the query's sort keys."""
        sorter = Sorter(self._connection, self._names, planner, query)
        found = [row for tid in tids for row in sorter.rows(tid, place, limit)]
        if len(tids) > 1:
            found = merged(found, sort_columns(query.sort, tids[0], self._names, "rid"))
        return found[:limit]

    def _versions(self, rids: Sequence[int]) -> list[Version]:
        """The current versions; of what one resource contains, all have the same body."""
        name = self._names.type_name
        bodies: dict[int, bytes] = {}
        return [
            Version(
                type_ := name(tid),
                id,
                version,
                instant * 1000,
                METHODS[method],
                bodies.setdefault(vid, body) if is_contained(type_) else body,
            )
            for tid, id, vid, version, instant, method, body in self._connection.executemany(
                _VERSION, [(rid,) for rid in rids]
            )
        ]
