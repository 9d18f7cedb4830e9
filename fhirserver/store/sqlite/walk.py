"""The next resources of one type in the store's own order, that of their numbers.

A selective plan is collected. Of a broad one a page is met soon when its resources lie
evenly, so they are walked through in windows. But what follows the order of creation, as a
late date does, may begin far away: after a window in which nothing was found, all rows of
the smallest source are read instead.
"""

from __future__ import annotations

import apsw

from fhirserver.search.expression import Expression
from fhirserver.store.sqlite.place import OfRid, Place, was_there
from fhirserver.store.sqlite.plan import Plan, Planner
from fhirserver.store.sqlite.sql import Sql, all_of, sql

WINDOW = 16_384
_WIDER = 4


class Walker:
    """Walks on one connection, for one query."""

    def __init__(self, connection: apsw.Connection, planner: Planner) -> None:
        self._connection = connection
        self._planner = planner

    def rids(self, where: Expression, tid: int, place: Place | None, limit: int) -> list[int]:
        """The next resources after a place that match, `limit` at the most."""
        plan = self._planner.plan_in_order(where, tid)
        start = place.rid if place else 0
        if plan.is_selective or not plan.rest:
            return self._first(self._planner.select(plan, _between(place, start)), limit)
        found: list[int] = []
        width = WINDOW
        while start < self._planner.last:
            window = self._planner.select(plan, _between(place, start, start + width))
            some = self._first(window, limit - len(found))
            found += some
            start += width
            width *= _WIDER
            if len(found) == limit:
                return found
            if not some:
                smallest = self._planner.smallest(where, tid)
                return found + self._swept(smallest, place, start, limit - len(found))
        return found

    def _swept(self, plan: Plan, place: Place | None, start: int, limit: int) -> list[int]:
        """The first resources of a plan that is not in order, all of whose rows are read.

        A resource may have several rows, so twice as many are asked for; without that, SQLite
        would keep them all in a set.
        """
        if plan.source is None or plan.source.is_ordered:
            return self._first(self._planner.select(plan, _between(place, start)), limit)
        found: dict[int, None] = {}
        while len(found) < limit:
            rows = self._planner.select(plan, _between(place, start), is_bag=True)
            some = self._first(rows, 2 * limit)
            found |= dict.fromkeys(some)
            if len(some) < 2 * limit:
                break
            start = some[-1]
        return list(found)[:limit]

    def _first(self, rows: Sql, limit: int) -> list[int]:
        found = self._connection.execute(f"{rows.text} ORDER BY 1 LIMIT ?", (*rows.args, limit))
        return [rid for (rid,) in found]


def _between(place: Place | None, start: int, end: int | None = None) -> OfRid:
    """That a resource's number is in (start, end], and that it was there at the first page."""

    def condition(rid: str) -> Sql:
        parts = []
        if start or end is not None:
            parts.append(sql(f"{rid}>?", start))
        if end is not None:
            parts.append(sql(f"{rid}<=?", end))
        if place is not None:
            parts.append(was_there(place)(rid))
        return all_of(parts)

    return condition
