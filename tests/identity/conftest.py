"""A tenant's identity over a real store, with hashes that cost little."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import stores
from store.making import Clock

from fhirserver.identity.identity import Identity
from fhirserver.identity.password import Cost, Hasher
from fhirserver.identity.sign_in import Visitor
from fhirserver.store.port import ServerStore

KEY = bytes(range(32))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(each_store: str, tmp_path: Path, clock: Clock) -> AsyncIterator[ServerStore]:
    store = await stores.open_store(tmp_path / "fhir.db", clock)
    yield store
    await store.close()


@pytest.fixture
def hasher() -> Iterator[Hasher]:
    hasher = Hasher(random=secrets.token_bytes, cost=Cost(time=1, memory=8, lanes=1))
    yield hasher
    hasher.close()


@pytest.fixture
def identity(store: ServerStore, clock: Clock, hasher: Hasher) -> Identity:
    numbers = itertools.count(1)
    return Identity(
        store.records,
        key=KEY,
        now=clock,
        new_id=lambda: f"account-{next(numbers)}",
        random=secrets.token_bytes,
        hasher=hasher,
    )


@pytest.fixture
def visitor() -> Visitor:
    return Visitor(address="192.0.2.1", origin="https://fhir.example.org", visit="a-visit")
