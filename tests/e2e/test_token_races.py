"""Codes and refresh tokens that many present at once to two workers, over one SQLite file."""

from __future__ import annotations

import asyncio
import secrets
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
from auth.tokens.world import REDIRECT, VERIFIER, challenge
from e2e.server import Server, serving

from fhirserver.auth.authorization import Approved
from fhirserver.auth.authorizations import Authorizations
from fhirserver.auth.client import Client
from fhirserver.auth.clients import Clients
from fhirserver.identity.accounts import Accounts
from fhirserver.store.sqlite import SqliteStore

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

MANY = 16
ROUNDS = 6


def now() -> int:
    return time.time_ns() // 1000


async def granted(data: Path, base: str) -> list[str]:
    """Codes that a user gave to a client, as the pages would have done it."""
    store = SqliteStore.open(data / "fhir.db", clock=now)
    try:
        records = store.records
        clients, random = Clients(records, now=now), secrets.token_bytes
        client = Client(
            id="app", name="app", kind="public", created=now(), redirect_uris=(REDIRECT,)
        )
        await clients.add(client)
        accounts = Accounts(records, now=now, new_id=lambda: str(uuid.uuid4()))
        user = await accounts.create("ada", roles=("doctor",), fhir_user="Practitioner/p")
        authorizations = Authorizations(records, now=now, random=random)
        approved = Approved(
            tenant="default",
            client="app",
            user=user.id,
            scopes=("offline_access", "user/*.rs"),
            audience=base,
            redirect_uri=REDIRECT,
            challenge=challenge(VERIFIER),
        )
        return [(await authorizations.grant(approved)).code for _ in range(ROUNDS)]
    finally:
        await store.close()


def asked(server: Server, pool: ThreadPoolExecutor, form: dict[str, str]) -> list[Any]:
    """The answers to a request that many make at once, each on a connection of its own."""

    def ask(number: int) -> httpx2.Response:
        return httpx2.post(f"{server.root}/auth/token", data=form, timeout=60)

    return list(pool.map(ask, range(MANY)))


@pytest.mark.check("OAU-1")
@pytest.mark.check("OAU-4")
@pytest.mark.check("BCP-14")
def test_two_workers_give_one_answer(tmp_path: Path) -> None:
    data = tmp_path / "data"
    options = ("--auth", "smart", "--workers", "2")
    with (
        serving(data, *options, FHIRSERVER_LIMITS="off") as server,
        ThreadPoolExecutor(MANY) as pool,
    ):
        *codes, last = asyncio.run(granted(data, server.base))
        for code in codes:
            form = {"grant_type": "authorization_code", "client_id": "app", "code": code}
            form |= {"redirect_uri": REDIRECT, "code_verifier": VERIFIER}
            answers = asked(server, pool, form)
            assert Counter(one.status_code for one in answers) == {200: 1, 400: MANY - 1}
            (won,) = [one.json() for one in answers if one.status_code == 200]
            assert is_refused(server, won["access_token"])  # the code came again: all ends

        form = {"grant_type": "authorization_code", "client_id": "app", "code": last}
        form |= {"redirect_uri": REDIRECT, "code_verifier": VERIFIER}
        first = httpx2.post(f"{server.root}/auth/token", data=form, timeout=60).json()
        token = first["refresh_token"]
        for _ in range(ROUNDS):
            form = {"grant_type": "refresh_token", "client_id": "app", "refresh_token": token}
            answers = asked(server, pool, form)
            assert {one.status_code for one in answers} == {200}
            successors = {one.json()["refresh_token"] for one in answers}
            assert len(successors) == 1
            (successor,) = successors
            assert successor != token
            token = successor
        assert not is_refused(server, answers[0].json()["access_token"])


def is_refused(server: Server, token: str) -> bool:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx2.get(f"{server.base}/Patient/x", headers=headers, timeout=60).status_code == 401
