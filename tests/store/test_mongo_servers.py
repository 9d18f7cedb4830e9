"""Several servers on one MongoDB database: what one does while another is half-way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from store.conftest import FreshDatabase
from store.making import Clock, put, walk
from wire.server import REPLICA_SET

from fhirserver.search.entry import Contained, Entries, Token
from fhirserver.search.expression import EVERYTHING, IdIs, Query, TokenIs, TokenValue
from fhirserver.store.mongo import MongoStore
from fhirserver.store.mongo.connection import Connection
from fhirserver.store.port import (
    Entered,
    Expectation,
    Expunge,
    Key,
    LogQuery,
    Outdated,
    Stale,
    Unchanged,
)

pytestmark = pytest.mark.mongodb

CODE = {"code": (Token("s", "a"),)}
HAS_CODE = TokenIs("code", (TokenValue("s", "a"),))


@pytest.fixture
async def two(
    fresh_database: FreshDatabase, clock: Clock
) -> AsyncIterator[tuple[MongoStore, MongoStore]]:
    url = fresh_database(REPLICA_SET)
    one, other = await MongoStore.open(url, clock=clock), await MongoStore.open(url, clock=clock)
    yield one, other
    await one.close()
    await other.close()


async def test_what_another_server_changed_can_be_rested_on(
    two: tuple[MongoStore, MongoStore],
) -> None:
    one, other = two
    await one.commit([put("Patient", "1")])
    await other.commit([put("SearchParameter", "1")])
    now = Unchanged("SearchParameter", await one.latest("SearchParameter"))
    await one.commit([put("Patient", "2")], unchanged=now)
    await other.commit([put("SearchParameter", "2")])
    with pytest.raises(Outdated):
        await one.commit([put("Patient", "3")], unchanged=now)


async def test_a_type_that_another_server_began_is_looked_at(
    two: tuple[MongoStore, MongoStore],
) -> None:
    one, other = two
    await one.commit([put("Patient", "1")])
    await other.commit([put("Group", "1", entries=CODE)])
    only = Expectation((), HAS_CODE, (Key("Group", "1"),))
    await one.commit([put("Patient", "2")], before=[only])


async def test_an_expectation_without_changes_is_held_to_one_state(
    two: tuple[MongoStore, MongoStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is looked at again when another server commits meanwhile."""
    one, other = two
    await one.commit([put("Patient", "1", entries=CODE)])
    looked = type(one._searcher).matching
    times = 0

    async def matching(self: Any, *asked: Any) -> Any:
        nonlocal times
        times += 1
        found = await looked(self, *asked)
        if times == 1:
            await other.commit([put("Patient", "1", 2)])
        return found

    monkeypatch.setattr(one._searcher, "matching", matching.__get__(one._searcher))
    with pytest.raises(Stale):
        await one.commit([], before=[Expectation(("Patient",), HAS_CODE, (Key("Patient", "1"),))])
    assert times == 2


@pytest.mark.parametrize("way", ["search", "scan"])
async def test_a_version_that_is_expunged_before_it_is_read(
    two: tuple[MongoStore, MongoStore], monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    one, other = two
    await one.commit([put("Patient", str(n)) for n in range(3)])
    read = type(one._searcher).versions
    times = 0

    async def versions(self: Any, found: Any) -> Any:
        nonlocal times
        times += 1
        if times == 1:
            await other.commit([put("Patient", "1", 2)])
            assert await other.expunge(Expunge(previous=True)) == 1
        return await read(self, found)

    monkeypatch.setattr(one._searcher, "versions", versions.__get__(one._searcher))
    if way == "search":
        page = await one.search(Query(("Patient",), EVERYTHING, total=True))
        assert page.total == 3
        found = list(page.versions)
    else:
        found = [version async for version in one.scan("Patient")]
    assert [(one.id, one.version) for one in found] == [("0", 1), ("1", 2), ("2", 1)]


async def test_a_log_is_that_of_its_beginning(two: tuple[MongoStore, MongoStore]) -> None:
    one, other = two
    await one.commit([put("Patient", f"{n:03}") for n in range(450)])
    seen = []
    async for version in one.log(LogQuery(current=True)):
        seen.append((version.id, version.version))
        if len(seen) in (1, 200, 399):
            await other.commit([put("Patient", f"{len(seen) + n:03}", 2) for n in range(20)])
            await other.commit([put("Patient", f"new-{len(seen)}")])
    assert seen == [(f"{n:03}", 1) for n in range(450)]


async def test_a_task_that_is_cancelled_ends(two: tuple[MongoStore, MongoStore]) -> None:
    one, _ = two
    await one.commit([put("Patient", "1")])
    for turns in range(40):

        async def read() -> None:
            while True:
                await one.read("Patient", "1")
                await one.records.get("job", "1")

        task = asyncio.create_task(read())
        await asyncio.sleep(turns / 2000)
        task.cancel()
        done, _ = await asyncio.wait((task,), timeout=5)
        assert done, "the driver swallowed it"
        assert task.cancelled()


async def test_without_transactions_parts_of_a_dead_server_are_finished(
    fresh_database: FreshDatabase, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = fresh_database(REPLICA_SET)
    one, other = [
        MongoStore(Connection(url), clock=clock, tenant="default", atomic=False, patience=30)
        for _ in range(2)
    ]

    def holding(*names: str) -> Entries:
        parts = tuple(Contained("#Patient", f"Group/1#{name}", CODE) for name in names)
        return {"_contained": parts, "_contained:type": (Token("", "Patient"),)}

    async def die(pending: Any) -> None:
        raise RuntimeError("killed")

    try:
        await one.commit([put("Group", "1", entries=holding("a", "b"))])
        monkeypatch.setattr(one._guard, "_finish", die)
        with pytest.raises(RuntimeError):
            await one.reindex([Entered("Group", "1", 1, holding("b", "c"))])
        await other.commit([put("Patient", "1")])
        found = await walk(other, Query(("#Patient",), HAS_CODE))
        assert found == [Key("#Patient", "Group/1#b"), Key("#Patient", "Group/1#c")]
        await other.commit([put("Group", "1", 2)])
        assert await walk(other, Query(("#Patient",), HAS_CODE)) == []
    finally:
        await one.close()
        await other.close()


async def test_pages_walked_on_one_server_while_another_writes(
    two: tuple[MongoStore, MongoStore],
) -> None:
    one, other = two
    await one.commit([put("Patient", f"{n:03}", entries=CODE) for n in range(60)])
    stop = asyncio.Event()

    async def write() -> None:
        version = 2
        while not stop.is_set():
            await other.commit([put("Patient", f"{n:03}", version) for n in range(0, 60, 3)])
            await other.commit([put("Patient", f"new-{version}", entries=CODE)])
            version += 1

    writer = asyncio.create_task(write())
    try:
        for _ in range(5):
            found = [id for _, id in await walk(one, Query(("Patient",), HAS_CODE, count=7))]
            lasting = [id for id in found if not id.startswith("new") and int(id) % 3]
            assert lasting == [f"{n:03}" for n in range(60) if n % 3]
            assert len(set(found)) == len(found)
    finally:
        stop.set()
        await writer
    assert await walk(one, Query(("Patient",), IdIs(("001",)))) == [Key("Patient", "001")]
