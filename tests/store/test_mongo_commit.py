"""Commits to MongoDB: several servers, half-done ones, and connections that break."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from store.conftest import KINDS, FreshDatabase
from store.making import Clock, needs_transactions, put, removal, walk
from wire.server import REPLICA_SET

from fhirserver.errors import Unavailable
from fhirserver.search.entry import Token
from fhirserver.search.expression import Query, TokenIs, TokenValue
from fhirserver.store.mongo import MongoStore
from fhirserver.store.mongo.batch import Batch, Stored
from fhirserver.store.mongo.connection import Connection
from fhirserver.store.mongo.guard import Guard
from fhirserver.store.port import Committed, Expectation, HistoryQuery, Key, Stale

CODE = {"code": (Token("s", "a"),)}
HAS_CODE = TokenIs("code", (TokenValue("s", "a"),))
NOBODY = Expectation(("Patient",), HAS_CODE, ())


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, fresh_database: FreshDatabase) -> str:
    return fresh_database(request.param)


@pytest.fixture(params=[pytest.param(REPLICA_SET, marks=pytest.mark.mongodb)])
async def several(
    request: pytest.FixtureRequest, fresh_database: FreshDatabase, clock: Clock
) -> AsyncIterator[list[MongoStore]]:
    """Three servers of one tenant; not of FerretDB, whose updates are not atomic."""
    database = fresh_database(request.param)
    stores = [await MongoStore.open(database, clock=clock) for _ in range(3)]
    yield stores
    for store in stores:
        await store.close()


async def test_of_conditional_creates_on_several_servers_one_wins(
    several: list[MongoStore],
) -> None:
    async def create_one(n: int) -> bool:
        try:
            await several[n % 3].commit([put("Patient", f"p{n}", entries=CODE)], before=[NOBODY])
        except Stale:
            return False
        return True

    assert sum(await asyncio.gather(*(create_one(n) for n in range(48)))) == 1
    for store in several:
        assert len(await walk(store, Query(("Patient",), HAS_CODE))) == 1


async def test_commits_of_several_servers_have_one_order(several: list[MongoStore]) -> None:
    async def write(n: int) -> list[Committed]:
        return [await several[n].commit([put("Patient", f"{n}-{k}")]) for k in range(20)]

    done = [one for found in await asyncio.gather(*map(write, range(3))) for one in found]
    assert sorted(one.number for one in done) == list(range(1, 61))
    by_number = sorted(done)
    assert [one.instant for one in by_number] == sorted(one.instant for one in by_number)
    page = await several[0].history(HistoryQuery(count=100))
    assert page.total == len(page.versions) == 60
    assert await several[1].counts() == {"Patient": 60}


async def test_who_asked_for_its_turn_is_not_overtaken(several: list[MongoStore]) -> None:
    first, other, _ = several
    await first.commit([put("Patient", "0")])
    await first._guard.ask_for_turn()
    await other._guard.ask_for_turn()  # too late
    late = asyncio.create_task(other.commit([put("Patient", "late")]))
    await asyncio.sleep(0.05)
    done = await first.commit([put("Patient", "1")])
    assert done.number == 2
    assert (await late).number == 3


async def test_a_turn_that_is_not_taken_ends(several: list[MongoStore]) -> None:
    await several[0].commit([put("Patient", "0")])
    await several[1]._guard.ask_for_turn()
    assert (await several[0].commit([put("Patient", "1")])).number == 2


async def test_a_slow_commit_is_not_starved_by_fast_ones(
    several: list[MongoStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, *fast = several
    prepare = slow._writer._batch

    async def slowly(*arguments: Any, **more: Any) -> Batch:
        batch = await prepare(*arguments, **more)
        await asyncio.sleep(0.05)
        return batch

    monkeypatch.setattr(slow._writer, "_batch", slowly)
    is_over = asyncio.Event()

    async def hurry(store: MongoStore, name: str) -> int:
        count = 0
        while not is_over.is_set():
            count += 1
            await store.commit([put("Patient", f"{name}{count}")])
        return count

    others = [asyncio.create_task(hurry(store, f"s{n}-")) for n, store in enumerate(fast)]
    for n in range(3):
        await slow.commit([put("Patient", f"slow{n}")])
    is_over.set()
    assert sum(await asyncio.gather(*others)) > 10


async def test_of_updates_on_several_servers_one_wins(several: list[MongoStore]) -> None:
    await several[0].commit([put("Patient", "1")])

    async def update(n: int) -> bool:
        try:
            await several[n % 3].commit([put("Patient", "1", 2)])
        except Stale:
            return False
        return True

    assert sum(await asyncio.gather(*(update(n) for n in range(30)))) == 1


async def _leave_half_done(url: str, steps: int, version: int) -> None:
    """What a server leaves that dies after its commit: nothing else, or some of the documents."""
    connection = Connection(url)
    guard = Guard(connection, "default", atomic=False)
    head = await guard.settled()
    stored = Stored(version - 1, 1, is_live=True, parts={})
    known = {Key("Patient", "1"): stored} if version > 1 else {}
    batch = Batch("default", "dead", head, head.instant, known)
    batch.stage([put("Patient", "1", version, CODE)])
    batch.keep()
    writing = batch.writing()
    pending = writing.pending
    await guard._advance(writing, {"pending": pending}, None)
    if steps:
        await guard._apply({**pending, "resources": pending["resources"][: steps - 1]}, None)
    await connection.close()


@pytest.mark.parametrize("steps", [0, 1, 2])
@pytest.mark.parametrize("version", [1, 2])
async def test_what_a_dead_server_left_is_brought_to_its_end(
    url: str, clock: Clock, steps: int, version: int
) -> None:
    store = await MongoStore.open(url, clock=clock)
    if version == 2:
        await store.commit([put("Patient", "1")])
    await _leave_half_done(url, steps, version)
    await store.commit([put("Patient", "2", entries=CODE)])
    found = await walk(store, Query(("Patient",), HAS_CODE))
    assert found == [Key("Patient", "1"), Key("Patient", "2")]
    page = await store.history(HistoryQuery("Patient", "1"))
    assert [one.version for one in page.versions] == list(range(version, 0, -1))
    assert await store.counts() == {"Patient": 2}
    await store.commit([removal("Patient", "1", version + 1)])
    assert await walk(store, Query(("Patient",), HAS_CODE)) == [Key("Patient", "2")]
    await store.close()


async def test_tenants_share_nothing(url: str, clock: Clock) -> None:
    one, other = [await MongoStore.open(url, clock=clock, tenant=name) for name in ("a", "b")]
    await one.commit([put("Patient", "1", entries=CODE)])
    assert await other.read("Patient", "1") is None
    assert await other.read_many([Key("Patient", "1")]) == []
    assert await walk(other, Query((), HAS_CODE)) == []
    assert (await other.history(HistoryQuery())).total == 0
    assert await other.counts() == {}
    assert [version async for version in other.scan()] == []
    await other.commit([put("Patient", "1")], before=[NOBODY])
    assert await one.counts() == {"Patient": 1}
    await one.close()
    await other.close()


@asynccontextmanager
async def cutting(address: str, word: bytes) -> AsyncIterator[tuple[str, list[int]]]:
    """A way to a server that breaks off once what it was sent has the word: before or after the
    server got it, as the counter says (1: after, 2: before; 0: not again)."""
    target = urlsplit(address)
    left = [0]
    tasks: set[asyncio.Task[None]] = set()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(target.hostname, target.port)

        async def forth() -> None:
            while data := await reader.read(1 << 20):
                cut = left[0] if word in data else 0
                if cut:
                    left[0] = 0
                if cut != 2:
                    back.write(data)
                    await back.drain()
                if cut:
                    await asyncio.sleep(0.05)
                    writer.transport.abort()
                    return

        async def answer() -> None:
            while data := await there.read(1 << 20):
                if left[0] == 0 or word not in data:
                    writer.write(data)

        jobs = [asyncio.create_task(job()) for job in (forth, answer)]
        tasks.update(jobs)
        await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
        back.transport.abort()
        writer.transport.abort()

    listening = await asyncio.start_server(connect, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    try:
        yield f"mongodb://127.0.0.1:{port}{target.path}?directConnection=true", left
    finally:
        listening.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0.1)  # the connections see their ends and are closed


@pytest.mark.parametrize("word", [b"insert", b"update", b"commitTransaction"])
@pytest.mark.parametrize("when", [1, 2], ids=["after", "before"])
async def test_a_connection_that_breaks_loses_and_doubles_nothing(
    url: str, clock: Clock, word: bytes, when: int
) -> None:
    async with cutting(url, word) as (address, left), AsyncExitStack() as stack:
        store = await MongoStore.open(address, clock=clock)
        stack.push_async_callback(store.close)
        if word == b"commitTransaction":
            needs_transactions(store)
        await store.commit([put("Patient", "0")])
        left[0] = when
        done = await store.commit([put("Patient", "1", entries=CODE)], before=[NOBODY])
        assert left[0] == 0
        assert done.number == 2
        assert await store.counts() == {"Patient": 2}
        assert (await store.history(HistoryQuery())).total == 2
        assert await walk(store, Query(("Patient",), HAS_CODE)) == [Key("Patient", "1")]
        await store.commit([put("Patient", "1", 2)])


async def test_a_server_that_is_not_there_is_told(clock: Clock) -> None:
    url = "mongodb://127.0.0.1:1/x?serverSelectionTimeoutMS=200"
    with pytest.raises(Unavailable) as refused:
        await MongoStore.open(url, clock=clock)
    assert refused.value.headers == {"Retry-After": "2"}
    gc.collect()  # the driver forgets a socket that it was connecting when it is closed
