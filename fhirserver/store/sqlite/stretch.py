"""The stretch of an index in order in which all matches of a plan lie.

`birthdate=ge1990&_sort=birthdate`: a walk in the order of birth need not begin with the eldest.
"""

from __future__ import annotations

from typing import NamedTuple

import apsw

from fhirserver.search.expression import And, DateIs, SortKey
from fhirserver.store.sqlite.dictionary import Dictionary
from fhirserver.store.sqlite.instant import instant_condition
from fhirserver.store.sqlite.interval import Bounds, bounds_of, common
from fhirserver.store.sqlite.plan import Plan, Planner
from fhirserver.store.sqlite.source import LAST_UPDATED, LONG
from fhirserver.store.sqlite.sql import TRUE, Sql, all_of, sql

_LONGER = (
    f"SELECT d.low FROM date d INDEXED BY date_long WHERE d.pid=? AND {LONG['date'].format(a='d')}"
)
_MOST = 1000
"""So many long entries are looked at for one that begins before the stretch."""


class Stretch(NamedTuple):
    """The least and the greatest `low` that a match has, where they are known."""

    least: int | float | None = None
    greatest: int | float | None = None

    def beyond(self, value: int | float | None, *, down: bool) -> Stretch:
        """The part from a value on, in one direction or the other."""
        if value is None:
            return self
        if down:
            nearer = value if self.greatest is None else min(value, self.greatest)
            return Stretch(self.least, nearer)
        return Stretch(value if self.least is None else max(value, self.least), self.greatest)


def stretch(
    connection: apsw.Connection, names: Dictionary, planner: Planner, plan: Plan, key: SortKey
) -> Stretch:
    """Where matches lie in the order of a date; unbounded where a resource has several."""
    leaves = _dates(plan, key.param)
    if not leaves or key.param == LAST_UPDATED or not planner.is_single(key.param, plan.tid):
        return Stretch()
    bounds = common([found for leaf in leaves if (found := bounds_of(leaf)) is not None])
    if bounds is None:
        return Stretch()
    pid = names.param(plan.tid, key.param)
    least = None if _begins_before(connection, pid, bounds) else bounds.least
    return Stretch(least, bounds.greatest)


def instants(plan: Plan, column: str) -> Sql:
    """What the plan says of `_lastUpdated`, as a condition on a column of instants."""
    return all_of(instant_condition(leaf, column) for leaf in _dates(plan, LAST_UPDATED))


def within(found: Stretch, column: str) -> Sql:
    """That a column lies in the stretch."""
    return all_of((
        TRUE if found.least is None else sql(f"{column}>=?", found.least),
        TRUE if found.greatest is None else sql(f"{column}<=?", found.greatest),
    ))  # fmt: skip


def _begins_before(connection: apsw.Connection, pid: int, bounds: Bounds) -> bool:
    """Whether a long entry may match that begins before the bound."""
    if bounds.longer is None or bounds.least is None:
        return False
    text, args = bounds.longer
    longer = f"{_LONGER} AND d.{text} LIMIT ?"
    is_so = f"SELECT count(*)=? OR min(low)<? FROM ({longer})"
    return bool(connection.execute(is_so, (_MOST, bounds.least, pid, *args, _MOST)).get)


def _dates(plan: Plan, param: str) -> list[DateIs]:
    """The comparisons with a date that every match of the plan fulfils."""
    parts = plan.rest if plan.lead is None else (plan.lead, *plan.rest)
    flat = (one for part in parts for one in (part.parts if isinstance(part, And) else (part,)))
    return [one for one in flat if isinstance(one, DateIs) and one.param == param]
