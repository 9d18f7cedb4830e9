"""What is told of tokens, to whom; and tokens that are given back."""

from __future__ import annotations

import time

import pytest
from auth.tokens.world import AUTH, FHIR, World, assertion_form

INACTIVE = {"active": False}


@pytest.mark.check("INT-1")
@pytest.mark.check("INT-2")
@pytest.mark.check("SEC-18")
async def test_a_good_token(world: World) -> None:
    client, user = await world.client(kind="symmetric"), await world.user()
    context = {"need_patient_banner": False, "intent": "x", "smart_style_url": "https://s.test"}
    body = await world.tokens(client, user, patient="a", encounter="e", context=context)
    form = {"token": body["access_token"]}
    answer = await world.ask(client, "/auth/introspect", form)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert "no-store" in answer.headers["cache-control"]
    told = answer.json()
    assert told["active"] is True
    assert set(told["scope"].split()) == set(body["scope"].split())
    assert told["client_id"] == client.id
    assert told["patient"] == "a"
    assert told["encounter"] == "e"
    assert {name: told[name] for name in context} == context
    assert told["iss"] == AUTH
    assert told["sub"] == user.id
    assert told["fhirUser"] == f"{FHIR}/Practitioner/p"
    assert type(told["exp"]) is int
    assert told["exp"] >= time.time() - 600


@pytest.mark.check("INT-3")
async def test_a_token_that_is_none(world: World) -> None:
    client = await world.client(kind="symmetric")
    body = await world.tokens(client, await world.user())
    world.clock.move(901)
    for token in ("invalid_token_value", body["access_token"], body["id_token"], "é"):
        answer = await world.ask(client, "/auth/introspect", {"token": token})
        assert (answer.status_code, answer.json()) == (200, INACTIVE)


@pytest.mark.check("SEC-18")
async def test_who_may_ask(world: World) -> None:
    client, user = await world.client(kind="symmetric"), await world.user()
    other = await world.client("other", kind="asymmetric")
    trusted = await world.client("trusted", kind="symmetric", introspects=True)
    public = await world.client("public")
    form = {"token": (await world.tokens(client, user))["access_token"]}
    assert (await world.ask(other, "/auth/introspect", form)).json() == INACTIVE
    assert (await world.ask(trusted, "/auth/introspect", form)).json()["active"] is True
    assert (await world.ask(public, "/auth/introspect", form)).status_code == 401
    assert (await world.http.post("/auth/introspect", data=form)).status_code == 401


@pytest.mark.check("SEC-18")
async def test_a_system_asks_with_its_own_token(world: World) -> None:
    client, user = await world.client(), await world.user()
    form = {"token": (await world.tokens(client, user))["access_token"]}
    system = await world.system(scopes=("system/*.rs", "introspection"))
    may = (await world.system_token(system, "introspection")).json()["access_token"]
    answer = await world.http.post(
        "/auth/introspect", data=form, headers={"Authorization": f"Bearer {may}"}
    )
    assert answer.json()["active"] is True
    assert answer.json()["client_id"] == client.id
    may_not = (await world.system_token(system, "system/*.rs")).json()["access_token"]
    answer = await world.http.post(
        "/auth/introspect", data=form, headers={"Authorization": f"Bearer {may_not}"}
    )
    assert answer.status_code == 403
    assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]
    answer = await world.http.post(
        "/auth/introspect", data=form, headers={"Authorization": "Bearer nothing"}
    )
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    plain = await world.system("plain")
    asked = await world.system_token(plain, "introspection")
    assert asked.json()["error"] == "invalid_scope"


@pytest.mark.check("OAU-10")
@pytest.mark.parametrize("kind", ["public", "symmetric", "asymmetric"])
async def test_a_refresh_token_that_is_given_back(world: World, kind: str) -> None:
    client = await world.client(kind=kind)
    body = await world.tokens(client, await world.user())
    answer = await world.ask(client, "/auth/revoke", {"token": body["refresh_token"]})
    assert answer.status_code == 200
    assert not await world.is_let_in(body["access_token"])
    assert (await world.refresh(client, body["refresh_token"])).status_code == 400


@pytest.mark.check("OAU-10")
async def test_an_access_token_that_is_given_back(world: World) -> None:
    client = await world.client()
    body = await world.tokens(client, await world.user())
    form = {"token": body["access_token"], "token_type_hint": "access_token"}
    assert (await world.ask(client, "/auth/revoke", form)).status_code == 200
    assert not await world.is_let_in(body["access_token"])
    assert (await world.refresh(client, body["refresh_token"])).status_code == 200


@pytest.mark.check("OAU-10")
async def test_tokens_of_others_stay(world: World) -> None:
    client, other = await world.client(), await world.client("other", kind="symmetric")
    body = await world.tokens(client, await world.user())
    for token in (body["refresh_token"], body["access_token"], "unknown"):
        assert (await world.ask(other, "/auth/revoke", {"token": token})).status_code == 200
    assert await world.is_let_in(body["access_token"])
    form = {"token": body["access_token"]}
    assert (await world.http.post("/auth/revoke", data=form)).status_code == 401
    assert (await world.ask(other, "/auth/revoke", {})).status_code == 400
    assert (await world.refresh(client, body["refresh_token"])).status_code == 200


async def test_assertions_for_the_endpoint_itself(world: World) -> None:
    client = await world.client(kind="asymmetric")
    body = await world.tokens(client, await world.user())
    for audience in (f"{AUTH}/introspect", AUTH, f"{AUTH}/token"):
        form = {"token": body["access_token"]}
        form |= assertion_form(client.id, world.clock, aud=audience)
        answer = await world.http.post("/auth/introspect", data=form)
        assert answer.json()["active"] is True
