"""Of many who present the same secret at once, one wins; on both stores."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from auth.tokens.world import Clock, World, assertion_form, serving

MANY = 16


@pytest.fixture
async def world(
    each_store: str, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[World]:
    async with serving(tmp_path, clock, monkeypatch) as found:
        yield found


@pytest.mark.check("OAU-1")
@pytest.mark.parametrize("many", [2, MANY])
async def test_one_code_many_times(world: World, many: int) -> None:
    client, user = await world.client(), await world.user()
    for _ in range(4):
        code = (await world.grant(client, user)).code
        answers = await asyncio.gather(*(world.redeem(client, code) for _ in range(many)))
        assert Counter(answer.status_code for answer in answers) == {200: 1, 400: many - 1}
        (won,) = [answer.json() for answer in answers if answer.status_code == 200]
        assert not await world.is_let_in(won["access_token"])
        assert (await world.refresh(client, won["refresh_token"])).status_code == 400


@pytest.mark.check("OAU-4")
async def test_one_refresh_token_many_times(world: World) -> None:
    client, user = await world.client(), await world.user()
    token = (await world.tokens(client, user))["refresh_token"]
    for _ in range(4):
        asks = (world.refresh(client, token) for _ in range(MANY))
        answers = [answer.json() for answer in await asyncio.gather(*asks)]
        # One rotation: all who asked in time are told the same successor.
        assert len({answer["refresh_token"] for answer in answers}) == 1
        assert answers[0]["refresh_token"] != token
        token = answers[0]["refresh_token"]
    assert await world.is_let_in(answers[0]["access_token"])


@pytest.mark.check("OAU-4")
async def test_one_refresh_token_many_times_without_grace(world: World) -> None:
    client, user = await world.client(), await world.user()
    first = (await world.tokens(client, user))["refresh_token"]
    second = (await world.refresh(client, first)).json()["refresh_token"]
    world.clock.move(21)
    asks = [world.refresh(client, first) for _ in range(MANY)]
    answers = await asyncio.gather(*asks, world.refresh(client, second))
    assert all(answer.status_code == 400 for answer in answers[:MANY])
    if answers[MANY].status_code == 200:  # it came before the thief was found out
        assert not await world.is_let_in(answers[MANY].json()["access_token"])
    assert (await world.refresh(client, second)).status_code == 400


@pytest.mark.check("OAU-4")
async def test_refreshing_while_it_is_revoked(world: World) -> None:
    client, user = await world.client(), await world.user()
    for place in range(6):
        token = (await world.tokens(client, user))["refresh_token"]
        (found,) = await world.authorizations.of_user(user.id)
        asks = [world.refresh(client, token) for _ in range(6)]
        revoking = world.authorizations.revoke(found.id, "user")
        work = [*asks[:place], revoking, *asks[place:]]
        answers = [item for item in await asyncio.gather(*work) if not isinstance(item, bool)]
        for answer in answers:
            if answer.status_code == 200:
                assert not await world.is_let_in(answer.json()["access_token"])
                again = await world.refresh(client, answer.json()["refresh_token"])
                assert again.status_code == 400


@pytest.mark.check("SEC-14")
async def test_one_assertion_many_times(world: World) -> None:
    system = await world.system()
    form = {"grant_type": "client_credentials", "scope": "system/*.rs"}
    form |= assertion_form(system.id, world.clock)
    asks = (world.http.post("/auth/token", data=form) for _ in range(MANY))
    answers = await asyncio.gather(*asks)
    assert Counter(answer.status_code for answer in answers) == {200: 1, 401: MANY - 1}


@pytest.mark.check("OAU-8")
async def test_one_pushed_request_many_times(world: World) -> None:
    from fhirserver.auth.oauth_error import OAuthError
    from fhirserver.auth.pushed import PushedRequests

    client = await world.client()
    pushed = PushedRequests(world.store.records, now=world.clock, random=lambda size: b"p" * size)
    uri = await pushed.push(client, {"client_id": client.id})
    asks = (pushed.take(uri, client.id) for _ in range(MANY))
    found = await asyncio.gather(*asks, return_exceptions=True)
    assert sum(isinstance(item, dict) for item in found) == 1
    assert sum(isinstance(item, OAuthError) for item in found) == MANY - 1


async def test_the_first_signing_key_is_one(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(tmp_path, clock, monkeypatch, ring=b"") as world:
        answers = await asyncio.gather(*(world.http.get("/auth/jwks") for _ in range(4)))
    assert len({answer.text for answer in answers}) == 1
