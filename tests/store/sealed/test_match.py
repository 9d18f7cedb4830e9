"""A sealed store finds what `fhirserver.search.match` says of the content, in the same order."""

from __future__ import annotations

import asyncio
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store.agreement import agrees
from store.conftest import FreshDatabase
from store.sealed.supported import supported
from store.sealing import sealed
from strategies.search_documents import Case, cases
from wire.server import REPLICA_SET

from fhirserver.store.mongo import MongoStore
from fhirserver.store.sqlite import SqliteStore

FIELDS: tuple[tuple[str, ...], ...] = ((), ("*",), ("code", "birthdate"))


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as name:
        yield Path(name)


@given(case=cases(), count=st.integers(1, 4), fields=st.sampled_from(FIELDS))
def test_a_sealed_file_agrees_with_match(
    folder: Path, case: Case, count: int, fields: tuple[str, ...]
) -> None:
    async def run() -> None:
        clock = [0]
        inner = SqliteStore.open(folder / "match.db", clock=lambda: clock[0])
        store = await sealed(inner, lambda: clock[0], fields)
        try:
            await agrees(store, supported(case, *fields), clock, count)
        finally:
            await store.close()

    for path in folder.iterdir():
        path.unlink()
    asyncio.run(run())


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_a_sealed_file_agrees_with_match_on_many_sets(folder: Path) -> None:
    settings(max_examples=3000, deadline=None)(test_a_sealed_file_agrees_with_match)(folder=folder)


@pytest.mark.mongodb
@pytest.mark.slow_on_mongodb
@settings(max_examples=20)
@given(case=cases(), count=st.integers(1, 4), fields=st.sampled_from(FIELDS))
def test_a_sealed_database_agrees_with_match(
    fresh_database: FreshDatabase, case: Case, count: int, fields: tuple[str, ...]
) -> None:
    async def run() -> None:
        clock = [0]
        inner = await MongoStore.open(
            fresh_database(REPLICA_SET), clock=lambda: clock[0], tenant=uuid.uuid4().hex
        )
        store = await sealed(inner, lambda: clock[0], fields)
        try:
            await agrees(store, supported(case, *fields), clock, count)
        finally:
            await store.close()

    asyncio.run(run())
