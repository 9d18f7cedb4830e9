"""The stores that the contract is held against. Another one joins by a row in STORES."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
from pymongo.errors import OperationFailure
from store.conftest import FreshDatabase
from store.making import Clock
from store.sealing import ends_where_refused
from wire.server import FERRETDB, REPLICA_SET

from fhirserver.errors import Unavailable
from fhirserver.store.mongo import MongoStore
from fhirserver.store.port import ServerStore
from fhirserver.store.records import Records
from fhirserver.store.sqlite import SqliteStore

ON_FERRETDB = ("test_read", "test_commit", "test_history")
"""Of the contract; it refuses the ranges of the rest, or needs minutes for it."""

LACKING = pytest.mark.xfail(
    raises=(OperationFailure, Unavailable),
    strict=False,
    reason="FerretDB 1.24 refuses $elemMatch over several fields",
)
"""What FerretDB refuses is no fault of the store; a wrong answer there still is one."""


async def _sqlite(folder: Path, clock: Clock, fresh: FreshDatabase) -> ServerStore:
    return SqliteStore.open(folder / "fhir.db", clock=clock)


async def _mongo(kind: str, folder: Path, clock: Clock, fresh: FreshDatabase) -> ServerStore:
    return await MongoStore.open(fresh(kind), clock=clock)


async def _sealed_sqlite(folder: Path, clock: Clock, fresh: FreshDatabase) -> ServerStore:
    return await ends_where_refused(await _sqlite(folder, clock, fresh), clock)


async def _sealed_mongo(folder: Path, clock: Clock, fresh: FreshDatabase) -> ServerStore:
    return await ends_where_refused(await _mongo(REPLICA_SET, folder, clock, fresh), clock)


async def _ferretdb(folder: Path, clock: Clock, fresh: FreshDatabase) -> ServerStore:
    """A tenant of one database: FerretDB takes seconds to make all indexes."""
    return await MongoStore.open(_shared(fresh), clock=clock, tenant=uuid.uuid4().hex)


@cache
def _shared(fresh: FreshDatabase) -> str:
    try:
        return fresh(FERRETDB)
    except OperationFailure as error:
        raise AssertionError("FerretDB does not take the indexes") from error


STORES: dict[
    str, tuple[Callable[[Path, Clock, FreshDatabase], Awaitable[ServerStore]], list[Any]]
] = {
    "sqlite": (_sqlite, []),
    "mongodb": (partial(_mongo, REPLICA_SET), [pytest.mark.mongodb]),
    "sealed": (_sealed_sqlite, []),
    "sealed-mongodb": (_sealed_mongo, [pytest.mark.mongodb]),
    "ferretdb": (
        _ferretdb,
        [pytest.mark.mongodb, pytest.mark.slow, pytest.mark.timeout(1200), LACKING],
    ),
}


@pytest.fixture(params=[pytest.param(name, marks=row[1]) for name, row in STORES.items()])
async def store(
    request: pytest.FixtureRequest, tmp_path: Path, clock: Clock, fresh_database: FreshDatabase
) -> AsyncIterator[ServerStore]:
    if request.param == "ferretdb" and not request.module.__name__.endswith(ON_FERRETDB):
        pytest.skip("not asked of FerretDB: docs/stores.md")
    opened = await STORES[request.param][0](tmp_path, clock, fresh_database)
    yield opened
    await opened.close()


@pytest.fixture
def records(store: ServerStore) -> Records:
    return store.records
