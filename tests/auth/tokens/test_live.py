"""What a token depends on counts at the very next request, also when another worker changed it."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import msgspec
import pytest
from store.making import Clock

from fhirserver.auth.access_token import AccessToken, AccessTokens
from fhirserver.auth.authorization import MINUTE, Approved, Authorization
from fhirserver.auth.authorizations import Authorizations
from fhirserver.auth.client import Client
from fhirserver.auth.clients import Clients
from fhirserver.auth.live import Liveness
from fhirserver.identity.account import Account
from fhirserver.identity.accounts import Accounts
from fhirserver.identity.sessions import Sessions
from fhirserver.store.records import Place, Records
from fhirserver.store.sqlite.store import SqliteStore

SCOPES = ("offline_access", "user/*.rs", "user/Patient.u")


@dataclass
class Worker:
    """What one worker has; two of them share a store file."""

    tokens: AccessTokens
    authorizations: Authorizations
    clients: Clients
    accounts: Accounts
    liveness: Liveness
    asked: list[int]


class Counted:
    """Records that count how many calls and keys are asked for."""

    def __init__(self, records: Records, asked: list[int]) -> None:
        self._records = records
        self._asked = asked

    async def get_many(self, keys: tuple[Place, ...]) -> object:
        self._asked.append(len(keys))
        return await self._records.get_many(keys)


def worker(store: SqliteStore, clock: Clock) -> Worker:
    records, random = store.records, secrets.token_bytes
    tokens = AccessTokens(records, now=clock, random=random)
    authorizations = Authorizations(records, now=clock, random=random)
    clients = Clients(records, now=clock)
    accounts = Accounts(records, now=clock, new_id=lambda: "ada")
    sessions = Sessions(records, accounts, now=clock, random=random)
    asked: list[int] = []
    counted: Records = Counted(records, asked)  # type: ignore[assignment]
    liveness = Liveness("default", counted, authorizations, tokens, clients, accounts, sessions)
    return Worker(tokens, authorizations, clients, accounts, liveness, asked)


@dataclass
class Scene:
    here: Worker
    there: Worker
    clock: Clock
    token: str
    authorization: Authorization
    account: Account


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    clock = Clock()
    stores = [SqliteStore.open(tmp_path / "fhir.db", clock=clock) for _ in range(2)]
    here, there = (worker(store, clock) for store in stores)
    account = await there.accounts.create("ada", roles=("doctor",))
    await there.clients.add(
        Client(id="app", name="App", kind="public", created=clock(), scopes=SCOPES)
    )
    granted = await there.authorizations.grant(
        Approved(
            tenant="default",
            client="app",
            user=account.id,
            scopes=SCOPES,
            audience="http://localhost/fhir",
            redirect_uri="https://app.example.org/",
            challenge="x",
        )
    )
    token = await there.tokens.issue(
        AccessToken(
            authorization=granted.authorization.id,
            client="app",
            user=account.id,
            scopes=SCOPES,
            issued=clock(),
            until=clock() + 15 * MINUTE,
        )
    )
    yield Scene(here, there, clock, token, granted.authorization, account)
    for store in stores:
        await store.close()


Change: TypeAlias = Callable[[Scene], Awaitable[object]]

ENDS: dict[str, Change] = {
    "the token is revoked": lambda scene: scene.there.tokens.revoke(scene.token),
    "the authorization is revoked": lambda scene: scene.there.authorizations.revoke(
        scene.authorization.id, "test"
    ),
    "the client is suspended": lambda scene: scene.there.clients.change("app", suspended=True),
    "the client is removed": lambda scene: scene.there.clients.remove("app"),
    "the account is locked": lambda scene: scene.there.accounts.change(
        scene.account.id, lambda old: msgspec.structs.replace(old, state="locked")
    ),
    "the account is removed": lambda scene: scene.there.accounts.remove(scene.account.id),
}


@pytest.mark.check("SEC-5")
@pytest.mark.parametrize("what", ENDS)
async def test_what_ends_access_ends_it_at_once(scene: Scene, what: str) -> None:
    for _ in range(3):
        assert await scene.here.liveness.of_token(scene.token) is not None
    await ENDS[what](scene)
    assert await scene.here.liveness.of_token(scene.token) is None
    assert await scene.here.liveness.of_token(scene.token) is None


async def test_the_end_of_its_time_ends_it(scene: Scene) -> None:
    assert await scene.here.liveness.of_token(scene.token) is not None
    scene.clock.now += 15 * MINUTE
    assert await scene.here.liveness.of_token(scene.token) is None


async def test_what_changes_is_told_at_once(scene: Scene) -> None:
    first = await scene.here.liveness.of_token(scene.token)
    assert first is not None
    assert first.scopes == SCOPES
    await scene.there.clients.change("app", scopes=("offline_access", "user/*.rs"))
    second = await scene.here.liveness.of_token(scene.token)
    assert second is not None
    assert second.scopes == ("offline_access", "user/*.rs")
    await scene.there.accounts.change(
        scene.account.id, lambda old: msgspec.structs.replace(old, roles=("nurse",))
    )
    third = await scene.here.liveness.of_token(scene.token)
    assert third is not None
    assert third.parties.account is not None
    assert third.parties.account.roles == ("nurse",)
    await scene.there.clients.change("app", suspended=True)
    assert await scene.here.liveness.of_token(scene.token) is None
    await scene.there.clients.change("app", suspended=False)
    assert await scene.here.liveness.of_token(scene.token) is not None


async def test_while_nothing_changes_one_call_tells_it(scene: Scene) -> None:
    first = await scene.here.liveness.of_token(scene.token)
    scene.here.asked.clear()
    assert await scene.here.liveness.of_token(scene.token) is first
    assert scene.here.asked == [4]


async def test_what_is_no_token_is_not_looked_up(scene: Scene) -> None:
    for text in ("", "x", scene.token + "x", scene.token[:-1]):
        assert await scene.here.liveness.of_token(text) is None
    assert scene.here.asked == []
    assert await scene.here.liveness.of_token("x" * len(scene.token)) is None
