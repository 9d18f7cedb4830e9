"""What a leaf of the search language asks of the columns of one index row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias, assert_never

from fhirserver.search.expression import (
    Comparator,
    DateIs,
    Leaf,
    NumberIs,
    QuantityIs,
    ReferenceIs,
    StringIs,
    StringMode,
    Target,
    TokenIs,
    UriIs,
    UriMode,
)
from fhirserver.search.many import Many
from fhirserver.store.sqlite.among import among
from fhirserver.store.sqlite.dictionary import Dictionary
from fhirserver.store.sqlite.rows import Value, hash_of
from fhirserver.store.sqlite.sql import TRUE, Sql, all_of, any_of, one_of, one_of_pairs, sql

_LAST = "\U0010ffff"


class Columns(NamedTuple):
    """Where the parts of an entry stand; by default in a typed table with alias `d`."""

    code: str = "d.code"
    sid: str = "d.sid"
    folded: str = "d.folded"
    exact: str = "d.exact"
    low: str = "d.low"
    high: str = "d.high"
    extra: str = "d.extra"
    unit: str = "d.unit"
    target: str = "d.target"
    value: str = "d.value"
    hash: str | None = "d.hash"


def typed(alias: str) -> Columns:
    """The columns of a typed table under an alias."""
    return Columns(*(f"{alias}.{name}" for name in Columns._fields))


def slot(alias: str, k: int) -> Columns:
    """The columns of component `k` in the table of composites under an alias."""
    text, sid, low, high, extra, unit = (
        f"{alias}.{name}{k}" for name in ("text", "sid", "low", "high", "extra", "unit")
    )
    return Columns(text, sid, text, extra, low, high, extra, unit, low, text, None)


def condition(leaf: Leaf, at: Columns, names: Dictionary) -> Sql:
    """That the entry in these columns fulfils the leaf, as `match_entry` says."""
    match leaf:
        case TokenIs():
            return _token(leaf, at, names)
        case StringIs(_, mode, values):
            return _string(mode, values, at)
        case DateIs(_, comparator, start, end):
            return _DATES[comparator](at.low, at.high, start, end)
        case NumberIs():
            return _number(leaf, at)
        case QuantityIs():
            return all_of((_number(leaf, at), _unit(leaf, at, names)))
        case ReferenceIs(_, Many() as targets):
            return among(at.target, targets, names.type(targets[0].type or ""), names)
        case ReferenceIs(_, targets):
            return one_of(at.target, target_numbers(targets, names), is_sought=True)
        case UriIs(_, mode, values):
            return any_of(_uri(mode, value, at.value) for value in values)
        case _:
            assert_never(leaf)


def _token(leaf: TokenIs, at: Columns, names: Dictionary) -> Sql:
    codes = [value.code for value in leaf.values if value.system is None and value.code is not None]
    systems = [
        names.symbol(value.system)
        for value in leaf.values
        if value.code is None and value.system is not None
    ]
    pairs = [
        (value.code, names.symbol(value.system))
        for value in leaf.values
        if value.code is not None and value.system is not None
    ]
    if any(value == (None, None) for value in leaf.values):
        return Sql(f"{at.code} IS NOT NULL")
    return any_of((
        one_of(at.code, codes, is_sought=True),
        one_of(at.sid, systems, is_sought=True),
        one_of_pairs(at.code, at.sid, pairs),
    ))  # fmt: skip


def _string(mode: StringMode, values: Sequence[str], at: Columns) -> Sql:
    match mode:
        case StringMode.STARTS:
            return any_of(starts_with(at.folded, value) for value in values)
        case StringMode.CONTAINS:
            return any_of(sql(f"instr({at.folded}, ?) > 0", value) for value in values)
        case StringMode.EXACT:
            hashed = one_of(at.hash, [hash_of(value) for value in values]) if at.hash else TRUE
            return all_of((hashed, one_of(at.exact, values)))
        case StringMode.EQUALS:
            return all_of((one_of(at.folded, values), sql(f"{at.exact}<>''")))
        case StringMode.ENDS:
            ends = any_of(_ends_with(at.folded, value) for value in values)
            return all_of((ends, sql(f"{at.exact}<>''")))
        case _:
            assert_never(mode)


def _ends_with(column: str, suffix: str) -> Sql:
    return sql(f"substr({column}, ?)=?", -len(suffix), suffix) if suffix else TRUE


def starts_with(column: str, prefix: str) -> Sql:
    """That a text begins with the prefix, as a range of the index."""
    upper = _after_all(prefix)
    if upper is None:
        return sql(f"{column}>=?", prefix)
    return sql(f"({column}>=? AND {column}<?)", prefix, upper)


def _after_all(prefix: str) -> str | None:
    """The least text that follows every text with that prefix; None if there is none."""
    kept = prefix.rstrip(_LAST)
    if not kept:
        return None
    following = ord(kept[-1]) + 1
    if 0xD800 <= following <= 0xDFFF:
        following = 0xE000
    return kept[:-1] + chr(following)


def _date_equals(low: str, high: str, start: int, end: int) -> Sql:
    return sql(f"({low}>=? AND {high}<=?)", start, end)


_DateCondition: TypeAlias = Callable[[str, str, int, int], Sql]
_DATES: dict[Comparator, _DateCondition] = {
    "eq": _date_equals,
    "ne": lambda low, high, start, end: sql(f"({low}<? OR {high}>?)", start, end),
    "gt": lambda low, high, start, end: sql(f"{high}>?", end),
    "lt": lambda low, high, start, end: sql(f"{low}<?", start),
    "ge": lambda low, high, start, end: sql(
        f"({high}>? OR ({low}>=? AND {high}<=?))", end, start, end
    ),
    "le": lambda low, high, start, end: sql(
        f"({low}<? OR ({low}>=? AND {high}<=?))", start, start, end
    ),
    "sa": lambda low, high, start, end: sql(f"{low}>=?", end),
    "eb": lambda low, high, start, end: sql(f"{high}<=?", start),
    "ap": lambda low, high, start, end: sql(f"({low}<? AND {high}>?)", end, start),
}

_NUMBERS: dict[Comparator, str] = {
    "gt": "{high}>?",
    "lt": "{low}<?",
    "ge": "{high}>=?",
    "le": "{low}<=?",
    "sa": "{low}>?",
    "eb": "{high}<?",
}


def _number(leaf: NumberIs | QuantityIs, at: Columns) -> Sql:
    low, high = at.low, at.high
    if comparison := _NUMBERS.get(leaf.comparator):
        return sql(comparison.format(low=low, high=high), leaf.value)
    is_not = "NOT " if leaf.comparator == "ne" else ""
    text = f"{is_not}({low}>=? AND ({high}<? OR ({low}<{high} AND {high}=?)))"
    return sql(text, leaf.low, leaf.high, leaf.high)


def _unit(leaf: QuantityIs, at: Columns, names: Dictionary) -> Sql:
    sid = names.symbol(leaf.system) if leaf.system is not None else None
    code = names.symbol(leaf.code) if leaf.code is not None else None
    if sid is not None:
        is_system = sql(f"{at.sid}=?", sid)
        return all_of((is_system, sql(f"{at.extra}=?", code))) if code is not None else is_system
    if code is None:
        return TRUE
    return sql(f"({at.extra}=? OR {at.unit}=?)", code, code)


def target_numbers(targets: Sequence[Target], names: Dictionary) -> list[Value]:
    """The numbers of the resources that targets name; those never heard of left out."""
    found: dict[Value, None] = {}
    for target in targets:
        if target.type is None:
            for tid in names.types():
                found[names.resource(tid, target.id)] = None
        else:
            found[names.resource(names.type(target.type), target.id)] = None
    return [rid for rid in found if rid != -1]


def _uri(mode: UriMode, value: str, column: str) -> Sql:
    match mode:
        case UriMode.EQUALS:
            return sql(f"{column}=?", value)
        case UriMode.BELOW:
            return any_of((sql(f"{column}=?", value), starts_with(column, folder(value))))
        case UriMode.ABOVE:
            is_start = f"substr(?, 1, length({column}))={column}"
            is_whole = f"substr({column}, -1)='/' OR substr(?, length({column})+1, 1) IN ('', '/')"
            return sql(f"({is_start} AND ({is_whole}))", value, value)
        case _:
            assert_never(mode)


def folder(value: str) -> str:
    """The prefix that everything below a URI has."""
    return value if value.endswith("/") else value + "/"


def above(value: str) -> list[Value]:
    """All URIs that the value is below of, itself included."""
    cuts = [index for index, letter in enumerate(value) if letter == "/"]
    found = {value: None} | {value[:cut]: None for cut in cuts}
    return list(found | {value[: cut + 1]: None for cut in cuts})
