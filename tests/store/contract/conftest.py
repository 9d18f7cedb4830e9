"""The stores that the contract is held against. Another one joins by a line in STORES."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Protocol

import pytest
from store.making import Clock

from fhirserver.store.port import Store
from fhirserver.store.records import Records
from fhirserver.store.sqlite import SqliteStore


class RecordingStore(Store, Protocol):
    """A store with its records."""

    @property
    def records(self) -> Records: ...


STORES: dict[str, Callable[[Path, Clock], RecordingStore]] = {
    "sqlite": lambda folder, clock: SqliteStore.open(folder / "fhir.db", clock=clock),
}


@pytest.fixture(params=STORES)
async def store(
    request: pytest.FixtureRequest, tmp_path: Path, clock: Clock
) -> AsyncIterator[RecordingStore]:
    opened = STORES[request.param](tmp_path, clock)
    yield opened
    await opened.close()


@pytest.fixture
def records(store: RecordingStore) -> Records:
    return store.records
