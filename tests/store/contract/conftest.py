"""The stores that the contract is held against. Another one joins by a line in STORES."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from store.making import Clock

from fhirserver.store.mongo import MongoStore
from fhirserver.store.port import Store
from fhirserver.store.sqlite import SqliteStore

Place = Callable[[str], Awaitable[str]]
"""Gives the URL of a fresh database on a back end of the wire."""


async def _sqlite(folder: Path, clock: Clock, place: Place) -> Store:
    return SqliteStore.open(folder / "fhir.db", clock=clock)


async def _mongo_memory(folder: Path, clock: Clock, place: Place) -> Store:
    return await MongoStore.open(await place("memory"), clock=clock)


async def _mongo_h2(folder: Path, clock: Clock, place: Place) -> Store:
    return await MongoStore.open(await place("h2"), clock=clock)


STORES: dict[str, Callable[[Path, Clock, Place], Awaitable[Store]]] = {
    "sqlite": _sqlite,
    "mongo-memory": _mongo_memory,
    "mongo-h2": _mongo_h2,
}


@pytest.fixture(params=[*list(STORES)[:-1], pytest.param("mongo-h2", marks=pytest.mark.slow)])
async def store(
    request: pytest.FixtureRequest, tmp_path: Path, clock: Clock, place: Place
) -> AsyncIterator[Store]:
    opened = await STORES[request.param](tmp_path, clock, place)
    yield opened
    await opened.close()
