"""Clients that register themselves, and requests that are pushed beforehand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from auth.tokens.world import (
    AUTH,
    FHIR,
    JWKS,
    REDIRECT,
    RSA,
    VERIFIER,
    Clock,
    World,
    assertion_form,
    challenge,
    serving,
)

from fhirserver.auth.oauth_error import OAuthError
from fhirserver.auth.pushed import PushedRequests

METADATA: dict[str, Any] = {
    "client_name": "My app",
    "redirect_uris": [REDIRECT],
    "token_endpoint_auth_method": "none",
    "grant_types": ["authorization_code", "refresh_token"],
    "response_types": ["code"],
    "scope": "openid fhirUser launch/patient patient/*.rs offline_access",
}


@pytest.fixture
async def open_world(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[World]:
    async with serving(tmp_path, clock, monkeypatch, client_registration="open") as found:
        yield found


@pytest.mark.check("SEC-2")
async def test_nobody_registers_unless_the_operator_says_so(world: World) -> None:
    answer = await world.http.post("/auth/register", json=METADATA)
    assert answer.status_code == 400
    assert await world.clients.all() == []


@pytest.mark.check("SEC-2")
async def test_an_app_that_registers_itself(open_world: World) -> None:
    world = open_world
    told = (await world.http.get("/fhir/.well-known/smart-configuration")).json()
    assert told["registration_endpoint"] == f"{AUTH}/register"
    answer = await world.http.post("/auth/register", json=METADATA | {"client_id": "mine"})
    assert answer.status_code == 201
    assert "no-store" in answer.headers["cache-control"]
    body = answer.json()
    assert body["client_id"] != "mine"
    assert "client_secret" not in body
    client = await world.clients.get(body["client_id"])
    assert client is not None
    assert client.dynamic
    assert client.redirect_uris == (REDIRECT,)
    assert client.roles == ()
    granted = await world.grant(client, await world.user(), patient="a")
    assert (await world.redeem(client, granted.code)).status_code == 200


async def test_a_secret_is_told_once(open_world: World) -> None:
    world = open_world
    metadata = METADATA | {"token_endpoint_auth_method": "client_secret_basic"}
    body = (await world.http.post("/auth/register", json=metadata)).json()
    assert body["client_secret_expires_at"] == 0
    client = await world.clients.get(body["client_id"])
    assert client is not None
    assert body["client_secret"].encode() not in client.secret_hash
    form = {"token": "x", "client_id": client.id, "client_secret": body["client_secret"]}
    assert (await world.http.post("/auth/introspect", data=form)).json() == {"active": False}


async def test_an_app_waits_to_be_let_in(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(tmp_path, clock, monkeypatch, client_registration="suspended") as world:
        body = (await world.http.post("/auth/register", json=METADATA)).json()
        assert await world.clients.live(body["client_id"]) is None
        await world.clients.change(body["client_id"], suspended=False)
        assert await world.clients.live(body["client_id"]) is not None


WRONG: dict[str, dict[str, Any]] = {
    "system": {"grant_types": ["client_credentials"]},
    "implicit": {"grant_types": ["implicit"]},
    "token": {"response_types": ["token"]},
    "method": {"token_endpoint_auth_method": "tls_client_auth"},
    "no-redirect": {"redirect_uris": []},
    "http": {"redirect_uris": ["http://app.example.org/cb"]},
    "wildcard-user": {"redirect_uris": ["https://app.example.org@evil.test/cb"]},
    "fragment": {"redirect_uris": ["https://app.example.org/cb#"]},
    "data": {"redirect_uris": ["data:text/html,x"]},
    "custom": {"redirect_uris": ["myapp:/cb"]},
    "spaces": {"redirect_uris": ["https://app.example.org/a b"]},
    "no-list": {"redirect_uris": REDIRECT},
    "scope": {"scope": "patient/Patient.sr"},
    "name": {"client_name": "x" * 200},
    "no-keys": {"token_endpoint_auth_method": "private_key_jwt"},
    "private": {
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": {"keys": [RSA.as_dict(private=True)]},
    },
    "two-sets": {
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": JWKS,
        "jwks_uri": "https://app.example.org/jwks",
    },
    "jwks-http": {
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks_uri": "http://app.example.org/jwks",
    },
}


@pytest.mark.check("SEC-2")
async def test_metadata_that_is_refused(open_world: World) -> None:
    for name, changed in WRONG.items():
        answer = await open_world.http.post("/auth/register", json=METADATA | changed)
        assert answer.status_code == 400, name
        assert answer.json()["error"] in ("invalid_client_metadata", "invalid_redirect_uri"), name
    for content in (b"", b"[]", b"{", b"x" * 70_000):
        answer = await open_world.http.post("/auth/register", content=content)
        assert answer.status_code == 400
    assert await open_world.clients.all() == []


def request(client_id: str, **changed: Any) -> dict[str, str]:
    usual = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": REDIRECT,
        "scope": "launch/patient patient/*.rs",
        "state": "s",
        "aud": FHIR,
        "code_challenge": challenge(VERIFIER),
        "code_challenge_method": "S256",
    }
    return {name: value for name, value in (usual | changed).items() if value is not None}


@pytest.mark.check("OAU-8")
@pytest.mark.parametrize("kind", ["public", "symmetric", "asymmetric"])
async def test_a_request_that_is_pushed(world: World, kind: str) -> None:
    client = await world.client(kind=kind)
    form = request(client.id)
    answer = await world.ask(client, "/auth/par", form)
    assert answer.status_code == 201
    assert "no-store" in answer.headers["cache-control"]
    assert 0 < answer.json()["expires_in"] <= 90
    uri = answer.json()["request_uri"]
    pushed = PushedRequests(world.store.records, now=world.clock, random=lambda size: b"x" * size)
    with pytest.raises(OAuthError):
        await pushed.take(uri, "other")
    found = await pushed.take(uri, client.id)
    assert found == form
    with pytest.raises(OAuthError):
        await pushed.take(uri, client.id)


@pytest.mark.check("OAU-8")
async def test_a_pushed_request_does_not_last(world: World) -> None:
    client = await world.client()
    uri = (await world.ask(client, "/auth/par", request(client.id))).json()["request_uri"]
    pushed = PushedRequests(world.store.records, now=world.clock, random=lambda size: b"x" * size)
    world.clock.move(91)
    for text in (uri, f"{uri}x", "urn:x", ""):
        with pytest.raises(OAuthError):
            await pushed.take(text, client.id)


@pytest.mark.check("OAU-8")
async def test_what_is_checked_when_it_is_pushed(world: World) -> None:
    client = await world.client()
    for changed in (
        {"redirect_uri": "https://evil.test/cb"},
        {"redirect_uri": None},
        {"code_challenge": None},
        {"code_challenge_method": "plain"},
        {"aud": "https://evil.test/fhir"},
        {"response_type": "token"},
        {"scope": "system/*.rs"},
        {"request_uri": "urn:ietf:params:oauth:request_uri:x"},
    ):
        answer = await world.ask(client, "/auth/par", request(client.id, **changed))
        assert answer.status_code == 400, changed
    nobody = await world.http.post("/auth/par", data=request("nobody"))
    assert nobody.status_code == 401


@pytest.mark.check("OAU-8")
async def test_assertions_for_a_push(world: World) -> None:
    client = await world.client(kind="asymmetric")
    for audience, status in ((f"{AUTH}/par", 201), (AUTH, 201), (f"{AUTH}/revoke", 401)):
        form = request(client.id) | assertion_form(client.id, world.clock, aud=audience)
        assert (await world.http.post("/auth/par", data=form)).status_code == status
