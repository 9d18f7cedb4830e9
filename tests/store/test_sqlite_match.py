"""SQLite finds what `fhirserver.search.match` says, in the order it says, on any page size."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store.agreement import agrees
from strategies.search_documents import Case, cases

from fhirserver.store.sqlite import SqliteStore, plan, walk


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as name:
        yield Path(name)


PROBES = ((32, 512, 8192), (1,), (0,), (0, 2))
"""With few resources nothing is broad, unless the limit of what counts as few is lower."""


@given(case=cases(), count=st.integers(1, 4), probes=st.sampled_from(PROBES))
def test_a_store_agrees_with_match(
    folder: Path, case: Case, count: int, probes: tuple[int, ...]
) -> None:
    async def run() -> None:
        clock = [0]
        store = SqliteStore.open(folder / "match.db", clock=lambda: clock[0])
        try:
            await agrees(store, case, clock, count)
        finally:
            await store.close()

    for path in folder.iterdir():
        path.unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "PROBES", probes)
        patch.setattr(plan, "_FEW", probes[-1])
        patch.setattr(walk, "WINDOW", max(1, probes[-1]))
        asyncio.run(run())


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_a_store_agrees_with_match_on_ten_thousand_sets(folder: Path) -> None:
    settings(max_examples=10_000, deadline=None)(test_a_store_agrees_with_match)(folder=folder)
