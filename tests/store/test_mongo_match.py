"""MongoDB finds what `fhirserver.search.match` says, over the wire, on any page size."""

from __future__ import annotations

import asyncio
import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store.agreement import agrees
from store.conftest import FreshDatabase
from strategies.search_documents import Case, cases
from wire.server import REPLICA_SET

from fhirserver.store.mongo import MongoStore, links

FEW = (1000, 1, 0)
"""With few resources every link is selective, unless the limit of what counts as few is lower."""

pytestmark = pytest.mark.mongodb


@pytest.fixture(scope="module")
def database(fresh_database: FreshDatabase) -> str:
    return fresh_database(REPLICA_SET)


@given(case=cases(), count=st.integers(1, 4), few=st.sampled_from(FEW))
def test_a_store_agrees_with_match(database: str, case: Case, count: int, few: int) -> None:
    async def run() -> None:
        clock = [0]
        store = await MongoStore.open(database, clock=lambda: clock[0], tenant=uuid.uuid4().hex)
        try:
            await agrees(store, case, clock, count)
        finally:
            await store.close()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(links, "FEW", few)
        asyncio.run(run())


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_a_store_agrees_with_match_on_a_thousand_sets(database: str) -> None:
    settings(max_examples=1000, deadline=None)(test_a_store_agrees_with_match)(database=database)
