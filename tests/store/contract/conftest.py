"""The stores that the contract is held against. Another one joins by a row in STORES."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from store.conftest import FreshDatabase
from store.making import Clock
from wire.server import FERRETDB, REPLICA_SET

from fhirserver.store.mongo import MongoStore
from fhirserver.store.port import ServerStore
from fhirserver.store.records import Records
from fhirserver.store.sqlite import SqliteStore


async def _sqlite(folder: Path, clock: Clock, fresh: FreshDatabase) -> ServerStore:
    return SqliteStore.open(folder / "fhir.db", clock=clock)


async def _mongo(kind: str, folder: Path, clock: Clock, fresh: FreshDatabase) -> ServerStore:
    return await MongoStore.open(fresh(kind), clock=clock)


STORES: dict[
    str, tuple[Callable[[Path, Clock, FreshDatabase], Awaitable[ServerStore]], list[Any]]
] = {
    "sqlite": (_sqlite, []),
    "mongodb": (partial(_mongo, REPLICA_SET), [pytest.mark.mongodb]),
    "ferretdb": (partial(_mongo, FERRETDB), [pytest.mark.mongodb, pytest.mark.slow]),
}


@pytest.fixture(params=[pytest.param(name, marks=row[1]) for name, row in STORES.items()])
async def store(
    request: pytest.FixtureRequest, tmp_path: Path, clock: Clock, fresh_database: FreshDatabase
) -> AsyncIterator[ServerStore]:
    opened = await STORES[request.param][0](tmp_path, clock, fresh_database)
    yield opened
    await opened.close()


@pytest.fixture
def records(store: ServerStore) -> Records:
    return store.records
