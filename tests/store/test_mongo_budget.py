"""A search that costs too much ends in time, whether or not the server ends it."""

from __future__ import annotations

import time
import uuid

import pytest
from store.making import Clock, commit_all, put

from fhirserver.errors import TooCostly
from fhirserver.search.entry import String
from fhirserver.search.expression import And, Not, Query, SortKey, StringIs, StringMode
from fhirserver.store.mongo import MongoStore
from fhirserver.store.port import HistoryQuery

RESOURCES = 300
PATIENCE = 0.2

SLOW = Query(
    ("Patient",),
    And(tuple(Not(StringIs("name", StringMode.CONTAINS, (f"none{n}",))) for n in range(240))),
    sort=(SortKey("name", "string"),),
    count=RESOURCES,
    total=True,
)
"""Every text is looked at for each of many conditions, of which no index knows anything."""

DEEP = Query(("Patient",), And(tuple(Not(Not(And(()))) for _ in range(600))))


async def test_a_search_that_takes_too_long_is_refused_in_time(
    mongo_database: str, clock: Clock
) -> None:
    tenant = uuid.uuid4().hex
    store = await MongoStore.open(mongo_database, clock=clock, tenant=tenant)
    texts = tuple(String(f"{n} {'text ' * 20}", f"{n}") for n in range(10))
    patients = [put("Patient", str(n), entries={"name": texts}) for n in range(RESOURCES)]
    await commit_all(store, patients)
    hasty = await MongoStore.open(mongo_database, clock=clock, tenant=tenant, patience=PATIENCE)
    start = time.monotonic()
    with pytest.raises(TooCostly, match="more selective"):
        await hasty.search(SLOW)
    assert time.monotonic() - start < PATIENCE + 2
    with pytest.raises(TooCostly, match="more selective"):
        await hasty.explain(SLOW)
    page = await store.search(Query(("Patient",), count=1))
    assert len(page.versions) == 1
    assert (await store.history(HistoryQuery("Patient", count=0))).total == RESOURCES
    await hasty.close()
    await store.close()


async def test_a_search_that_is_too_large_is_refused(mongo_database: str, clock: Clock) -> None:
    store = await MongoStore.open(mongo_database, clock=clock, tenant=uuid.uuid4().hex)
    with pytest.raises(TooCostly, match="conditions"):
        await store.search(DEEP)
    await store.close()
