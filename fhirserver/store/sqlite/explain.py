"""How a search is run here: the plan, what its sources hold, the statements and their time.

The plan is made by the planner that makes it for a search, and the search is run once.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from fhirserver.search.expression import Query
from fhirserver.store.explanation import MOST_TYPES, Figure, condition_step, search_step
from fhirserver.store.port import Explanation
from fhirserver.store.sqlite.connection import Connection
from fhirserver.store.sqlite.dictionary import UNKNOWN, Dictionary
from fhirserver.store.sqlite.plan import Plan, Planner
from fhirserver.store.sqlite.search import Searcher
from fhirserver.store.sqlite.sql import Sql

_MOST_TEXT = 4000  # characters of a statement that are shown


class Explainer:
    """Explains queries on one connection."""

    def __init__(self, connection: Connection, names: Dictionary, searcher: Searcher) -> None:
        self._connection = connection
        self._names = names
        self._searcher = searcher

    def explain(self, query: Query) -> Explanation:
        """As `Store.explain`."""
        start = time.perf_counter()
        with self._connection.snapshot():
            planner = Planner(self._connection, self._names)
            tids = self._types(query.types)
            plans = tuple(self._of_type(planner, query, tid) for tid in tids[:MOST_TYPES])
        planned = time.perf_counter()
        page = self._searcher.page(query)
        ran = time.perf_counter()
        return search_step(len(tids), planned - start, ran - planned, page, plans)

    def _types(self, types: Sequence[str]) -> list[int]:
        if not types:
            return self._names.types()
        return [tid for name in dict.fromkeys(types) if (tid := self._names.type(name)) != UNKNOWN]

    def _of_type(self, planner: Planner, query: Query, tid: int) -> Explanation:
        ordered = not query.sort
        plan = (planner.plan_in_order if ordered else planner.plan)(query.where, tid)
        rows = planner.select(plan)
        figures: list[Figure] = [
            ("type", self._names.type_name(tid)),
            ("order", _order(plan, ordered=ordered)),
            ("statement", rows.text[:_MOST_TEXT]),
        ]
        figures += [("access", line) for line in self._access(rows)]
        steps = [] if plan.lead is None else [condition_step("source", plan.lead, _size(plan))]
        if plan.lead is None:
            steps.append(Explanation("source", (("condition", "every resource of the type"),), ()))
        steps += [condition_step("sought", part) for part in plan.rest]
        return Explanation("plan", tuple(figures), tuple(steps))

    def _access(self, rows: Sql) -> list[str]:
        """What SQLite says of how it walks its tables."""
        found = self._connection.execute(f"EXPLAIN QUERY PLAN {rows.text}", rows.args)
        return [str(row[3]) for row in found]


def _order(plan: Plan, *, ordered: bool) -> str:
    if not ordered:
        return "matches sorted" if plan.is_selective else "walk of the index of the first sort key"
    return "matches collected" if plan.is_selective else "walk in the order of creation"


def _size(plan: Plan) -> tuple[Figure, ...]:
    return (("rows", "many, or not counted" if plan.rows is None else plan.rows),)
