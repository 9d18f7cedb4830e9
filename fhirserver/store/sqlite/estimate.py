"""How many resources match, roughly: a count of a sample, whose cost does not grow with the store.

Few matches are counted. Of many, those in windows that lie evenly over all resource numbers are
counted and taken for their share of the whole.
"""

from __future__ import annotations

from collections.abc import Sequence

import apsw

from fhirserver.search.expression import Expression
from fhirserver.store.sqlite.plan import Plan, Planner
from fhirserver.store.sqlite.sql import Sql, sql

WINDOWS = 128
WIDTH = 64
_LEAST_WINDOWS = 8


class Estimator:
    """Estimates on one connection, for one query."""

    def __init__(self, connection: apsw.Connection, planner: Planner) -> None:
        self._connection = connection
        self._planner = planner

    def total(self, where: Expression, tids: Sequence[int]) -> int:
        """How many resources of the types match, more or less; the more types, the rougher."""
        windows = max(_LEAST_WINDOWS, WINDOWS // max(1, len(tids)))
        return sum(self._of_type(where, tid, windows) for tid in tids)

    def _of_type(self, where: Expression, tid: int, windows: int) -> int:
        plan = self._planner.plan(where, tid)
        last = self._planner.last
        if plan.is_selective or last <= windows * WIDTH:
            return self._count(self._planner.select(plan))
        whole = Plan(tid, None, None, None, self._planner.conjuncts(where, tid))
        hits = 0
        for n in range(windows):
            start = last * n // windows
            hits += self._count(self._planner.select(whole, _Window(start, start + WIDTH)))
        return round(hits * last / (windows * WIDTH))

    def _count(self, rows: Sql) -> int:
        counted = self._connection.execute(f"SELECT count(*) FROM ({rows.text})", rows.args)
        return int(counted.get)


class _Window:
    """That a resource's number is in (start, end]."""

    def __init__(self, start: int, end: int) -> None:
        self._start = start
        self._end = end

    def __call__(self, rid: str) -> Sql:
        return sql(f"{rid}>? AND {rid}<=?", self._start, self._end)
