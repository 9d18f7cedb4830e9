"""Sealed stores for tests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NoReturn

import pytest

from fhirserver.errors import NotSupported
from fhirserver.search.expression import Query
from fhirserver.store.port import (
    Change,
    Committed,
    Expectation,
    Explanation,
    SearchPage,
    ServerStore,
    Unchanged,
)
from fhirserver.store.sealed import SealedStore, open_sealed
from fhirserver.store.sealed.fields import Fields
from fhirserver.store.sealed.master import OwnMaster

MASTER = OwnMaster(bytes(range(32)))
TENANT = "default"


async def sealed(
    inner: ServerStore, clock: Callable[[], int], fields: Iterable[str] = ()
) -> SealedStore:
    """The store, sealed under the master key of the tests."""
    return await open_sealed(inner, MASTER, tenant=TENANT, clock=clock, fields=fields)


class _EndsWhereRefused(SealedStore):
    """Ends a test that asks what a blind index refuses (docs/encryption.md): no middle of a text,
    no order. A wrong answer is a fault as with every store."""

    async def search(self, query: Query) -> SearchPage:
        try:
            return await super().search(query)
        except NotSupported as refusal:
            _end(refusal)

    async def explain(self, query: Query) -> Explanation:
        try:
            return await super().explain(query)
        except NotSupported as refusal:
            _end(refusal)

    async def commit(
        self,
        changes: Sequence[Change],
        before: Sequence[Expectation] = (),
        after: Sequence[Expectation] = (),
        unchanged: Unchanged | None = None,
        note: bytes | None = None,
    ) -> Committed:
        try:
            return await super().commit(changes, before, after, unchanged, note)
        except NotSupported as refusal:
            _end(refusal)


def _end(refusal: NotSupported) -> NoReturn:
    if "encrypted" not in refusal.text:
        raise refusal
    pytest.skip(refusal.text)


async def ends_where_refused(inner: ServerStore, clock: Callable[[], int]) -> SealedStore:
    """The store, sealed, for tests that were written for every store."""
    opened = await sealed(inner, clock)
    return _EndsWhereRefused(opened.inner, opened.keys, Fields())
