"""What comparisons of dates and numbers say about where entries begin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, assert_never

from fhirserver.model.temporal import DAY
from fhirserver.search.expression import DateIs, Leaf, NumberIs, QuantityIs
from fhirserver.store.sqlite.sql import Sql, sql


class Bounds(NamedTuple):
    """What a comparison says about `low` (None: no bound), for short entries.

    `longer`: entries that are longer may match below that bound; it is then on `high`.
    """

    least: int | float | None
    greatest: int | float | None
    longer: Sql | None = None


def bounds_of(leaf: Leaf) -> Bounds | None:
    """The bounds of a comparison; None for one that leaves out what lies between."""
    if isinstance(leaf, NumberIs | QuantityIs):
        return _number_bounds(leaf)
    return _date_bounds(leaf) if isinstance(leaf, DateIs) else None


def common(some: Sequence[Bounds]) -> Bounds | None:
    """Bounds of what lies within all of the bounds."""
    if len(some) < 2:
        return some[0] if some else None
    # Of lower bounds one is taken: better one that holds for long entries too.
    below = [found for found in some if found.least is not None]
    first = max(below, key=lambda found: (found.longer is None, found.least), default=None)
    greatest = min((found.greatest for found in some if found.greatest is not None), default=None)
    return Bounds(first and first.least, greatest, first and first.longer)


def _date_bounds(leaf: DateIs) -> Bounds | None:
    start, end = leaf.start, leaf.end
    match leaf.comparator:
        case "eq":
            return Bounds(start, end)
        case "lt":
            return Bounds(None, start)
        case "le":
            return Bounds(None, max(start, end))
        case "gt":
            return Bounds(end - DAY, None, sql("high>?", end))
        case "ge":
            least = min(start, end - DAY)
            return Bounds(least, None, sql("high>?", end))
        case "sa":
            return Bounds(end, None)
        case "eb":
            return Bounds(None, start)
        case "ap":
            return Bounds(start - DAY, end, sql("high>?", start))
        case "ne":
            return None
        case _:
            assert_never(leaf.comparator)


def _number_bounds(leaf: NumberIs | QuantityIs) -> Bounds | None:
    match leaf.comparator:
        case "eq" | "ap":
            return Bounds(leaf.low, leaf.high)
        case "gt" | "ge":
            return Bounds(leaf.value, None, sql("high>=?", leaf.value))
        case "lt" | "le" | "eb":
            return Bounds(None, leaf.value)
        case "sa":
            return Bounds(leaf.value, None)
        case "ne":
            return None
        case _:
            assert_never(leaf.comparator)
