"""Nonces of proofs, at the token endpoint, where requests are pushed, and at the FHIR base."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from auth.tokens.test_authenticate import KEY, OTHER, proof
from auth.tokens.world import AUTH, FHIR, ORIGIN, REDIRECT, TOKEN, VERIFIER, Clock, World, serving
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.auth.client import Client
from fhirserver.auth.dpop_nonce import Nonces

MINUTES = 60


@pytest.fixture
async def nonces(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[World]:
    """A world in which proofs need a nonce."""
    async with serving(tmp_path, clock, monkeypatch, dpop_nonce=True) as world:
        yield world


async def ask(
    world: World, client: Client, form: dict[str, str], nonce: str | None, **changed: Any
) -> httpx2.Response:
    headers = {"DPoP": proof(world.clock, "POST", TOKEN, nonce=nonce, **changed), "Origin": ORIGIN}
    return await world.ask(client, "/auth/token", form, headers=headers)


async def redeemable(world: World, client: Client) -> dict[str, str]:
    user = await world.user()
    return {
        "grant_type": "authorization_code",
        "code": (await world.grant(client, user)).code,
        "redirect_uri": REDIRECT,
        "code_verifier": VERIFIER,
    }


@pytest.mark.check("BCP-10")
@pytest.mark.check("OAU-9")
async def test_a_nonce_is_told_and_then_needed(nonces: World) -> None:
    client = await nonces.client(dpop=True)
    form = await redeemable(nonces, client)
    told = await ask(nonces, client, form, None)
    assert (told.status_code, told.json()["error"]) == (400, "use_dpop_nonce")
    assert told.headers["cache-control"] == "no-store"
    assert told.headers["access-control-expose-headers"] == "DPoP-Nonce"
    nonce = told.headers["dpop-nonce"]
    for wrong in ("", nonce[:-1], nonce + "A", "A" * len(nonce), 1, [nonce], "é"):
        answer = await ask(nonces, client, form, wrong)  # type: ignore[arg-type]
        assert answer.json()["error"] == "use_dpop_nonce", wrong
    given = await ask(nonces, client, form, nonce)  # what was refused has used nothing up
    assert given.status_code == 200
    assert given.headers["dpop-nonce"] == nonce
    token = given.json()["access_token"]

    async def read(nonce: str | None, sent: str = token) -> httpx2.Response:
        made = proof(nonces.clock, token=sent, nonce=nonce)
        headers = {"Authorization": f"DPoP {sent}", "DPoP": made, "Origin": ORIGIN}
        return await nonces.http.get("/fhir/Patient/none", headers=headers)

    assert (await read(nonce)).status_code == 404
    refused = await read(None)
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"].startswith("DPoP ")
    assert 'error="use_dpop_nonce"' in refused.headers["www-authenticate"]
    assert refused.headers["dpop-nonce"] == nonce
    assert "DPoP-Nonce" in refused.headers["access-control-expose-headers"]
    stranger = await read(nonce, "A" * 64)
    assert stranger.status_code == 401
    assert "dpop-nonce" not in stranger.headers  # it is counted as made up

    nonces.clock.move(10 * MINUTES)
    late = await read(nonce)
    assert late.status_code == 401
    newer = late.headers["dpop-nonce"]
    assert newer != nonce
    assert (await read(newer)).status_code == 404
    form = {"grant_type": "refresh_token", "refresh_token": given.json()["refresh_token"]}
    assert (await ask(nonces, client, form, nonce)).json()["error"] == "use_dpop_nonce"
    assert (await ask(nonces, client, form, newer)).status_code == 200


@pytest.mark.check("OAU-9")
async def test_good_tokens_are_not_counted_as_made_up(nonces: World) -> None:
    """However often a client is told a newer nonce: many of them are behind one address."""
    client = await nonces.client(dpop=True)
    form = await redeemable(nonces, client)
    nonce = (await ask(nonces, client, form, None)).headers["dpop-nonce"]
    token = (await ask(nonces, client, form, nonce)).json()["access_token"]
    for _ in range(120):
        headers = {"Authorization": f"DPoP {token}", "DPoP": proof(nonces.clock, token=token)}
        answer = await nonces.http.get("/fhir/Patient/none", headers=headers)
        assert answer.status_code == 401


@pytest.mark.check("OAU-9")
async def test_a_pushed_request_with_a_proof(nonces: World) -> None:
    client = await nonces.client()
    push = f"{AUTH}/par"
    form = {
        "response_type": "code",
        "client_id": client.id,
        "redirect_uri": REDIRECT,
        "scope": "user/*.rs",
        "state": "s",
        "aud": FHIR,
        "code_challenge": "a" * 43,
        "code_challenge_method": "S256",
    }

    async def pushed(nonce: str | None, key: Any = KEY, **more: str) -> httpx2.Response:
        headers = {"DPoP": proof(nonces.clock, "POST", push, nonce=nonce, key=key)}
        return await nonces.http.post("/auth/par", data=form | more, headers=headers)

    told = await pushed(None)
    assert (told.status_code, told.json()["error"]) == (400, "use_dpop_nonce")
    nonce = told.headers["dpop-nonce"]
    found = str(KEY.thumbprint())
    assert (await pushed(nonce)).status_code == 201
    assert (await pushed(nonce, dpop_jkt=found)).status_code == 201
    other = await pushed(nonce, key=OTHER, dpop_jkt=found)
    assert (other.status_code, other.json()["error"]) == (400, "invalid_dpop_proof")
    (kept, *_) = [record.body for record in await nonces.store.records.list("auth.pushed")]
    assert found.encode() in kept


@given(
    start=st.integers(0, 10**15),
    passed=st.integers(0, 20 * MINUTES),
    key=st.binary(min_size=32, max_size=32),
)
def test_how_long_a_nonce_is_good(start: int, passed: int, key: bytes) -> None:
    now = [start]
    nonces = Nonces(key, now=lambda: now[0])
    nonce = nonces.current()
    now[0] += passed * 1_000_000
    if passed <= 5 * MINUTES:
        assert nonces.is_good(nonce)
    if passed >= 10 * MINUTES:
        assert not nonces.is_good(nonce)
    assert not Nonces(b"x" + key[1:], now=lambda: start).is_good(nonce) or key[:1] == b"x"
