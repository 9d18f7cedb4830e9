"""Rough totals on MongoDB: exact up to 10,000 matches, beyond that near the truth."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from store.conftest import FreshDatabase
from store.making import Clock, put
from wire.server import REPLICA_SET

from fhirserver.search.entry import Token
from fhirserver.search.expression import Query, TokenIs, TokenValue
from fhirserver.store.mongo import MongoStore, search

pytestmark = pytest.mark.mongodb

RESOURCES = 14_000
EARLY = 10_600  # of which all matches are the first


@pytest.fixture
async def store(fresh_database: FreshDatabase, clock: Clock) -> AsyncIterator[MongoStore]:
    opened = await MongoStore.open(fresh_database(REPLICA_SET), clock=clock)
    for start in range(0, RESOURCES, 2000):
        await opened.commit([
            put("Patient", str(n), entries={
                "all": (Token("", "a"),),
                "half": (Token("", "a" if n % 2 else "b"),),
                "early": (Token("", "a" if n < EARLY else "b"),),
            })
            for n in range(start, start + 2000)
        ])  # fmt: skip
    yield opened
    await opened.close()


async def total(store: MongoStore, param: str, *, estimate: bool, count: int = 3) -> int:
    where = TokenIs(param, (TokenValue(None, "a"),))
    page = await store.search(
        Query(("Patient",), where, count=count, total=True, estimate=estimate)
    )
    assert page.total is not None
    return page.total


async def test_many_are_estimated_and_few_counted(
    store: MongoStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await total(store, "half", estimate=True) == RESOURCES / 2
    for param, truth in (("all", RESOURCES), ("early", EARLY)):
        assert await total(store, param, estimate=False) == truth
        assert await total(store, param, estimate=True) == pytest.approx(truth, rel=0.05)
    monkeypatch.setattr(search, "_COUNTED", 100)
    assert await total(store, "half", estimate=True) == pytest.approx(RESOURCES / 2, rel=0.05)
    assert await total(store, "half", estimate=True, count=0) != 101
