"""The stores that the contract is held against. Another one joins by a line in STORES."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from store.making import Clock

from fhirserver.store.port import Store
from fhirserver.store.sqlite import SqliteStore

STORES: dict[str, Callable[[Path, Clock], Store]] = {
    "sqlite": lambda folder, clock: SqliteStore.open(folder / "fhir.db", clock=clock),
}


@pytest.fixture(params=STORES)
async def store(
    request: pytest.FixtureRequest, tmp_path: Path, clock: Clock
) -> AsyncIterator[Store]:
    opened = STORES[request.param](tmp_path, clock)
    yield opened
    await opened.close()
