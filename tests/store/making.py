"""Short ways to write changes and to walk pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import pytest

from fhirserver.model.resource import draft
from fhirserver.search.entry import Entries
from fhirserver.search.expression import Query
from fhirserver.store.port import Change, HistoryQuery, Key, Method, Store, Version

SECOND = 1_000_000


class Clock:
    """Microseconds since 1970, as a test sets them."""

    def __init__(self) -> None:
        self.now = 1_000_000 * SECOND

    def __call__(self) -> int:
        return self.now


def put(
    type: str,
    id: str,
    version: int = 1,
    entries: Entries | None = None,
    method: Method = "PUT",
    **content: object,
) -> Change:
    """A version of a small resource."""
    body = draft({"resourceType": type, "id": id, **content}, id, version)
    return Change(type, id, version, method, body, entries or {})


def removal(type: str, id: str, version: int) -> Change:
    """The deletion that makes a version."""
    return Change(type, id, version, "DELETE", None)


async def commit_all(store: Store, changes: Sequence[Change]) -> None:
    """One commit, or where the store has no transactions one for each change."""
    for some in [changes] if store.atomic else [[change] for change in changes]:
        await store.commit(some)


def needs_transactions(store: Store) -> None:
    """Ends a test of what only a store with transactions promises."""
    if not store.atomic:
        pytest.skip("this store has no transactions")


async def walk(store: Store, query: Query) -> list[Key]:
    """What all pages of a search give."""
    found: list[Key] = []
    while True:
        page = await store.search(query)
        assert len(page.versions) <= query.count
        found += [Key(version.type, version.id) for version in page.versions]
        if page.next is None:
            return found
        query = replace(query, after=page.next)


async def walk_history(store: Store, query: HistoryQuery) -> list[Version]:
    """What all pages of a history give."""
    found: list[Version] = []
    while True:
        page = await store.history(query)
        assert len(page.versions) <= query.count
        found += page.versions
        if page.next is None:
            assert page.total == len(found)
            return found
        query = replace(query, after=page.next)


_T = TypeVar("_T", Key, Version)


def ids(found: list[_T]) -> str:
    """The ids, one after another."""
    return " ".join(one.id for one in found)
