"""Sealed records are what plain ones would be, whatever their keys."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from store.making import Clock
from store.sealing import sealed

from fhirserver.store.records import Record, Records
from fhirserver.store.sealed import SealedStore
from fhirserver.store.sqlite import SqliteStore

KEYS = st.text("ab/\n", min_size=1, max_size=5)


async def _like(
    records: Records, collection: str, kept: dict[str, bytes], asked: list[str]
) -> None:
    def told(found: list[Record]) -> list[tuple[str, bytes]]:
        return [(one.key, one.body) for one in found]

    for key, body in kept.items():
        await records.put(collection, key, body)
    for prefix in ["", *asked]:
        for after in ["", *asked]:
            expected = sorted(
                (key, body) for key, body in kept.items() if key.startswith(prefix) and key > after
            )
            found = await records.list(collection, prefix=prefix, after=after)
            assert told(list(found)) == expected
            found = await records.list(collection, prefix=prefix, after=after, count=2)
            assert told(list(found)) == expected[:2]


@given(
    kept=st.dictionaries(KEYS, st.binary(max_size=3), max_size=6),
    asked=st.lists(KEYS, max_size=3),
    collection=st.sampled_from(["identity.name", "job"]),
)
def test_a_listing_is_that_of_plain_records(
    tmp_path_factory: pytest.TempPathFactory,
    kept: dict[str, bytes],
    asked: list[str],
    collection: str,
) -> None:
    async def run() -> None:
        file = tmp_path_factory.getbasetemp() / f"{uuid.uuid4()}.db"
        clock = Clock()
        store = await sealed(SqliteStore.open(file, clock=clock), clock)
        try:
            await _like(store.records, collection, kept, asked)
            assert await store.records.collections() == ([collection] if kept else [])
        finally:
            await store.close()

    asyncio.run(run())


async def test_a_part_of_a_key_is_hashed_by_itself(tmp_path: Path, clock: Clock) -> None:
    store: SealedStore = await sealed(SqliteStore.open(tmp_path / "fhir.db", clock=clock), clock)
    for key in ("ada/one", "ada/two", "bob/one"):
        await store.records.put("identity.device", key, b"")
    parts = [one.key.split("/") for one in await store.inner.records.list("identity.device")]
    assert len({first for first, _ in parts}) == 2
    assert len({second for _, second in parts}) == 2
    assert not any("ada" in part for pair in parts for part in pair)
    await store.close()
