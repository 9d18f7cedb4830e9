"""How an expression is answered: from which source, with which conditions sought per resource.

A plan is made for one type at a time, so that every parameter is one number. Of conditions
that must all hold, the one with the fewest rows leads (they are counted up to a limit, not
guessed), and the others are looked up resource by resource. When all are broad, resources
are taken in order, which fills a page quickly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import isqrt
from operator import itemgetter
from typing import cast

import apsw

from fhirserver.search.expression import (
    And,
    Chain,
    DateIs,
    Expression,
    Has,
    Near,
    Not,
    Or,
    TextIs,
    TypeIs,
)
from fhirserver.store.sqlite.bounds import Aliases
from fhirserver.store.sqlite.dictionary import UNKNOWN, Dictionary
from fhirserver.store.sqlite.position import near_source
from fhirserver.store.sqlite.seek import Seeker
from fhirserver.store.sqlite.source import (
    LAST_UPDATED,
    NO_ROWS,
    NO_SOURCE,
    Branch,
    Source,
    simple_source,
    span_source,
)
from fhirserver.store.sqlite.sql import TRUE, Sql, all_of, join, sql
from fhirserver.store.sqlite.words import words_source

PROBES = (32, 512, 8192)
"""Rows counted of each source, until one has fewer."""

_SWEEPS = (1 << 14, 1 << 17, 1 << 20)
_PAGE = 50
_FEW = 1024


def _nothing_more(rid: str) -> Sql:
    return TRUE


@dataclass(frozen=True, slots=True)
class Plan:
    """`source` None: all resources of the type. `rows`: how many the source has, None if many.

    `lead` is the condition that the source answers, `rest` those sought per resource.
    """

    tid: int
    source: Source | None
    rows: int | None
    lead: Expression | None
    rest: tuple[Expression, ...]

    @property
    def is_selective(self) -> bool:
        return self.rows is not None


class Planner:
    """Plans for one search; it remembers what it counted."""

    def __init__(self, connection: apsw.Connection, names: Dictionary) -> None:
        self._connection = connection
        self._names = names
        self._alias = Aliases()
        self._seeker = Seeker(names, self._alias, self)
        self._plans: dict[tuple[Expression, int], Plan] = {}
        self._sources: dict[tuple[Expression, int], Source | None] = {}

    @cached_property
    def last(self) -> int:
        """The greatest number that a resource has."""
        return int(self._connection.execute("SELECT max(rid) FROM resource").get or 0)

    @cached_property
    def _limits(self) -> tuple[int, ...]:
        """How far sources are counted: beyond the last limit, a source is broad.

        To collect n of N resources takes n steps; to meet a page of them on a walk in order
        takes a page times N / n. The limit is where the two are even.
        """
        even = max(_FEW, isqrt(_PAGE * self.last))
        return (*(limit for limit in PROBES if limit < even), min(even, PROBES[-1]))

    def plan(self, where: Expression, tid: int) -> Plan:
        known = self._plans.get((where, tid))
        if known is None:
            known = self._plans[where, tid] = self._choose(self.conjuncts(where, tid), tid)
        return known

    def conjuncts(self, where: Expression, tid: int) -> tuple[Expression, ...]:
        """The conditions that must all hold for a resource of the type.

        Those that are about the same date of a resource are one, an `And` of them.
        """
        parts = self._parts(where, tid)
        by_param: dict[str, list[DateIs]] = {}
        for part in parts:
            if isinstance(part, DateIs) and part.comparator != "ne":
                by_param.setdefault(part.param, []).append(part)
        for param, some in by_param.items():
            if len(some) > 1 and self.is_single(param, tid):
                parts = (*(part for part in parts if part not in some), And(tuple(some)))
        return parts

    def _parts(self, where: Expression, tid: int) -> tuple[Expression, ...]:
        if isinstance(where, And):
            return tuple(part for inner in where.parts for part in self._parts(inner, tid))
        if isinstance(where, TypeIs) and self._names.type_name(tid) in where.types:
            return ()
        return (where,)

    def is_single(self, param: str, tid: int) -> bool:
        """Whether no resource of the type has two dates under a parameter."""
        return param == LAST_UPDATED or not self._names.has_several(self._names.param(tid, param))

    def plan_in_order(self, where: Expression, tid: int) -> Plan:
        """A plan to take the first resources in order: a lone ordered source is not counted."""
        parts = self.conjuncts(where, tid)
        sources = self._sources_of(parts, tid)
        if len(sources) == 1 and sources[0][1].is_ordered:
            part, found = sources[0]
            return Plan(tid, found, None, part, _without(parts, part))
        return self.plan(where, tid)

    def _sources_of(
        self, parts: tuple[Expression, ...], tid: int
    ) -> list[tuple[Expression, Source]]:
        return [(part, found) for part in parts if (found := self._source(part, tid)) is not None]

    def smallest(self, where: Expression, tid: int) -> Plan:
        """A plan to read everything: from the smallest source, however many rows it has."""
        plan = self.plan(where, tid)
        parts = self.conjuncts(where, tid)
        sources = self._sources_of(parts, tid)
        if plan.is_selective or not sources:
            return plan
        fewest = self._fewest(sources, _SWEEPS) if len(sources) > 1 else None
        _, part, found = fewest or (0, *sources[0])
        return Plan(tid, found, None, part, _without(parts, part))

    def _fewest(
        self, sources: Sequence[tuple[Expression, Source]], limits: Sequence[int]
    ) -> tuple[int, Expression, Source] | None:
        """The source with the fewest rows, if it has fewer than the last limit."""
        for limit in limits if len(sources) > 1 else limits[-1:]:
            counted = [(self._count(found, limit), part, found) for part, found in sources]
            fewest = min(counted, key=itemgetter(0))
            if fewest[0] < limit:
                return fewest
        return None

    def _choose(self, parts: tuple[Expression, ...], tid: int) -> Plan:
        sources = self._sources_of(parts, tid)
        if not sources:
            return Plan(tid, None, None, None, parts)
        if fewest := self._fewest(sources, self._limits):
            rows, part, found = fewest
            return Plan(tid, found, rows, part, _without(parts, part))
        for part, found in sources:
            if found.is_ordered:
                return Plan(tid, found, None, part, _without(parts, part))
        return Plan(tid, None, None, None, parts)

    def _count(self, source: Source, limit: int) -> int:
        total = 0
        for branch in source.branches:
            rows = branch.select()
            statement = f"SELECT count(*) FROM ({rows.text} LIMIT ?)"
            total += self._connection.execute(statement, (*rows.args, limit - total)).get
            if total >= limit:
                break
        return total

    def _source(self, part: Expression, tid: int) -> Source | None:
        if (part, tid) not in self._sources:
            self._sources[part, tid] = self._find_source(part, tid)
        return self._sources[part, tid]

    def _find_source(self, part: Expression, tid: int) -> Source | None:
        match part:
            case Or(parts):
                return _joined([self._plan_source(inner, tid) for inner in parts])
            case And(parts):
                return span_source(cast(tuple[DateIs, ...], parts), tid, self._names, self._alias())
            case Chain(param, types, where):
                return _joined([
                    self._chain_source(param, where, tid, self._names.type(name)) for name in types
                ])  # fmt: skip
            case Has():
                return self._has_source(part)
            case TypeIs():
                return NO_SOURCE  # were it this type, it would be no condition
            case Not():
                return None
            case Near(param):
                pid = self._names.param(tid, param)
                return NO_SOURCE if pid == UNKNOWN else near_source(part, pid, self._alias())
            case TextIs():
                return words_source(part, self._alias())
            case _:
                return simple_source(part, tid, self._names, self._alias())

    def _plan_source(self, where: Expression, tid: int) -> Source | None:
        """A whole plan as a source, if it is selective."""
        plan = self.plan(where, tid)
        if plan.source is None or not plan.is_selective:
            return None
        if not plan.rest:
            return replace(plan.source, is_ordered=False)
        alias = self._alias()
        rows = self.select(plan)
        tables = Sql(f"({rows.text}) {alias}", rows.args)
        return Source((Branch(tables, f"{alias}.rid", TRUE),))

    def _chain_source(
        self, param: str, where: Expression, tid: int, target_type: int
    ) -> Source | None:
        """From the targets that match to those who refer to them."""
        pid = self._names.param(tid, param)
        if UNKNOWN in (pid, target_type):
            return NO_SOURCE
        return self._linked_source(self.plan(where, target_type), pid, "target", "rid", "target")

    def _has_source(self, has: Has) -> Source | None:
        """From the referring resources that match to those they refer to."""
        other = self._names.type(has.type)
        pid = self._names.param(other, has.param)
        if UNKNOWN in (pid, other):
            return NO_SOURCE
        found = self._linked_source(self.plan(has.where, other), pid, "rid", "target", None)
        return replace(found, is_typed=False) if found else None

    def _linked_source(
        self, inner: Plan, pid: int, near: str, far: str, index: str | None
    ) -> Source | None:
        if inner.source is None or not inner.is_selective:
            return None
        rows = self.select(inner)
        one, link = self._alias(), self._alias()
        by = f"INDEXED BY reference_{index}" if index else ""
        tables = Sql(f"({rows.text}) {one} CROSS JOIN reference {link} {by}", rows.args)
        where = sql(f"{link}.{near}={one}.rid AND {link}.pid=?", pid)
        return Source((Branch(tables, f"{link}.{far}", where),))

    def select(
        self, plan: Plan, more: Callable[[str], Sql] = _nothing_more, *, is_bag: bool = False
    ) -> Sql:
        """A statement that gives each resource of the plan once, in any order.

        `more` is a further condition on the number of a resource. Of a bag, a resource may
        come several times.
        """
        if plan.source is not None and not plan.source.branches:
            return NO_ROWS
        source = plan.source or self._whole_type(plan.tid)
        selects = [
            branch.select(more(branch.rid), self.rest(plan, branch.rid))
            for branch in source.branches
        ]
        if len(selects) == 1:
            return selects[0] if source.is_distinct or is_bag else _distinct(selects[0])
        union = "UNION ALL" if is_bag else "UNION"
        return join([selects[0], *(part for other in selects[1:] for part in (union, other))])

    def _whole_type(self, tid: int) -> Source:
        alias = self._alias()
        tables = sql(f"resource {alias} INDEXED BY resource_live")
        is_it = sql(f"{alias}.tid=? AND {alias}.live", tid)
        return Source((Branch(tables, f"{alias}.rid", is_it),), is_ordered=True, is_distinct=True)

    def rest(self, plan: Plan, rid: str) -> Sql:
        """What a row of the source must fulfil beyond being there."""
        conditions = [self._seeker.seek(part, plan.tid, rid) for part in plan.rest]
        if plan.source is not None and not plan.source.is_typed:
            conditions.insert(0, self._seeker.is_live(rid, (plan.tid,)))
        return all_of(conditions)

    def every(self, plan: Plan, rid: str) -> Sql:
        """All that a resource of the type must fulfil, when it comes from elsewhere."""
        parts = plan.rest if plan.lead is None else (plan.lead, *plan.rest)
        return all_of(self._seeker.seek(part, plan.tid, rid) for part in parts)

    def few(self, where: Expression, tid: int) -> Sql | None:
        """The resources that match, when they are few: better a set than sought one by one."""
        plan = self.plan(where, tid)
        return self.select(plan) if plan.source is not None and plan.is_selective else None

    def referred(self, has: Has) -> Sql | None:
        """What matching resources refer to, when those are few; it may not be there any more."""
        source = self._has_source(has)
        if source is None:
            return None
        return source.branches[0].select() if source.branches else NO_ROWS


def _distinct(select: Sql) -> Sql:
    return Sql(select.text.replace("SELECT", "SELECT DISTINCT", 1), select.args)


def _without(parts: tuple[Expression, ...], lead: Expression) -> tuple[Expression, ...]:
    return tuple(part for part in parts if part is not lead)


def _joined(sources: Sequence[Source | None]) -> Source | None:
    """All the sources together; None if one of them is none."""
    branches: list[Branch] = []
    is_typed = True
    for source in sources:
        if source is None:
            return None
        branches.extend(source.branches)
        is_typed = is_typed and source.is_typed
    return Source(tuple(branches), is_typed=is_typed)
