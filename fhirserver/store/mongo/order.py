"""Explicit orders: what resources are sorted by, in which phases, and what follows a cursor.

MongoDB puts what has no value before all others, and FHIR after them in both directions. In a
descending order that is the same. In an ascending one the first key makes two phases (those
that have a value, then those that have none, by the other keys), so that an index can give the
order, and a further key is sorted by a computed field in which the greatest of all values
stands for none.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cmp_to_key
from typing import Any, NamedTuple, TypeAlias

from bson import Int64, MaxKey

from fhirserver.errors import Invalid
from fhirserver.search.expression import Cursor, SortKey, TextIs
from fhirserver.search.score import SCORE, asked_words
from fhirserver.store.mongo.condition import Filter, all_of, any_of
from fhirserver.store.mongo.document import Json, field
from fhirserver.store.mongo.keys import WORDS_OF

SortValue: TypeAlias = int | float | str | None

_OWN = {"_id": "i", "_lastUpdated": "u"}
"""Parameters that every resource has, and their fields."""


class Column(NamedTuple):
    """A field to sort by. `is_total`: every resource has it. `computed`: what it is made from."""

    path: str
    is_descending: bool
    is_total: bool = False
    computed: Any = None


class Phase(NamedTuple):
    """A part of the order: the resources that fulfil `where`, by `sort`.

    `computed` are the fields of `sort` that are not stored, with their expressions.
    """

    where: Filter
    sort: list[tuple[str, int]]
    computed: Json


class Place(NamedTuple):
    """Where a page ended: the last number that the first page saw, the total, the number of the
    page's last resource, and the values of its columns."""

    snapshot: int
    total: int | None
    number: int
    values: tuple[SortValue, ...]

    @property
    def cursor(self) -> Cursor:
        return (self.snapshot, self.total, self.number, *self.values)


def place_of(cursor: Cursor | None, columns: Sequence[Column]) -> Place | None:
    """The place that a cursor names. Raises `Invalid` for one of another kind of request."""
    match cursor:
        case None:
            return None
        case (int(snapshot), int() | None as total, int(number), *values):
            if len(values) != len(columns):
                raise Invalid("This page link belongs to another order. Begin again.")
            return Place(snapshot, total, number, tuple(values))
        case _:
            raise Invalid("This page link is not one of a search. Begin again.")


def columns_of(sort: Sequence[SortKey]) -> list[Column]:
    """One column for each key that has an order."""
    out = []
    for key in sort:
        if key.param in _OWN:
            out.append(Column(_OWN[key.param], key.descending, is_total=True))
        elif key.param == SCORE:
            out.append(Column("score", key.descending, is_total=True, computed=_score(key.texts)))
        elif key.kind != "composite":
            least = "d" if key.descending else "a"
            out.append(Column(f"o.{field(key.param)}.{least}", key.descending))
    return out


def _score(texts: Sequence[TextIs]) -> Json:
    """As `fhirserver.search.score`, on the words and their number."""
    parts = []
    for text in texts:
        letter = WORDS_OF[text.param]
        asked = [letter + word for word in asked_words(text)]
        found = {"$size": {"$setIntersection": [{"$ifNull": ["$w", []]}, asked]}}
        size = {"$sqrt": {"$multiply": [len(asked), {"$ifNull": [f"$z.{letter}", 1]}]}}
        parts.append({"$divide": [found, size]})
    return {"$divide": [{"$add": [0.0, *parts]}, len(texts)]}


def is_timeless(columns: Sequence[Column]) -> bool:
    """Whether a resource that changes can still be put where it was."""
    return all(column.is_total and column.computed is None for column in columns)


def phases(
    columns: Sequence[Column], place: Place | None, where: Filter | None = None
) -> list[Phase]:
    """The parts of the order among those that fulfil `where`; the ones before the place left out.

    What has no value of a column is ordered by those behind it, in phases of their own.
    """
    within = where or {}
    if not columns or columns[0].is_total:
        return [_phase(columns, within, place)]
    path = columns[0].path
    out = []
    if place is None or place.values[0] is not None:
        out.append(_phase(columns, all_of([within, {path: {"$exists": True}}]), place))
        place = None
    rest = place._replace(values=place.values[1:]) if place else None
    return [*out, *phases(columns[1:], rest, all_of([within, {path: {"$exists": False}}]))]


def _phase(columns: Sequence[Column], where: Filter, place: Place | None) -> Phase:
    sort: list[tuple[str, int]] = []
    computed: Json = {}
    for n, column in enumerate(columns):
        path = column.path
        if column.computed is not None:
            computed[path] = column.computed
        elif n and not column.is_total and not column.is_descending:
            path = f"s{n}"
            computed[path] = {"$ifNull": [f"${column.path}", MaxKey()]}
        sort.append((path, -1 if column.is_descending else 1))
    parts = [where, follows(columns, place)] if place else [where]
    return Phase(all_of(parts), [*sort, ("n", 1)], computed)


def follows(columns: Sequence[Column], place: Place) -> Filter:
    """That a resource comes after the place, in the order of the columns and then numbers."""
    condition: Filter = {"n": {"$gt": Int64(place.number)}}
    for column, value in reversed(list(zip(columns, place.values, strict=True))):
        if value is None:
            condition = all_of([{column.path: {"$exists": False}}, condition])
            continue
        stored = Int64(value) if isinstance(value, int) else value
        later: list[Filter] = [{column.path: {"$lt" if column.is_descending else "$gt": stored}}]
        if not column.is_total:
            later.append({column.path: {"$exists": False}})
        condition = any_of([*later, all_of([{column.path: stored}, condition])])
    return condition


def values_of(found: Json, columns: Sequence[Column]) -> tuple[SortValue, ...]:
    """What a resource's document says that it is sorted by."""
    return tuple(_value(found, column.path) for column in columns)


def _value(found: Any, path: str) -> SortValue:
    for name in path.split("."):
        if not isinstance(found, dict) or name not in found:
            return None
        found = found[name]
    value: SortValue = int(found) if isinstance(found, int) else found
    return value


class Ranked(NamedTuple):
    """A resource's document with the values that it is sorted by."""

    found: Json
    values: tuple[SortValue, ...]


def in_order(ranked: Sequence[Ranked], columns: Sequence[Column]) -> list[Ranked]:
    """Resources from several places in one order; every column is total."""

    def compare(one: Ranked, other: Ranked) -> int:
        for column, a, b in zip(columns, one.values, other.values, strict=True):
            if a != b:
                return (1 if a > b else -1) * (-1 if column.is_descending else 1)  # type: ignore[operator]
        return int(one.found["n"]) - int(other.found["n"])

    return sorted(ranked, key=cmp_to_key(compare))


def is_after(ranked: Ranked, columns: Sequence[Column], place: Place) -> bool:
    """Whether a resource comes after a place; every column is total."""
    if int(ranked.found["n"]) == place.number:
        return False
    here = Ranked({"n": place.number}, place.values)
    first, second = in_order([here, ranked], columns)
    return second is ranked and first is here
