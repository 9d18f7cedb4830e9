"""Ranges of an index that give the resources of one condition: what a search can start from.

A source is exact: its rows are those, and only those, that fulfil the condition.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias, assert_never

from fhirserver.search.contained import LOCAL_ID, is_contained
from fhirserver.search.expression import (
    CompositeIs,
    DateIs,
    IdIs,
    Leaf,
    Missing,
    NumberIs,
    QuantityIs,
    ReferenceIs,
    StringIs,
    StringMode,
    TokenIs,
    TokenValue,
    UriIs,
    UriMode,
)
from fhirserver.search.many import Many
from fhirserver.store.sqlite.condition import (
    above,
    condition,
    folder,
    slot,
    starts_with,
    target_numbers,
    typed,
)
from fhirserver.store.sqlite.dictionary import UNKNOWN, Dictionary
from fhirserver.store.sqlite.instant import instant_condition
from fhirserver.store.sqlite.interval import bounds_of, common
from fhirserver.store.sqlite.rows import SLOTS
from fhirserver.store.sqlite.sql import FALSE, TRUE, Sql, all_of, one_of, sql

_MOST_BRANCHES = 16
_MOST_SEGMENTS = 64
LAST_UPDATED = "_lastUpdated"

Simple: TypeAlias = Leaf | CompositeIs | IdIs | Missing


NO_ROWS = sql("SELECT 0 AS rid WHERE 0")


class Branch(NamedTuple):
    """Rows whose `rid` column gives resources; the table has the alias in front of it."""

    tables: Sql
    rid: str
    where: Sql

    def select(self, *more: Sql) -> Sql:
        where = all_of((self.where, *more))
        if where == FALSE:
            return NO_ROWS
        return Sql(
            f"SELECT {self.rid} AS rid FROM {self.tables.text} WHERE {where.text}",
            self.tables.args + where.args,
        )


@dataclass(frozen=True, slots=True)
class Source:
    """Branches that together give the resources of a condition.

    `is_ordered`: there is one branch, and it runs in the order of rid. `is_distinct`: no
    resource comes twice. `is_typed`: all are current resources of the type asked for.
    """

    branches: tuple[Branch, ...]
    is_ordered: bool = False
    is_distinct: bool = False
    is_typed: bool = True


NO_SOURCE = Source((), is_distinct=True)


def simple_source(part: Simple, tid: int, names: Dictionary, alias: str) -> Source | None:
    """The source of a condition that looks at one resource only; None if no index has it."""
    match part:
        case IdIs(Many()) | ReferenceIs(_, Many()):
            return None  # most resources are of them, or of the others: it is looked at, not sought
        case IdIs(ids):
            if is_contained(names.type_name(tid)):
                return simple_source(local_ids(part), tid, names, alias)
            return _ids(ids, tid, alias)
        case Missing():
            return None if part.missing else _present(part, tid, names, alias)
        case DateIs(param="_lastUpdated"):
            return _last_updated((part,), tid, alias)
        case ReferenceIs(param=None):
            return _any_reference(part, tid, names, alias)
        case _:
            assert part.param is not None
            pid = names.param(tid, part.param)
            return NO_SOURCE if pid == UNKNOWN else _indexed(part, pid, names, alias)


def span_source(
    leaves: tuple[DateIs, ...], tid: int, names: Dictionary, alias: str
) -> Source | None:
    """The source of comparisons with the only date that a resource has under a parameter."""
    param = leaves[0].param
    if param == LAST_UPDATED:
        return _last_updated(leaves, tid, alias)
    pid = names.param(tid, param)
    return NO_SOURCE if pid == UNKNOWN else _range(leaves, pid, names, alias)


def _indexed(part: Leaf | CompositeIs, pid: int, names: Dictionary, alias: str) -> Source | None:
    match part:
        case TokenIs():
            return _token(part, pid, names, alias)
        case StringIs():
            return _string(part, pid, names, alias)
        case DateIs() | NumberIs() | QuantityIs():
            return _range((part,), pid, names, alias)
        case ReferenceIs():
            return _reference(part, pid, names, alias)
        case UriIs():
            return _uri(part, pid, alias)
        case CompositeIs():
            return _composite(part, pid, names, alias)
        case _:
            assert_never(part)


def _branch(table: str, index: str, alias: str, *where: Sql) -> Branch:
    return Branch(sql(f"{table} {alias} INDEXED BY {index}"), f"{alias}.rid", all_of(where))


def _token(leaf: TokenIs, pid: int, names: Dictionary, alias: str) -> Source | None:
    codes = tuple(dict.fromkeys(value.code for value in leaf.values))
    if None in codes:
        return None
    where = [sql(f"{alias}.pid=?", pid), one_of(f"{alias}.code", codes)]
    if any(value.system is not None for value in leaf.values):
        where.append(condition(leaf, typed(alias), names))
    is_one = len(leaf.values) == 1
    branch = _branch("token", "token_value", alias, *where)
    return Source((branch,), is_one, is_one and leaf.values[0].system is not None)


def _string(leaf: StringIs, pid: int, names: Dictionary, alias: str) -> Source | None:
    at = typed(alias)
    is_param = sql(f"{alias}.pid=?", pid)
    match leaf.mode:
        case StringMode.STARTS if len(leaf.values) <= _MOST_BRANCHES:
            ranges = [starts_with(at.folded, value) for value in leaf.values]
            return Source(
                tuple(_branch("string", "string_value", alias, is_param, part) for part in ranges)
            )
        case StringMode.EXACT if "" not in leaf.values:
            is_value = condition(leaf, at, names)
            is_exact = sql(f"{alias}.exact<>''")
            return Source((_branch("string", "string_exact", alias, is_param, is_value, is_exact),))
        case StringMode.EQUALS:
            is_value = condition(leaf, at, names)
            return Source((_branch("string", "string_value", alias, is_param, is_value),))
        case _:
            return None


def _range(
    leaves: Sequence[DateIs | NumberIs | QuantityIs], pid: int, names: Dictionary, alias: str
) -> Source | None:
    """The rows that fulfil all of the leaves."""
    table = _TABLES[type(leaves[0])]
    bounds = common([found for leaf in leaves if (found := bounds_of(leaf)) is not None])
    if bounds is None:
        return None
    is_param = sql(f"{alias}.pid=?", pid)
    is_it = all_of(condition(leaf, typed(alias), names) for leaf in leaves)
    least = TRUE if bounds.least is None else sql(f"{alias}.low>=?", bounds.least)
    greatest = TRUE if bounds.greatest is None else sql(f"{alias}.low<=?", bounds.greatest)
    branches = [_branch(table, f"{table}_value", alias, is_param, least, greatest, is_it)]
    if bounds.longer is not None:
        is_long = sql(LONG[table].format(a=alias))
        after = Sql(f"{alias}.{bounds.longer.text}", bounds.longer.args)
        below = sql(f"{alias}.low<?", bounds.least)
        branches.append(
            _branch(table, f"{table}_long", alias, is_param, is_long, after, below, is_it)
        )
    return Source(tuple(branches))


_TABLES: dict[type, str] = {DateIs: "date", NumberIs: "number", QuantityIs: "quantity"}
LONG = {
    "date": "{a}.high - {a}.low > 86400000000",
    "number": "{a}.high > {a}.low",
    "quantity": "{a}.high > {a}.low",
}


def _reference(leaf: ReferenceIs, pid: int, names: Dictionary, alias: str) -> Source:
    rids = target_numbers(leaf.targets, names)
    if not rids:
        return NO_SOURCE
    where = one_of(f"{alias}.target", rids), sql(f"{alias}.pid=?", pid)
    is_one = len(rids) == 1
    return Source((_branch("reference", "reference_target", alias, *where),), is_one, is_one)


def _any_reference(leaf: ReferenceIs, tid: int, names: Dictionary, alias: str) -> Source:
    rids = target_numbers(leaf.targets, names)
    if not rids:
        return NO_SOURCE
    branch = _branch("reference", "reference_target", alias, one_of(f"{alias}.target", rids))
    return Source((branch,), is_typed=False)


def _uri(leaf: UriIs, pid: int, alias: str) -> Source | None:
    is_param = sql(f"{alias}.pid=?", pid)
    column = f"{alias}.value"
    conditions: list[Sql]
    match leaf.mode:
        case UriMode.EQUALS:
            conditions = [one_of(column, leaf.values)]
        case UriMode.ABOVE:
            if sum(value.count("/") for value in leaf.values) > _MOST_SEGMENTS:
                return None
            conditions = [one_of(column, [uri for value in leaf.values for uri in above(value)])]
        case UriMode.BELOW:
            conditions = [one_of(column, leaf.values)]
            conditions += [starts_with(column, folder(value)) for value in leaf.values]
        case _:
            assert_never(leaf.mode)
    if len(conditions) > _MOST_BRANCHES:
        return None
    is_one = leaf.mode is UriMode.EQUALS and len(leaf.values) == 1
    branches = tuple(_branch("uri", "uri_value", alias, is_param, part) for part in conditions)
    return Source(branches, is_one, is_one)


def _composite(part: CompositeIs, pid: int, names: Dictionary, alias: str) -> Source:
    where = [sql(f"{alias}.pid=?", pid)]
    longer: tuple[Sql, ...] | None = None
    for k, leaf in enumerate(part.components[:SLOTS]):
        at = slot(alias, k)
        where.append(condition(leaf, at, names))
        if k < _INDEXED_SLOTS:
            where.extend(sql(text.format(at=at)) for text in _UNUSED.get(type(leaf), ()))
            where.extend(_implied(leaf, alias, k))
        if k == _INDEXED_SLOTS - 1:
            longer = _longer(leaf, alias, k)
    if longer is None:
        return Source((_branch("composite", "composite_value", alias, *where),))
    least, *rest = longer
    return Source((
        _branch("composite", "composite_value", alias, *where, least),
        _branch("composite", "composite_long", alias, *where, *rest),
    ))  # fmt: skip


_INDEXED_SLOTS = 2


_UNUSED: dict[type, tuple[str, ...]] = {
    TokenIs: ("{at.low} IS NULL",),
    StringIs: ("{at.low} IS NULL",),
    UriIs: ("{at.low} IS NULL",),
    DateIs: ("{at.code} IS NULL",),
    NumberIs: ("{at.code} IS NULL",),
    QuantityIs: ("{at.code} IS NULL",),
    ReferenceIs: ("{at.code} IS NULL",),
}
"""Columns that a component leaves empty, so that the index is used beyond them."""


def _implied(leaf: Leaf, alias: str, k: int) -> list[Sql]:
    """Bounds of `low` and codes that follow from the condition, in the form an index takes."""
    if isinstance(leaf, TokenIs):
        codes = tuple(dict.fromkeys(value.code for value in leaf.values))
        return [] if None in codes else [one_of(f"{alias}.text{k}", codes)]
    bounds = bounds_of(leaf)
    if bounds is None:
        return []
    out = []
    if bounds.least is not None and bounds.longer is None:
        out.append(sql(f"{alias}.low{k}>=?", bounds.least))
    if bounds.greatest is not None:
        out.append(sql(f"{alias}.low{k}<=?", bounds.greatest))
    return out


def _longer(leaf: Leaf, alias: str, k: int) -> tuple[Sql, ...] | None:
    """For a leaf that long entries fulfil below its bound: the bound, and what those fulfil."""
    bounds = bounds_of(leaf)
    if bounds is None or bounds.longer is None:
        return None
    low, high = f"{alias}.low{k}", f"{alias}.high{k}"
    return (
        sql(f"{low}>=?", bounds.least),
        sql(f"{low}<?", bounds.least),
        sql(f"{high}>{low}"),
        Sql(bounds.longer.text.replace("high", high), bounds.longer.args),
    )


def local_ids(part: IdIs) -> TokenIs:
    """The same condition on contained resources, whose ids within the container are tokens."""
    return TokenIs(LOCAL_ID, tuple(TokenValue(None, one) for one in part.ids))


def _ids(ids: Sequence[str], tid: int, alias: str) -> Source:
    # Without the index named, SQLite walks all resources to have them in the order of rid.
    where = (sql(f"{alias}.tid=?", tid), one_of(f"{alias}.id", ids), sql(f"{alias}.live"))
    return Source((_branch("resource", "resource_id", alias, *where),), is_distinct=True)


def _present(part: Missing, tid: int, names: Dictionary, alias: str) -> Source | None:
    if part.param in ALWAYS_PRESENT or part.kind not in PARAM_INDEX:
        return None
    places = ((part.kind, part.param), ("token", f"{part.param}:present"))
    branches = [
        _branch(table, PARAM_INDEX[table], alias, sql(f"{alias}.pid=?", pid))
        for table, code in places
        if (pid := names.param(tid, code)) != UNKNOWN
    ]
    return Source(tuple(branches)) if branches else NO_SOURCE


ALWAYS_PRESENT = ("_id", LAST_UPDATED)
PARAM_INDEX = {  # none for references: their index begins with the target
    name: f"{name}_value"
    for name in ("token", "string", "date", "number", "quantity", "uri", "composite")
}


def _last_updated(leaves: Sequence[DateIs], tid: int, alias: str) -> Source | None:
    if any(leaf.comparator == "ne" for leaf in leaves):
        return None
    where = (
        sql(f"{alias}.tid=?", tid),
        sql(f"{alias}.live"),
        *(instant_condition(leaf, f"{alias}.instant") for leaf in leaves),
    )
    branch = _branch("resource", "resource_instant", alias, *where)
    return Source((branch,), is_distinct=True)
