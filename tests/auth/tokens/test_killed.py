"""Nothing is doubled, lost or unrecorded when the process dies at any write of a token request."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from auth.tokens.killed import Ask, told
from auth.tokens.world import REDIRECT, VERIFIER, Clock, World, serving

from fhirserver.app.audit import verification_of
from fhirserver.settings import Settings

pytestmark = [pytest.mark.slow, pytest.mark.check("OPS-10")]

MOST = 20  # writes of a token request; there are fewer

Patch = pytest.MonkeyPatch


@asynccontextmanager
async def again(data: Path, patch: Patch) -> AsyncIterator[World]:
    """The server that is started after the one that died."""
    async with serving(data, Clock(), patch) as world:
        yield world
        found = await verification_of(Settings(data=data, auth="smart"), world.store).run()
        assert found.problems == []


@pytest.fixture(params=[False, True], ids=["before", "after"])
def after(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def cases(tmp_path: Path, path: str, form: dict[str, str], after: bool) -> AsyncIterator[Path]:
    """The data folder of a process that was killed at its first write, its second, ..."""

    async def run() -> AsyncIterator[Path]:
        for write in range(1, MOST):
            folder = tmp_path / str(write)
            shutil.copytree(tmp_path / "data", folder)
            answer = told(folder, Ask(path, form, write, after))
            if answer is not None:
                assert answer[0] == 200
                assert write > 3, "there are that many writes"
                return
            yield folder
        raise AssertionError("it writes without end")

    return run()


@pytest.mark.check("OAU-1")
async def test_a_code_is_redeemed(tmp_path: Path, monkeypatch: Patch, after: bool) -> None:
    async with serving(tmp_path / "data", Clock(), monkeypatch) as world:
        client, user = await world.client(), await world.user()
        code = (await world.grant(client, user)).code
    form = {"grant_type": "authorization_code", "client_id": client.id, "code": code}
    form |= {"redirect_uri": REDIRECT, "code_verifier": VERIFIER}
    outcomes = set()
    async for folder in cases(tmp_path, "/auth/token", form, after):
        async with again(folder, monkeypatch) as world:
            answer = await world.redeem(client, code)
            outcomes.add(answer.status_code)
            live = await world.authorizations.of_user(user.id)
            if answer.status_code == 200:
                assert len(live) == 1
                assert await world.is_let_in(answer.json()["access_token"])
                assert (await world.redeem(client, code)).status_code == 400
            assert not await world.authorizations.of_user(user.id)  # a code is good once
    assert outcomes == ({400} if after else {200, 400})


@pytest.mark.check("OAU-4")
async def test_a_refresh_token_is_used(tmp_path: Path, monkeypatch: Patch, after: bool) -> None:
    async with serving(tmp_path / "data", Clock(), monkeypatch) as world:
        client, user = await world.client(), await world.user()
        token = (await world.tokens(client, user))["refresh_token"]
    form = {"grant_type": "refresh_token", "client_id": client.id, "refresh_token": token}
    async for folder in cases(tmp_path, "/auth/token", form, after):
        async with again(folder, monkeypatch) as world:
            answer = await world.refresh(client, token)  # its answer was lost
            assert answer.status_code == 200
            successor = answer.json()["refresh_token"]
            assert (await world.refresh(client, token)).json()["refresh_token"] == successor
            world.clock.move(30)
            assert (await world.refresh(client, successor)).status_code == 200
            assert (await world.refresh(client, token)).status_code == 400
            assert not await world.authorizations.of_user(user.id)


async def test_an_authorization_is_revoked(tmp_path: Path, monkeypatch: Patch, after: bool) -> None:
    async with serving(tmp_path / "data", Clock(), monkeypatch) as world:
        client, user = await world.client(), await world.user()
        body = await world.tokens(client, user)
    form = {"client_id": client.id, "token": body["refresh_token"]}
    async for folder in cases(tmp_path, "/auth/revoke", form, after):
        async with again(folder, monkeypatch) as world:
            answer = await world.ask(client, "/auth/revoke", {"token": body["refresh_token"]})
            assert answer.status_code == 200
            assert not await world.is_let_in(body["access_token"])
            assert (await world.refresh(client, body["refresh_token"])).status_code == 400
