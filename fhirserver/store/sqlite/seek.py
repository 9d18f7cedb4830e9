"""Conditions on one resource whose number is known: what a plan asks of each candidate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from fhirserver.search.contained import is_contained
from fhirserver.search.expression import (
    And,
    Chain,
    CompositeIs,
    DateIs,
    Expression,
    Has,
    IdIs,
    Leaf,
    Missing,
    Near,
    Not,
    NumberIs,
    Or,
    QuantityIs,
    ReferenceIs,
    StringIs,
    TextIs,
    TokenIs,
    TypeIs,
    UriIs,
)
from fhirserver.search.many import Many
from fhirserver.store.sqlite.among import among
from fhirserver.store.sqlite.condition import condition, slot, typed
from fhirserver.store.sqlite.dictionary import UNKNOWN, Dictionary
from fhirserver.store.sqlite.instant import instant_condition
from fhirserver.store.sqlite.position import is_near
from fhirserver.store.sqlite.rows import SLOTS
from fhirserver.store.sqlite.source import ALWAYS_PRESENT, LAST_UPDATED, NO_ROWS, local_ids
from fhirserver.store.sqlite.sql import FALSE, TRUE, Sql, all_of, any_of, negated, one_of, sql
from fhirserver.store.sqlite.words import has_words

_TABLE_OF: dict[type, str] = {
    TokenIs: "token",
    StringIs: "string",
    DateIs: "date",
    NumberIs: "number",
    QuantityIs: "quantity",
    ReferenceIs: "reference",
    UriIs: "uri",
}


class Sets(Protocol):
    """What a seeker asks of a planner: better a small set than to seek one by one."""

    def few(self, where: Expression, tid: int) -> Sql | None:
        """The resources of a type that match, when they are few."""

    def referred(self, has: Has) -> Sql | None:
        """What matching resources refer to, when they are few."""


class Seeker:
    """Lowers expressions to conditions in SQL."""

    def __init__(self, names: Dictionary, alias: Callable[[], str], sets: Sets) -> None:
        self._names = names
        self._alias = alias
        self._sets = sets

    def seek(self, part: Expression, tid: int, rid: str) -> Sql:
        """That the resource numbered `rid`, of the type, fulfils the expression."""
        match part:
            case And(parts):
                return all_of(self.seek(inner, tid, rid) for inner in parts)
            case Or(parts):
                return any_of(self.seek(inner, tid, rid) for inner in parts)
            case Not(inner):
                return negated(self.seek(inner, tid, rid))
            case TypeIs(types):
                return TRUE if self._names.type_name(tid) in types else FALSE
            case IdIs():
                return self._seek_ids(part, tid, rid)
            case Missing():
                return self._seek_presence(part, tid, rid)
            case Chain():
                return self._seek_chain(part, tid, rid)
            case Has():
                return self._seek_has(part, rid)
            case Near():
                return self._seek_near(part, tid, rid)
            case TextIs():
                return has_words(part, rid, self._alias())
            case CompositeIs():
                return self._seek_composite(part, tid, rid)
            case _:
                return self._seek_leaf(part, tid, rid)

    def _seek_ids(self, part: IdIs, tid: int, rid: str) -> Sql:
        if is_contained(self._names.type_name(tid)):
            return self._seek_leaf(local_ids(part), tid, rid)
        if isinstance(part.ids, Many):
            return among(rid, part.ids, tid, self._names)
        numbers = [self._names.resource(tid, one) for one in part.ids]
        return one_of(rid, [number for number in numbers if number != UNKNOWN])

    def _seek_near(self, near: Near, tid: int, rid: str) -> Sql:
        alias = self._alias()
        row = self._row_of(alias, tid, near.param, rid)
        return FALSE if row is None else _exists(f"position {alias}", row, is_near(near, alias))

    def _seek_leaf(self, leaf: Leaf, tid: int, rid: str) -> Sql:
        if isinstance(leaf, DateIs) and leaf.param == LAST_UPDATED:
            alias = self._alias()
            holds = instant_condition(leaf, f"{alias}.instant")
            return _exists(f"resource {alias}", sql(f"{alias}.rid={rid}"), holds)
        table, alias = _TABLE_OF[type(leaf)], self._alias()
        row = self._row_of(alias, tid, leaf.param, rid) if leaf.param is not None else None
        if row is None:
            if leaf.param is not None:
                return FALSE
            row = sql(f"{alias}.rid={rid}")
        holds = condition(leaf, typed(alias), self._names)
        return FALSE if holds == FALSE else _exists(f"{table} {alias}", row, holds)

    def _row_of(self, alias: str, tid: int, code: str, rid: str) -> Sql | None:
        """That a row is the resource's of a parameter; None if no resource of the type has it."""
        pid = self._names.param(tid, code)
        return None if pid == UNKNOWN else sql(f"{alias}.rid={rid} AND {alias}.pid=?", pid)

    def _seek_presence(self, part: Missing, tid: int, rid: str) -> Sql:
        if part.param in ALWAYS_PRESENT:
            return FALSE if part.missing else TRUE
        places = ((part.kind, part.param), ("token", f"{part.param}:present"))
        found = []
        for table, code in places:
            alias = self._alias()
            if row := self._row_of(alias, tid, code, rid):
                found.append(_exists(f"{table} {alias}", row))
        return negated(any_of(found)) if part.missing else any_of(found)

    def _seek_composite(self, part: CompositeIs, tid: int, rid: str) -> Sql:
        alias = self._alias()
        row = self._row_of(alias, tid, part.param, rid)
        if row is None:
            return FALSE
        holds = [
            condition(leaf, slot(alias, k), self._names)
            for k, leaf in enumerate(part.components[:SLOTS])
        ]
        return _exists(f"composite {alias}", row, *holds)

    def _seek_chain(self, chain: Chain, tid: int, rid: str) -> Sql:
        link = self._alias()
        row = self._row_of(link, tid, chain.param, rid)
        if row is None:
            return FALSE
        target = f"{link}.target"
        within, sought = [], dict[Sql, list[int]]()
        for target_type in {self._names.type(name) for name in chain.types} - {UNKNOWN}:
            rows = self._sets.few(chain.where, target_type)
            if rows is None:
                holds = self.seek(chain.where, target_type, target)
                sought.setdefault(holds, []).append(target_type)
            else:
                within.append(_within(target, rows))
        within += [all_of((self.is_live(target, tids), holds)) for holds, tids in sought.items()]
        holds = any_of(within)
        return FALSE if holds == FALSE else _exists(f"reference {link}", row, holds)

    def _seek_has(self, has: Has, rid: str) -> Sql:
        other = self._names.type(has.type)
        pid = self._names.param(other, has.param)
        if UNKNOWN in (pid, other):
            return FALSE
        rows = self._sets.referred(has)
        if rows is not None:
            return _within(rid, rows)
        link = self._alias()
        holds = self.seek(has.where, other, f"{link}.rid")
        row = sql(f"{link}.target={rid} AND {link}.pid=?", pid)
        return FALSE if holds == FALSE else _exists(f"reference {link}", row, holds)

    def is_live(self, rid: str, tids: Sequence[int]) -> Sql:
        """That a resource is a current one of the types."""
        alias = self._alias()
        return _exists(
            f"resource {alias}",
            sql(f"{alias}.rid={rid} AND {alias}.live"),
            one_of(f"{alias}.tid", tids),
        )


def _exists(table: str, *where: Sql) -> Sql:
    holds = all_of(where)
    return Sql(f"EXISTS (SELECT 1 FROM {table} WHERE {holds.text})", holds.args)


def _within(rid: str, rows: Sql) -> Sql:
    """That the number is in a set; the plus keeps SQLite from looking up each of the set."""
    return FALSE if rows == NO_ROWS else Sql(f"+{rid} IN ({rows.text})", rows.args)
