"""Whether what a commit relied on still holds, inside its transaction."""

from __future__ import annotations

from collections.abc import Iterable

from fhirserver.store.port import Expectation, Stale
from fhirserver.store.sqlite.search import Searcher

_LOOKED_FOR = 2


def check(searcher: Searcher, expectations: Iterable[Expectation]) -> None:
    """Raises `Stale` for the first search that finds other resources than it should."""
    for expected in expectations:
        limit = _LOOKED_FOR if len(expected.ids) <= _LOOKED_FOR else len(expected.ids) + 1
        found = searcher.matching(expected.types, expected.where, limit)
        if set(found) != set(expected.ids):
            raise Stale("What a condition selects was changed meanwhile. Try again.")
