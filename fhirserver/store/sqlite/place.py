"""Where a page of a search ended, and what a later page leaves out."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from fhirserver.errors import Invalid
from fhirserver.search.expression import Cursor
from fhirserver.store.sqlite.order import SortValue
from fhirserver.store.sqlite.sql import Sql, sql

OfRid: TypeAlias = Callable[[str], Sql]
"""A condition on the resource whose number an expression gives."""


class Place(NamedTuple):
    """The last commit that the first page saw, the total, and the last resource of the page.

    `values` are those of the sort keys.
    """

    snapshot: int
    total: int | None
    rid: int
    values: tuple[SortValue, ...]

    @property
    def cursor(self) -> Cursor:
        return (self.snapshot, self.total, self.rid, *self.values)


def place_of(cursor: Cursor | None) -> Place | None:
    """The place that a cursor names. Raises `Invalid` for one of another kind of request."""
    match cursor:
        case None:
            return None
        case (int(snapshot), int() | None as total, int(rid), *values):
            return Place(snapshot, total, rid, tuple(values))
        case _:
            raise Invalid("This page link is not one of a search. Begin again.")


def was_there(place: Place) -> OfRid:
    """That a resource had been created when the first page was read."""
    return lambda rid: sql(f"(SELECT created FROM resource WHERE rid={rid})<=?", place.snapshot)


def is_unchanged(place: Place) -> OfRid:
    """That a resource has no version since the first page was read."""
    return lambda rid: sql(f"(SELECT vid FROM resource WHERE rid={rid})<=?", place.snapshot)
