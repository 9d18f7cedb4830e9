"""Conditions on one value: on a subdocument of ranges or a component of a tuple."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, TypeAlias, assert_never

from bson import Int64

from fhirserver.search.distance import bounds
from fhirserver.search.expression import (
    Comparator,
    DateIs,
    Leaf,
    Near,
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
from fhirserver.store.mongo.keys import after_prefix

Filter: TypeAlias = dict[str, Any]

NEVER: Final[Filter] = {"i": {"$in": []}}
"""What no document fulfils."""


def all_of(parts: list[Filter]) -> Filter:
    """That all hold; of none: everything."""
    wanted = [part for part in parts if part]
    if NEVER in wanted:
        return NEVER
    return wanted[0] if len(wanted) == 1 else {"$and": wanted} if wanted else {}


def any_of(parts: list[Filter]) -> Filter:
    """That one holds at least; of none: nothing."""
    if {} in parts:
        return {}
    wanted = [part for part in parts if part != NEVER]
    return wanted[0] if len(wanted) == 1 else {"$or": wanted} if wanted else NEVER


def negated(part: Filter) -> Filter:
    """That it does not hold."""
    return {} if part == NEVER else NEVER if not part else {"$nor": [part]}


def begins(prefix: str) -> Filter:
    """The bounds of the texts that begin with the prefix."""
    end = after_prefix(prefix)
    return {"$gte": prefix} if end is None else {"$gte": prefix, "$lt": end}


def contains(value: str, before: str = "") -> Filter:
    """The texts that begin with `before` and have `value` anywhere after it."""
    return {"$regex": f"^{re.escape(before)}[\\s\\S]*{re.escape(value)}"}


def paths_above(value: str) -> list[str]:
    """The URIs that a URI is below of, or equal to: whole segments of it."""
    ends = [place for place, letter in enumerate(value) if letter == "/"]
    above = {value[:place] for place in ends} | {value[: place + 1] for place in ends}
    return [value, *sorted(above - {value})]


def date_condition(leaf: DateIs, prefix: str = "") -> Filter:
    """On `v` and `w`, the bounds of an interval."""
    return DATES[leaf.comparator](f"{prefix}v", f"{prefix}w", Int64(leaf.start), Int64(leaf.end))


def number_condition(leaf: NumberIs | QuantityIs, prefix: str = "") -> Filter:
    """On `v` and `w`, the bounds of a number, and on the unit of a quantity."""
    low, high = f"{prefix}v", f"{prefix}w"
    parts = [_number(leaf, low, high)]
    if isinstance(leaf, QuantityIs):
        parts.append(_unit(leaf, prefix))
    return all_of(parts)


def box_condition(near: Near) -> Filter:
    """On `v` and `w`, a latitude and a longitude: the box that holds the circle."""
    box = bounds(near.latitude, near.longitude, near.metres)
    sides = [{"w": {"$gte": west, "$lte": east}} for west, east in box.longitudes]
    return {"v": {"$gte": box.south, "$lte": box.north}, **any_of(sides)}


def component_condition(leaf: Leaf, prefix: str) -> Filter:
    """On a component of a tuple, which stands at `prefix`."""
    match leaf:
        case TokenIs(_, values):
            return any_of([
                _given({f"{prefix}s": value.system, f"{prefix}c": value.code}, f"{prefix}c")
                for value in values
            ])  # fmt: skip
        case StringIs(_, mode, values):
            return any_of([_text(mode, value, prefix) for value in values])
        case DateIs():
            return all_of([{f"{prefix}w": {"$exists": True}}, date_condition(leaf, prefix)])
        case NumberIs() | QuantityIs():
            return all_of([{f"{prefix}w": {"$exists": True}}, number_condition(leaf, prefix)])
        case ReferenceIs(_, targets):
            return any_of([_target(target, prefix) for target in targets])
        case UriIs(_, mode, values):
            return any_of([_uri(mode, value, f"{prefix}v") for value in values])
        case _:
            assert_never(leaf)


def _dates_equal(low: str, high: str, start: int, end: int) -> Filter:
    return {low: {"$gte": start}, high: {"$lte": end}}


def _either(*parts: Filter) -> Filter:
    return {"$or": list(parts)}


DATES: Final[dict[Comparator, Callable[[str, str, int, int], Filter]]] = {
    "eq": _dates_equal,
    "ne": lambda low, high, start, end: _either({low: {"$lt": start}}, {high: {"$gt": end}}),
    "gt": lambda low, high, start, end: {high: {"$gt": end}},
    "lt": lambda low, high, start, end: {low: {"$lt": start}},
    "ge": lambda low, high, start, end: _either(
        {high: {"$gt": end}}, _dates_equal(low, high, start, end)
    ),
    "le": lambda low, high, start, end: _either(
        {low: {"$lt": start}}, _dates_equal(low, high, start, end)
    ),
    "sa": lambda low, high, start, end: {low: {"$gte": end}},
    "eb": lambda low, high, start, end: {high: {"$lte": start}},
    "ap": lambda low, high, start, end: {low: {"$lt": end}, high: {"$gt": start}},
}


def _number(leaf: NumberIs | QuantityIs, low: str, high: str) -> Filter:
    match leaf.comparator:
        case "eq" | "ap":
            return {
                low: {"$gte": leaf.low},
                "$or": [{high: {"$lt": leaf.high}}, {high: leaf.high, low: {"$lt": leaf.high}}],
            }
        case "ne":
            return _either(
                {low: {"$lt": leaf.low}},
                {high: {"$gt": leaf.high}},
                {high: leaf.high, low: {"$gte": leaf.high}},
            )
        case "gt":
            return {high: {"$gt": leaf.value}}
        case "lt":
            return {low: {"$lt": leaf.value}}
        case "ge":
            return {high: {"$gte": leaf.value}}
        case "le":
            return {low: {"$lte": leaf.value}}
        case "sa":
            return {low: {"$gt": leaf.value}}
        case "eb":
            return {high: {"$lt": leaf.value}}
        case _:
            assert_never(leaf.comparator)


def _unit(leaf: QuantityIs, prefix: str) -> Filter:
    if leaf.system is not None:
        return _given({f"{prefix}s": leaf.system, f"{prefix}c": leaf.code}, f"{prefix}u")
    if leaf.code is None:
        return {f"{prefix}u": {"$exists": True}}
    return _either({f"{prefix}c": leaf.code}, {f"{prefix}u": leaf.code})


def _given(values: dict[str, str | None], always: str) -> Filter:
    """That fields have the values that are given, or with none, that one is there."""
    return {name: value for name, value in values.items() if value is not None} or {
        always: {"$exists": True}
    }


def _text(mode: StringMode, value: str, prefix: str) -> Filter:
    match mode:
        case StringMode.STARTS:
            return {f"{prefix}f": begins(value)}
        case StringMode.CONTAINS:
            return {f"{prefix}f": contains(value)}
        case StringMode.EXACT:
            return {f"{prefix}x": value}
        case StringMode.EQUALS:
            return {f"{prefix}f": value, f"{prefix}x": {"$gt": ""}}
        case StringMode.ENDS:
            return {f"{prefix}f": {"$regex": f"{re.escape(value)}\\z"}, f"{prefix}x": {"$gt": ""}}
        case _:
            assert_never(mode)


def _target(target: Target, prefix: str) -> Filter:
    if target.type is None:
        return {f"{prefix}k": {"$gt": ""}, f"{prefix}i": target.id}
    return {f"{prefix}k": target.type, f"{prefix}i": target.id}


def _uri(mode: UriMode, value: str, name: str) -> Filter:
    match mode:
        case UriMode.EQUALS:
            return {name: value}
        case UriMode.BELOW:
            return _either({name: value}, {name: begins(below(value))})
        case UriMode.ABOVE:
            return {name: {"$in": paths_above(value)}}
        case _:
            assert_never(mode)


def below(value: str) -> str:
    """What all URIs below the value begin with."""
    return value if value.endswith("/") else value + "/"
