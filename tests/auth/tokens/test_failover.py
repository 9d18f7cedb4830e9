"""Token requests while MongoDB's primary goes and connections break, by faults of the wire."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import stores
from auth.tokens.world import Clock, World, serving
from pymongo import MongoClient
from wire.server import REAL

pytestmark = [
    pytest.mark.slow,
    pytest.mark.mongodb,
    pytest.mark.check("OPS-10"),
    pytest.mark.skipif(REAL in os.environ, reason="orders faults that only the wire has"),
]

Order = Callable[..., None]
"""Orders a fault of some commands."""

NOT_PRIMARY = {"errorCode": 10107, "errorLabels": ["RetryableWriteError"]}
STEPPED_DOWN = {"errorCode": 189, "errorLabels": ["RetryableWriteError"]}
INTERRUPTED = {"errorCode": 11602, "errorLabels": ["RetryableWriteError"]}
BROKEN = {"closeConnection": True, "after": False}
ANSWER_LOST = {"closeConnection": True, "after": True}

FAULTS = pytest.mark.parametrize(
    "fault",
    [NOT_PRIMARY, STEPPED_DOWN, INTERRUPTED, BROKEN, ANSWER_LOST],
    ids=["not-primary", "stepped-down", "interrupted", "broken", "answer-lost"],
)
TIMES = pytest.mark.parametrize("times", [1, 2])
COMMANDS = ("update", "insert")


@pytest.fixture(scope="module")
def admin(wire: Any) -> Iterator[MongoClient[dict[str, Any]]]:
    with MongoClient[dict[str, Any]](wire.address()) as client:
        yield client


@pytest.fixture
def order(admin: MongoClient[dict[str, Any]]) -> Iterator[Order]:
    def fail(*commands: str, times: int, skip: int = 0, **data: Any) -> None:
        found = {"failCommands": list(commands), **data}
        mode = {"times": times, "skip": skip}
        admin.admin.command("configureFailPoint", "failCommand", mode=mode, data=found)

    yield fail
    admin.admin.command("configureFailPoint", "failCommand", mode="off")


@pytest.fixture
async def world(
    wire: Any, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[World]:
    with stores.on_mongodb(wire.address()):
        async with serving(tmp_path, clock, monkeypatch) as found:
            yield found


@FAULTS
@TIMES
@pytest.mark.check("OAU-1")
async def test_a_code_is_redeemed_once(
    world: World, order: Order, fault: dict[str, Any], times: int
) -> None:
    client, user = await world.client(), await world.user()
    for skip in range(3):  # the first write of the request, the second, the third
        code = (await world.grant(client, user)).code
        order(*COMMANDS, times=times, skip=skip, **fault)
        answer = await world.redeem(client, code)
        order(*COMMANDS, times=0, **fault)
        assert answer.status_code in (200, 400, 503), answer.text
        again = await world.redeem(client, code)
        assert (answer.status_code, again.status_code) != (200, 200)
        for given in (answer, again):
            if given.status_code == 200 and given is not again:
                assert not await world.is_let_in(given.json()["access_token"])
        if again.status_code == 200:  # what was refused had used nothing up
            assert await world.is_let_in(again.json()["access_token"])
            assert (await world.redeem(client, code)).status_code == 400
        assert not await world.authorizations.of_user(user.id)


@FAULTS
@TIMES
@pytest.mark.check("OAU-4")
async def test_a_refresh_token_is_not_lost(
    world: World, order: Order, fault: dict[str, Any], times: int
) -> None:
    client, user = await world.client(), await world.user()
    for skip in range(3):
        token = (await world.tokens(client, user))["refresh_token"]
        order(*COMMANDS, times=times, skip=skip, **fault)
        answer = await world.refresh(client, token)
        order(*COMMANDS, times=0, **fault)
        assert answer.status_code in (200, 503), answer.text
        again = await world.refresh(client, token)
        assert again.status_code == 200
        if answer.status_code == 200:
            assert again.json()["refresh_token"] == answer.json()["refresh_token"]
        assert await world.is_let_in(again.json()["access_token"])


@FAULTS
@TIMES
async def test_what_was_said_to_be_revoked_is(
    world: World, order: Order, fault: dict[str, Any], times: int
) -> None:
    client, user = await world.client(), await world.user()
    for skip in range(2):
        body = await world.tokens(client, user)
        order(*COMMANDS, times=times, skip=skip, **fault)
        form = {"token": body["refresh_token"]}
        answer = await world.ask(client, "/auth/revoke", form)
        order(*COMMANDS, times=0, **fault)
        assert answer.status_code in (200, 503), answer.text
        if answer.status_code == 503:
            assert (await world.ask(client, "/auth/revoke", form)).status_code == 200
        assert not await world.is_let_in(body["access_token"])
        assert (await world.refresh(client, body["refresh_token"])).status_code == 400


async def test_a_new_primary_is_waited_for(
    world: World, admin: MongoClient[dict[str, Any]]
) -> None:
    client, user = await world.client(), await world.user()
    code = (await world.grant(client, user)).code
    admin.admin.command("replSetStepDown", 1)
    body = (await world.redeem(client, code)).json()
    assert await world.is_let_in(body["access_token"])
    admin.admin.command("replSetStepDown", 1)
    assert (await world.refresh(client, body["refresh_token"])).status_code == 200
