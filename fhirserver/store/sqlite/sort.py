"""The next resources of one type in an explicit order.

The resources of a selective condition are collected and sorted. For a broad one the index of
the first sort key is walked, and those without a value follow.

A resource that changed since the first page may have moved to another place, before or
behind the cursor. To be given at most once it is left out of later pages, unless it is sorted
by nothing but what the store knows of old versions: `_id` and `_lastUpdated` (of contained
resources it knows no old versions).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import apsw

from fhirserver.search.contained import is_contained
from fhirserver.search.expression import Query, SortKey
from fhirserver.search.score import SCORE
from fhirserver.store.sqlite.dictionary import Dictionary
from fhirserver.store.sqlite.order import (
    SortColumn,
    Sorted,
    comes_after,
    merged,
    order_by,
    sort_columns,
    width,
)
from fhirserver.store.sqlite.place import OfRid, Place, is_unchanged, was_there
from fhirserver.store.sqlite.plan import Plan, Planner
from fhirserver.store.sqlite.source import LAST_UPDATED
from fhirserver.store.sqlite.sql import FALSE, TRUE, Sql, all_of, join, sql
from fhirserver.store.sqlite.stretch import Stretch, instants, stretch, within

_TIMELESS = frozenset({"_id", "_lastUpdated"})
_ROW = {
    "date": ("low", "high"),
    "number": ("low", "high"),
    "quantity": ("low", "high", "sid", "extra", "unit"),
    "string": ("folded", "n"),
    "uri": ("value",),
    "token": ("code", "(SELECT text FROM symbol WHERE sid={}.sid)"),
}
"""The columns that tell the rows of one resource and parameter apart, the ordered one first."""


class _Lead(NamedTuple):
    """The rows of an index in the order of the first key, one for each resource."""

    tables: str
    where: Sql
    values: tuple[str, ...]


class Sorter:
    """Sorts on one connection, for one query."""

    def __init__(
        self, connection: apsw.Connection, names: Dictionary, planner: Planner, query: Query
    ) -> None:
        self._connection = connection
        self._names = names
        self._planner = planner
        self._query = query
        self._is_timeless = all(key.param in _TIMELESS for key in query.sort) and not any(
            map(is_contained, query.types)
        )

    def rows(self, tid: int, place: Place | None, limit: int) -> list[Sorted]:
        """The next resources of a type after a place, `limit` at the most."""
        plan = self._planner.plan(self._query.where, tid)
        first = self._query.sort[0]
        lead = None if plan.is_selective else self._lead(first, tid)
        if lead is None:
            return self._collected(plan, place, limit, self._lasting(place))
        found: list[Sorted] = []
        if place is None or place.values[0] is not None:
            found = self._walked(plan, lead, place, limit)
        if len(found) < limit and first.param not in _TIMELESS:
            found += self._without_value(plan, place, limit - len(found))
        if place is not None and self._is_timeless:
            return self._with_changed(found, plan, place, limit)
        return found

    def _lasting(self, place: Place | None) -> OfRid:
        if place is None:
            return lambda rid: TRUE
        return was_there(place) if self._is_timeless else is_unchanged(place)

    def _columns(self, tid: int, rid: str, place: Place | None) -> list[SortColumn]:
        snapshot = place.snapshot if place and self._is_timeless else None
        return sort_columns(self._query.sort, tid, self._names, rid, snapshot)

    def _collected(self, plan: Plan, place: Place | None, limit: int, more: OfRid) -> list[Sorted]:
        """All resources of the plan are given their values, then sorted."""
        columns = self._columns(plan.tid, "s.rid", place)
        rows = self._planner.select(plan, more)
        after = comes_after(columns, place.values, place.rid) if place else TRUE
        return self._fetch(
            join([
                "WITH k AS MATERIALIZED (SELECT s.rid AS rid",
                *_named(columns),
                "FROM (",
                rows,
                ") s) SELECT * FROM k WHERE",
                after,
                order_by(columns),
            ]),
            limit,
        )  # fmt: skip

    def _walked(self, plan: Plan, lead: _Lead, place: Place | None, limit: int) -> list[Sorted]:
        """The index of the first key is followed, each row looked at."""
        others = sort_columns(self._query.sort[1:], plan.tid, self._names, "d.rid")
        down = self._query.sort[0].descending
        columns = [SortColumn(sql(value), down) for value in lead.values] + others
        conditions = [lead.where, self._planner.every(plan, "d.rid"), self._near(plan, lead, place)]
        if place is not None:
            conditions.append(comes_after(columns, place.values, place.rid))
            conditions.append(is_unchanged(place)("d.rid"))
        wanted = all_of(conditions)
        if wanted == FALSE:
            return []
        return self._fetch(
            join([
                "SELECT d.rid AS rid",
                *_named(columns),
                f"FROM {lead.tables} WHERE",
                wanted,
                order_by(columns, never_null=len(lead.values)),
            ]),
            limit,
        )  # fmt: skip

    def _near(self, plan: Plan, lead: _Lead, place: Place | None) -> Sql:
        """That a row is where the walk may find something; of two bounds, only the nearer one.

        SQLite begins at one of them, perhaps the farther one.
        """
        key, column = self._query.sort[0], lead.values[0]
        if place is None and key.param == LAST_UPDATED:
            return instants(plan, column)
        found = Stretch()
        if key.kind == "date":
            found = stretch(self._connection, self._names, self._planner, plan, key)
        if place is not None:
            value = place.values[0]
            if isinstance(value, str):
                return sql(f"{column}{'<=' if key.descending else '>='}?", value)
            found = found.beyond(value, down=key.descending)
        return within(found, column)

    def _without_value(self, plan: Plan, place: Place | None, limit: int) -> list[Sorted]:
        """Those that have no value of the first key; if it is the only one, in order of rid."""
        first = self._query.sort[0]
        pid = self._names.param(plan.tid, first.param)
        lasting = self._lasting(place)
        before = place if place and place.values[0] is None else None
        is_only = len(self._query.sort) == 1

        def more(rid: str) -> Sql:
            full = " AND exact<>''" if first.kind == "string" else ""
            lacks = f"NOT EXISTS (SELECT 1 FROM {first.kind} WHERE rid={rid} AND pid=?{full})"
            later = sql(f"{rid}>?", before.rid) if before and is_only else TRUE
            return all_of((later, lasting(rid), sql(lacks, pid)))

        if not is_only:
            return self._collected(plan, before, limit, more)
        rows = join([self._planner.select(plan, more), "ORDER BY 1"])
        return [Sorted(rid, (None,) * width(first)) for rid, _ in self._fetch(rows, limit)]

    def _with_changed(
        self, found: list[Sorted], plan: Plan, place: Place, limit: int
    ) -> list[Sorted]:
        """Those that changed since the first page join at the place that they had then."""
        existed = was_there(place)

        def more(rid: str) -> Sql:
            changed = sql(
                f"{rid} IN (SELECT rid FROM version INDEXED BY version_type WHERE tid=? AND vid>?)",
                plan.tid,
                place.snapshot,
            )
            return all_of((changed, existed(rid)))

        joined = found + self._collected(plan, place, limit, more)
        return merged(joined, self._columns(plan.tid, "rid", place))[:limit]

    def _lead(self, key: SortKey, tid: int) -> _Lead | None:
        """The index of a key; None when there is none."""
        if key.param in _TIMELESS:
            index, column = _OWN[key.param]
            where = sql("d.tid=? AND d.live", tid)
            return _Lead(f"resource d INDEXED BY {index}", where, (column,))
        pid = self._names.param(tid, key.param)
        if key.kind not in _ROW or key.param == SCORE:
            return None
        row, other = (
            ", ".join(
                name.format(alias) if "{" in name else f"{alias}.{name}" for name in _ROW[key.kind]
            )
            for alias in "de"
        )
        full = " AND {}.exact<>''" if key.kind == "string" else ""
        where = sql(
            f"d.pid=?{full.format('d')} AND NOT EXISTS (SELECT 1 FROM {key.kind} e "
            f"WHERE e.rid=d.rid AND e.pid=d.pid{full.format('e')} "
            f"AND ({other}) {'>' if key.descending else '<'} ({row}))",
            pid,
        )
        values = tuple(
            name.format("d") if "{" in name else f"d.{name}"
            for name in _ROW[key.kind][: width(key)]
        )
        return _Lead(f"{key.kind} d INDEXED BY {key.kind}_value", where, values)

    def _fetch(self, statement: Sql, limit: int) -> list[Sorted]:
        rows = self._connection.execute(f"{statement.text} LIMIT ?", (*statement.args, limit))
        return [Sorted(row[0], row[1:]) for row in rows]


_OWN = {
    "_id": ("resource_id", "d.id"),
    "_lastUpdated": ("resource_instant", "d.instant"),
}


def _named(columns: Sequence[SortColumn]) -> list[Sql]:
    return [
        Sql(f", {column.value.text} AS k{n}", column.value.args) for n, column in enumerate(columns)
    ]
