"""What a resource contains, in the file."""

from __future__ import annotations

import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from store.making import Clock, put

from fhirserver.search.contained import CONTAINED
from fhirserver.search.entry import Contained
from fhirserver.search.expression import EVERYTHING, Query
from fhirserver.store.sqlite import SqliteStore

PARTS = 200
LONG = 200_000


@pytest.fixture
async def store(tmp_path: Path, clock: Clock) -> AsyncIterator[SqliteStore]:
    opened = SqliteStore.open(tmp_path / "fhir.db", clock=clock)
    parts = tuple(Contained("#Medication", f"Basic/1#m{n}", {}) for n in range(PARTS))
    await opened.commit([put("Basic", "1", entries={CONTAINED: parts}, text="x" * LONG)])
    yield opened
    await opened.close()


async def test_a_page_holds_a_container_once(store: SqliteStore) -> None:
    tracemalloc.start()
    page = await store.search(Query(("#Medication",), EVERYTHING, count=PARTS))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(page.versions) == PARTS
    assert held < 10 * LONG
