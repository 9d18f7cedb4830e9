"""What is sent to the server: how many commands a commit or a page takes, whatever its size."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pymongo import monitoring
from store.making import Clock, needs_transactions, put

from fhirserver.search.entry import Token
from fhirserver.search.expression import Query, TokenIs, TokenValue
from fhirserver.store.mongo import MongoStore, connection
from fhirserver.store.port import Expectation

CODE = {"code": (Token("s", "a"),)}
HAS_CODE = TokenIs("code", (TokenValue("s", "a"),))


class Commands(monitoring.CommandListener):
    """Counts what the driver sends, without the server's own business."""

    def __init__(self) -> None:
        self.sent: Counter[str] = Counter()

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if event.command_name not in ("hello", "ismaster", "isMaster", "endSessions"):
            self.sent[event.command_name] += 1

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None: ...

    def failed(self, event: monitoring.CommandFailedEvent) -> None: ...

    def taken(self) -> dict[str, int]:
        """What was sent since the last time."""
        sent, self.sent = self.sent, Counter()
        return dict(sent)


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Commands:
    listener = Commands()
    options = connection.client_options

    def heard(url: str) -> dict[str, Any]:
        return options(url) | {"event_listeners": [listener]}

    monkeypatch.setattr(connection, "client_options", heard)
    return listener


@pytest.fixture
async def store(mongo_database: str, commands: Commands, clock: Clock) -> AsyncIterator[MongoStore]:
    opened = await MongoStore.open(mongo_database, clock=clock, tenant=uuid.uuid4().hex)
    await opened.commit([put("Patient", "0")])
    commands.taken()
    yield opened
    await opened.close()


async def test_a_commit_of_many_changes_takes_no_more_commands_than_one(
    store: MongoStore, commands: Commands
) -> None:
    needs_transactions(store)
    create = {"update": 1, "insert": 2, "commitTransaction": 1}
    await store.commit([put("Patient", "1")])
    assert commands.taken() == create
    changes = [put(("Patient", "Group", "Observation")[n % 3], f"b{n}") for n in range(100)]
    await store.commit(changes)
    assert commands.taken() == create
    await store.commit([put(one.type, one.id, 2) for one in changes])
    assert commands.taken() == {**create, "find": 1, "update": 3, "insert": 1}


async def test_without_transactions_a_commit_takes_few_commands(
    store: MongoStore, commands: Commands
) -> None:
    if store.atomic:
        pytest.skip("this store has transactions")
    await store.commit([put("Patient", "1")])
    assert commands.taken() == {"find": 1, "update": 2, "insert": 2}


async def test_an_expectation_takes_one_command(store: MongoStore, commands: Commands) -> None:
    await store.commit([put("Patient", "1", entries=CODE)])
    plain = commands.taken()
    nobody = Expectation(("Group",), HAS_CODE, ())
    await store.commit([put("Patient", "2", entries=CODE)], before=[nobody])
    assert commands.taken() == {**plain, "find": plain.get("find", 0) + 1}


async def test_a_read_takes_one_command_and_a_page_three(
    store: MongoStore, commands: Commands
) -> None:
    await store.read("Patient", "0")
    assert commands.taken() == {"find": 1}
    await store.search(Query(("Patient",), count=10))
    assert commands.taken() == {"find": 3}


async def test_what_another_server_wrote_is_noticed(
    store: MongoStore, mongo_database: str, commands: Commands, clock: Clock
) -> None:
    other = await MongoStore.open(mongo_database, clock=clock, tenant=store._tenant)
    await other.commit([put("Patient", "1")])
    done = await store.commit([put("Patient", "2")])
    assert done.number == 3
    assert await other.counts() == {"Patient": 3}
    await other.close()
