"""Orders by hashed values: what matches is opened, sorted here, and given page by page.

For as much as a person looks through; a search that finds more is to be narrowed first. Equal
ones come by type and id. A page link tells where in the order it goes on, by the values
themselves, so that it holds whatever changes meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final, NamedTuple, TypeAlias

from fhirserver.errors import Invalid, NotSupported, TooCostly
from fhirserver.model.json import decode
from fhirserver.search.contained import is_contained
from fhirserver.search.entry import Date, Entry, Number, Quantity, String, Token, Uri
from fhirserver.search.expression import And, Cursor, IdIs, Kind, Query, SortKey, TypeIs
from fhirserver.search.index import Indexer
from fhirserver.search.match import Document, in_order, sort_value
from fhirserver.store.port import Key, SearchPage, Version

MOST: Final = 1000
"""How many resources are opened to be sorted."""

_AT_ONCE: Final = 100
_MARK: Final = "sorted"
_OWN: Final = frozenset({"_id", "_lastUpdated"})

Search: TypeAlias = Callable[[Query], Awaitable[SearchPage]]
Scalar: TypeAlias = int | float | str | None

_ENTRIES: Final[dict[Kind, Callable[..., Entry]]] = {
    "string": lambda folded: String(folded, folded or " "),
    "token": lambda code, system: Token(system, code),
    "date": lambda start: Date(start, start),
    "number": lambda low: Number(low, low),
    "quantity": lambda low: Quantity(low, low, "", "", ""),
    "uri": Uri,
}
"""An entry that is sorted by a value, by the kind of the parameter."""


class _Place(NamedTuple):
    """Where a page ended. `first` is the first resource of the store's own order, `walk` where
    that goes on: together all that was there when the first page was asked for."""

    first: Key
    last: Document
    walk: Cursor


class Sorting:
    """Sorts by the parameters that `indexer` knows."""

    def __init__(self, indexer: Indexer) -> None:
        self._indexer = indexer

    async def page(self, query: Query, search: Search) -> SearchPage:
        """A page of the query; `search` answers queries without an order.

        Raises `NotSupported` for orders that cannot be had here, `TooCostly` for too many.
        """
        self._check(query)
        place = _place(query) if query.after is not None else None
        plain = replace(query, sort=(), after=None, total=False, estimate=False)
        found, place = await _matches(plain, search, place)
        versions = {Key(one.type, one.id): one for one in found}
        last = place.last if place and query.after is not None else None
        documents = [self._document(one) for one in found]
        if last is not None:
            others = [one for one in documents if (one.type, one.id) != (last.type, last.id)]
            ordered = _ordered([*others, last], query.sort)
            ordered = ordered[ordered.index(last) + 1 :]
        else:
            ordered = _ordered(documents, query.sort)
        given = ordered[: query.count]
        following = None
        if place is not None and len(ordered) > query.count:
            following = _cursor(place._replace(last=given[-1]), query.sort)
        total = len(found) if query.total else None
        return SearchPage([versions[Key(one.type, one.id)] for one in given], total, following)

    def _check(self, query: Query) -> None:
        known = [self._indexer.parameters(type_) for type_ in query.types]
        for key in query.sort:
            is_known = bool(known) and all(key.param in found for found in known)
            if key.param not in _OWN and not (is_known and key.kind in _ENTRIES):
                raise NotSupported(
                    f"The results cannot be sorted by '{key.param}' together with an encrypted "
                    "value. Name a type, and sort by its own parameters of R4."
                )
        if any(map(is_contained, query.types)):
            raise NotSupported("Contained resources cannot be sorted by an encrypted value.")

    def _document(self, version: Version) -> Document:
        entries = self._indexer.entries(decode(version.body or b"{}"), over=set())
        return Document(version.type, version.id, version.last_updated, entries)


async def _matches(
    query: Query, search: Search, place: _Place | None
) -> tuple[list[Version], _Place | None]:
    """All that match of what was there at the first page; a place where there is more than one."""
    if place is None:
        page = await search(replace(query, count=1))
        found = list(page.versions)
        if page.next is None:
            return found, None
        first = Key(found[0].type, found[0].id)
        place = _Place(first, Document(*first, 0), page.next)
    else:
        only = And((TypeIs((place.first.type,)), IdIs((place.first.id,)), query.where))
        found = list((await search(replace(query, where=only, count=1))).versions)
    after: Cursor | None = place.walk
    while after is not None:
        page = await search(replace(query, count=_AT_ONCE, after=after))
        found += page.versions
        after = page.next
        if len(found) > MOST:
            raise TooCostly(
                f"More than {MOST} resources match, too many to sort by an encrypted value. "
                "Add a parameter that selects fewer, or sort by another."
            )
        await asyncio.sleep(0)
    return found, place


def _ordered(documents: list[Document], sort: Sequence[SortKey]) -> list[Document]:
    return in_order(sorted(documents, key=lambda one: (one.type, one.id)), sort)


def _cursor(place: _Place, sort: Sequence[SortKey]) -> Cursor:
    last = place.last
    values: list[Scalar] = []
    for key in sort:
        value = sort_value(key, last)
        values += [len(value), *value]
    return (_MARK, *place.first, last.type, last.id, last.last_updated, *values, *place.walk)


def _place(query: Query) -> _Place:
    """The place that a cursor tells. Raises `Invalid` for one of another search."""
    try:
        return _read(iter(query.after or ()), query.sort)
    except (StopIteration, TypeError, KeyError, ValueError) as error:
        raise Invalid("This page link is not one of this search. Begin again.") from error


def _read(cursor: Iterator[Scalar], sort: Sequence[SortKey]) -> _Place:
    if next(cursor) != _MARK:
        raise ValueError
    first = Key(str(next(cursor)), str(next(cursor)))
    type_, id_, updated = str(next(cursor)), str(next(cursor)), int(next(cursor) or 0)
    entries: dict[str, tuple[Entry, ...]] = {}
    for key in sort:
        value = [next(cursor) for _ in range(int(next(cursor) or 0))]
        if value and key.param not in _OWN:
            entries[key.param] = (_ENTRIES[key.kind](*value),)
    return _Place(first, Document(type_, id_, updated, entries), tuple(cursor))
