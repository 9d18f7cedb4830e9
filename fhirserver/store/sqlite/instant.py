"""`_lastUpdated`: comparisons with an instant that the store keeps in milliseconds."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from fhirserver.search.expression import DateIs
from fhirserver.store.sqlite.sql import TRUE, Sql, all_of, sql

_Bounds: TypeAlias = tuple[int | None, int | None]
_INSTANTS: dict[str, Callable[[int, int], _Bounds]] = {
    "eq": lambda start, end: (start, end),
    "ap": lambda start, end: (start, end),
    "gt": lambda start, end: (end, None),
    "sa": lambda start, end: (end, None),
    "ge": lambda start, end: (min(start, end), None),
    "lt": lambda start, end: (None, start),
    "eb": lambda start, end: (None, start),
    "le": lambda start, end: (None, max(start, end)),
}


def instant_condition(leaf: DateIs, column: str) -> Sql:
    """That an instant in milliseconds, as [instant, instant + 1 microsecond), fulfils the leaf."""
    if leaf.comparator == "ne":
        (least, greatest) = _INSTANTS["eq"](leaf.start, leaf.end)
        assert least is not None and greatest is not None
        return sql(f"({column}<? OR {column}>=?)", _milliseconds(least), _milliseconds(greatest))
    least, greatest = _INSTANTS[leaf.comparator](leaf.start, leaf.end)
    return all_of((
        TRUE if least is None else sql(f"{column}>=?", _milliseconds(least)),
        TRUE if greatest is None else sql(f"{column}<?", _milliseconds(greatest)),
    ))  # fmt: skip


def _milliseconds(microseconds: int) -> int:
    """The first whole millisecond that is not before."""
    return -(-microseconds // 1000)
