"""A table of jobs over a real store."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import stores
from store.making import Clock

from fhirserver.jobs.table import JobTable
from fhirserver.store.port import ServerStore


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(each_store: str, tmp_path: Path, clock: Clock) -> AsyncIterator[ServerStore]:
    store = await stores.open_store(tmp_path / "fhir.db", clock)
    yield store
    await store.close()


@pytest.fixture
def table(store: ServerStore, clock: Clock) -> JobTable:
    numbers = itertools.count(1)
    return JobTable(store.records, now=clock, new_id=lambda: f"{next(numbers):06}")
