"""A clock that is set back or forth while codes, tokens and writes are on their way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from auth.tokens.world import Clock, World, assertion_form, serving
from store.making import put

HOUR = 3600


@pytest.fixture
async def world(
    each_store: str, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[World]:
    async with serving(tmp_path, clock, monkeypatch) as found:
        yield found


@pytest.mark.check("OPS-10")
@pytest.mark.check("SEC-5")
@pytest.mark.parametrize("back", [300, HOUR, 24 * HOUR])
async def test_a_clock_that_is_set_back_prolongs_no_token(world: World, back: int) -> None:
    client, user = await world.client(), await world.user()
    token = (await world.tokens(client, user))["access_token"]
    world.clock.move(901)
    assert not await world.is_let_in(token)
    world.clock.move(-901)
    world.clock.move(-back)  # before it was issued
    assert not await world.is_let_in(token)
    world.clock.move(back - 30)  # within what clocks of machines may differ by
    token = (await world.tokens(client, user))["access_token"]
    assert await world.is_let_in(token)


@pytest.mark.check("OPS-10")
async def test_codes_and_a_clock_that_is_set_back(world: World) -> None:
    client, user = await world.client(), await world.user()
    used, unused = [await world.grant(client, user) for _ in range(2)]
    assert (await world.redeem(client, used.code)).status_code == 200
    world.clock.move(-HOUR)
    assert (await world.redeem(client, unused.code)).status_code == 400
    assert (await world.redeem(client, used.code)).status_code == 400
    world.clock.move(HOUR)
    (first, *_) = await world.authorizations.of_user(user.id) or [None]
    assert first is None  # the code that came again ended it


@pytest.mark.check("OPS-10")
@pytest.mark.check("OAU-4")
async def test_a_replaced_refresh_token_and_a_clock_that_is_set_back(world: World) -> None:
    """The moment in which an answer may have been lost does not last for an hour."""
    client, user = await world.client(), await world.user()
    first = (await world.tokens(client, user))["refresh_token"]
    second = (await world.refresh(client, first)).json()["refresh_token"]
    world.clock.move(-HOUR)
    assert (await world.refresh(client, first)).status_code == 400
    assert (await world.refresh(client, second)).status_code == 400  # a thief was found out


@pytest.mark.check("OPS-10")
@pytest.mark.parametrize("jump", [-24 * HOUR, -60, 3 * HOUR])
async def test_what_was_revoked_stays_revoked(world: World, jump: int) -> None:
    client, user = await world.client(), await world.user()
    body = await world.tokens(client, user)
    (found,) = await world.authorizations.of_user(user.id)
    assert await world.authorizations.revoke(found.id, "user")
    for move in (jump, -jump):
        world.clock.move(move)
        assert not await world.is_let_in(body["access_token"])
        assert (await world.refresh(client, body["refresh_token"])).status_code == 400


@pytest.mark.check("OPS-10")
@pytest.mark.check("SEC-14")
async def test_an_assertion_is_good_once_whatever_the_clock_does(world: World) -> None:
    system = await world.system()
    form = {"grant_type": "client_credentials", "scope": "system/*.rs"}
    form |= assertion_form(system.id, world.clock)
    assert (await world.http.post("/auth/token", data=form)).status_code == 200
    for move in (-HOUR, HOUR - 200, 200):
        world.clock.move(move)
        assert (await world.http.post("/auth/token", data=form)).status_code in (400, 401)


@pytest.mark.check("OPS-10")
async def test_instants_of_versions_never_go_back(world: World) -> None:
    seen = []
    for version, move in enumerate((0, -HOUR, -24 * HOUR, 25 * HOUR, -1), 1):
        world.clock.move(move)
        await world.store.commit([put("Patient", "a", version)])
        found = await world.store.read("Patient", "a")
        assert found is not None
        seen.append(found.last_updated)
    assert seen == sorted(seen)


@pytest.mark.check("OPS-10")
@pytest.mark.check("SEC-14")
@pytest.mark.parametrize("ahead", [600, HOUR, 20 * HOUR])
async def test_an_assertion_is_not_forgotten_by_a_clock_that_was_ahead(
    world: World, ahead: int
) -> None:
    """While the clock is ahead, what has expired by it is taken away."""
    system = await world.system()
    form = {"grant_type": "client_credentials", "scope": "system/*.rs"}
    form |= assertion_form(system.id, world.clock)
    assert (await world.http.post("/auth/token", data=form)).status_code == 200
    world.clock.move(ahead)
    for number in range(40):
        await world.store.records.put("job", f"{number}", b"x", expires=world.clock() + 1)
        world.clock.move(0.001)
    world.clock.move(-ahead)
    assert (await world.http.post("/auth/token", data=form)).status_code == 401
