"""Commits through broken connections and changes of the primary, by faults ordered of the wire."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from pymongo import MongoClient
from store.conftest import FreshDatabase
from store.making import Clock, put, walk
from wire.server import REAL, REPLICA_SET

from fhirserver.errors import Unavailable
from fhirserver.search.entry import Token
from fhirserver.search.expression import Query, TokenIs, TokenValue
from fhirserver.store.mongo import MongoStore
from fhirserver.store.port import Expectation, HistoryQuery, Key, Store

pytestmark = [
    pytest.mark.mongodb,
    pytest.mark.skipif(REAL in os.environ, reason="orders faults that only the wire has"),
]

CODE = {"code": (Token("s", "a"),)}
HAS_CODE = TokenIs("code", (TokenValue("s", "a"),))
NOBODY = Expectation(("Patient",), HAS_CODE, ())

Order = Callable[..., None]
"""Orders a fault of some commands."""


@pytest.fixture(scope="module")
def admin(wire: Any) -> Iterator[MongoClient[dict[str, Any]]]:
    with MongoClient[dict[str, Any]](wire.address()) as client:
        yield client


@pytest.fixture
def order(admin: MongoClient[dict[str, Any]]) -> Iterator[Order]:
    def fail(*commands: str, times: int, **data: Any) -> None:
        found = {"failCommands": list(commands), **data}
        admin.admin.command("configureFailPoint", "failCommand", mode={"times": times}, data=found)

    yield fail
    admin.admin.command("configureFailPoint", "failCommand", mode="off")


@pytest.fixture
async def store(fresh_database: FreshDatabase, clock: Clock) -> AsyncIterator[Store]:
    opened = await MongoStore.open(fresh_database(REPLICA_SET), clock=clock)
    await opened.commit([put("Patient", "0")])
    yield opened
    await opened.close()


async def _holds_it_once(store: Store) -> None:
    assert await store.counts() == {"Patient": 2, "Observation": 1}
    assert (await store.history(HistoryQuery())).total == 3
    assert await walk(store, Query(("Patient",), HAS_CODE)) == [Key("Patient", "1")]


CHANGES = [put("Patient", "1", entries=CODE), put("Observation", "1")]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("command", ["find", "update", "insert", "commitTransaction"])
async def test_connections_that_break_lose_and_double_nothing(
    store: Store, order: Order, command: str, times: int, after: bool
) -> None:
    order(command, times=times, closeConnection=True, after=after)
    try:
        done = await store.commit(CHANGES, before=[NOBODY])
    except Unavailable as refused:
        assert refused.headers == {"Retry-After": "2"}, "it said that nothing is certain"
        order(command, times=0)
        assert (await store.history(HistoryQuery())).total == 1
        done = await store.commit(CHANGES, before=[NOBODY])
    assert done.number == 3
    await _holds_it_once(store)


@pytest.mark.parametrize("code", [112, 251, 10107, 189, 91, 24])
async def test_transactions_that_are_refused_are_done_again(
    store: Store, order: Order, code: int
) -> None:
    labels = ["TransientTransactionError"]
    order("update", "insert", times=2, errorCode=code, errorLabels=labels)
    await store.commit(CHANGES, before=[NOBODY])
    await _holds_it_once(store)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_commit_without_answer_is_asked_for_again(
    store: Store, order: Order, after: bool
) -> None:
    labels = ["UnknownTransactionCommitResult", "RetryableWriteError"]
    order("commitTransaction", times=2, errorCode=91, errorLabels=labels, after=after)
    await store.commit(CHANGES, before=[NOBODY])
    await _holds_it_once(store)


async def test_a_new_primary_is_waited_for(
    store: Store, admin: MongoClient[dict[str, Any]]
) -> None:
    admin.admin.command("replSetStepDown", 1)
    await store.commit(CHANGES, before=[NOBODY])
    await _holds_it_once(store)


@pytest.mark.slow
async def test_without_a_primary_for_long_it_is_refused(
    fresh_database: FreshDatabase, clock: Clock, admin: MongoClient[dict[str, Any]]
) -> None:
    url = fresh_database(REPLICA_SET)
    join = "&" if "?" in url else "?"
    impatient = f"{url}{join}serverSelectionTimeoutMS=1500&heartbeatFrequencyMS=500"
    async with AsyncExitStack() as stack:
        store = await MongoStore.open(impatient, clock=clock, patience=3.0)
        stack.push_async_callback(store.close)
        await store.commit([put("Patient", "0")])
        admin.admin.command("replSetStepDown", 600)
        stack.callback(admin.admin.command, "replSetStepDown", 0)
        for ask in (
            store.read("Patient", "0"),
            store.search(Query(("Patient",))),
            store.commit(CHANGES, before=[NOBODY]),
        ):
            with pytest.raises(Unavailable) as refused:
                await ask
            assert refused.value.headers == {"Retry-After": "2"}
        admin.admin.command("replSetStepDown", 0)
        await store.commit(CHANGES, before=[NOBODY])
        await _holds_it_once(store)
