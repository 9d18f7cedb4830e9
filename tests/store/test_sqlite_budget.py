"""A search that costs too much ends, and what else is asked meanwhile does not wait for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from store.making import Clock, put

from fhirserver.errors import TooCostly, Unavailable
from fhirserver.search.entry import String
from fhirserver.search.expression import And, Not, Query, StringIs, StringMode
from fhirserver.store.sqlite import SqliteStore

RESOURCES = 4000
PATIENCE = 0.3

SLOW = Query(
    ("Patient",),
    And(tuple(Not(StringIs("name", StringMode.CONTAINS, (f"none{n}",))) for n in range(240))),
    count=RESOURCES,
)
"""Every text is looked at for each of many conditions, of which no index knows anything."""


@pytest.fixture
async def store(tmp_path: Path, clock: Clock) -> AsyncIterator[SqliteStore]:
    opened = SqliteStore.open(tmp_path / "fhir.db", clock=clock, patience=PATIENCE)
    texts = tuple(String(f"{n} {'text ' * 20}", f"{n}") for n in range(10))
    await opened.commit([put("Patient", str(n), entries={"name": texts}) for n in range(RESOURCES)])
    yield opened
    await opened.close()


async def test_a_search_that_takes_too_long_is_refused_in_time(store: SqliteStore) -> None:
    start = time.monotonic()
    with pytest.raises(TooCostly, match="more selective"):
        await store.search(SLOW)
    assert time.monotonic() - start < PATIENCE + 2


async def test_a_slow_search_does_not_delay_a_read(store: SqliteStore) -> None:
    slow = asyncio.create_task(store.search(SLOW))
    await asyncio.sleep(0.05)
    waits = []
    while not slow.done():
        start = time.monotonic()
        assert await store.read("Patient", "7") is not None
        waits.append(time.monotonic() - start)
        await asyncio.sleep(0.001)
    with pytest.raises(TooCostly):
        await slow
    assert len(waits) > 20
    assert sorted(waits)[len(waits) // 2] < 0.01


async def test_searches_that_wait_too_long_for_their_turn_are_sent_away(
    store: SqliteStore,
) -> None:
    start = time.monotonic()
    answers = await asyncio.gather(*(store.search(SLOW) for _ in range(8)), return_exceptions=True)
    assert time.monotonic() - start < 10 * PATIENCE + 2
    assert {type(answer) for answer in answers} <= {TooCostly, Unavailable}


async def test_the_store_serves_on_after_slow_searches(store: SqliteStore) -> None:
    with pytest.raises(TooCostly):
        await store.search(SLOW)
    page = await store.search(Query(("Patient",), count=1))
    assert len(page.versions) == 1
