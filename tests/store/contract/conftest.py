"""The stores that the contract is held against. Another one joins by a row in STORES."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pymongo.errors import OperationFailure
from store.conftest import FreshDatabase
from store.making import Clock
from wire.server import FERRETDB, REPLICA_SET

from fhirserver.errors import Unavailable
from fhirserver.store.mongo import MongoStore
from fhirserver.store.port import Store
from fhirserver.store.sqlite import SqliteStore


LACKING = pytest.mark.xfail(
    raises=(OperationFailure, Unavailable),
    strict=False,
    reason="FerretDB 1.24 refuses $elemMatch over several fields",
)
"""What FerretDB refuses is no fault of the store; a wrong answer there still is one."""


async def _sqlite(folder: Path, clock: Clock, fresh: FreshDatabase) -> Store:
    return SqliteStore.open(folder / "fhir.db", clock=clock)


async def _mongo(kind: str, folder: Path, clock: Clock, fresh: FreshDatabase) -> Store:
    return await MongoStore.open(fresh(kind), clock=clock)


STORES: dict[str, tuple[Callable[[Path, Clock, FreshDatabase], Awaitable[Store]], list[Any]]] = {
    "sqlite": (_sqlite, []),
    "mongodb": (partial(_mongo, REPLICA_SET), [pytest.mark.mongodb]),
    "ferretdb": (partial(_mongo, FERRETDB), [pytest.mark.mongodb, pytest.mark.slow, LACKING]),
}


@pytest.fixture(params=[pytest.param(name, marks=row[1]) for name, row in STORES.items()])
async def store(
    request: pytest.FixtureRequest, tmp_path: Path, clock: Clock, fresh_database: FreshDatabase
) -> AsyncIterator[Store]:
    opened = await STORES[request.param][0](tmp_path, clock, fresh_database)
    yield opened
    await opened.close()
