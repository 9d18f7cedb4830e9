"""A commit whose answer does not arrive: it is found out what became of it."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from store.making import Clock, needs_transactions, put, walk
from wire.server import REAL

from fhirserver.errors import Unavailable
from fhirserver.search.entry import Token
from fhirserver.search.expression import Query, TokenIs, TokenValue
from fhirserver.store.mongo import MongoStore, guard
from fhirserver.store.port import Expectation, HistoryQuery, Key

pytestmark = pytest.mark.skipif(REAL in os.environ, reason="orders faults of the wire")

CODE = {"code": (Token("s", "a"),)}
HAS_CODE = TokenIs("code", (TokenValue("s", "a"),))
NOBODY = Expectation(("Patient",), HAS_CODE, ())
_FAULT = "failCommand"


@pytest.fixture
async def store(mongo_database: str, clock: Clock) -> AsyncIterator[MongoStore]:
    opened = await MongoStore.open(mongo_database, clock=clock, tenant=uuid.uuid4().hex)
    try:
        needs_transactions(opened)
        await opened.commit([put("Patient", "0")])
        yield opened
        await _fails(opened, "off")
    finally:
        await opened.close()


async def _fails(store: MongoStore, mode: Any, *commands: str, **how: Any) -> None:
    data = {"failCommands": list(commands), **how}
    await store._connection.client.admin.command("configureFailPoint", _FAULT, mode=mode, data=data)


FAULTS: dict[str, dict[str, Any]] = {
    "the connection breaks": {"closeConnection": True},
    "the primary steps down": {"errorCode": 91, "errorLabels": ["UnknownTransactionCommitResult"]},
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(
    ("is_late", "patience"),
    [
        pytest.param(True, 5.0, id="committed, asked again"),
        pytest.param(False, 5.0, id="not committed, asked again"),
        pytest.param(True, -1.0, id="committed, looked for"),
    ],
)
async def test_a_commit_without_an_answer_is_made_once(
    store: MongoStore,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
    is_late: bool,
    patience: float,
) -> None:
    monkeypatch.setattr(guard, "_PATIENCE", patience)
    # The driver itself asks once more.
    await _fails(store, {"times": 2}, "commitTransaction", after=is_late, **FAULTS[fault])
    done = await store.commit([put("Patient", "1", entries=CODE)], before=[NOBODY])
    assert done.number == 2
    assert await store.counts() == {"Patient": 2}
    assert (await store.history(HistoryQuery())).total == 2
    assert await walk(store, Query(("Patient",), HAS_CODE)) == [Key("Patient", "1")]
    await store.commit([put("Patient", "1", 2)])


async def test_what_stays_uncertain_is_said_and_not_to_be_repeated_unseen(
    store: MongoStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "_PATIENCE", -1.0)
    monkeypatch.setattr(guard, "_PERSISTENCE", 0.2)
    await _fails(store, "alwaysOn", "commitTransaction", "find", closeConnection=True)
    with pytest.raises(Unavailable, match="not certain") as refused:
        await store.commit([put("Patient", "1")])
    assert "Retry-After" not in refused.value.headers


@pytest.mark.parametrize("command", ["insert", "update", "find"])
@pytest.mark.parametrize("fault", [{"closeConnection": True}, {"errorCode": 10107}])
async def test_a_primary_that_changes_within_a_commit_is_waited_for(
    store: MongoStore, command: str, fault: dict[str, Any]
) -> None:
    # The driver repeats what only reads by itself, once.
    await _fails(store, {"times": 1 if command == "find" else 2}, command, **fault)
    done = await store.commit([put("Patient", "0", 2, CODE), put("Patient", "1", entries=CODE)])
    assert done.number == 3
    assert await store.counts() == {"Patient": 2}
    assert (await store.history(HistoryQuery())).total == 3
    found = await walk(store, Query(("Patient",), HAS_CODE))
    assert found == [Key("Patient", "0"), Key("Patient", "1")]


async def test_without_a_primary_a_write_is_to_be_tried_again(
    store: MongoStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "_PERSISTENCE", 0.2)
    await _fails(store, "alwaysOn", "find", "update", errorCode=10107)
    with pytest.raises(Unavailable) as refused:
        await store.commit([put("Patient", "0", 2)])
    assert refused.value.headers == {"Retry-After": "2"}
    await _fails(store, "off")
    await store.commit([put("Patient", "0", 2)])
