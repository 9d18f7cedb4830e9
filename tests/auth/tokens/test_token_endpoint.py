"""The token endpoint: codes, refresh tokens, systems, and what every answer has in common."""

from __future__ import annotations

from typing import Any

import pytest
from auth.tokens.world import (
    ASSERTION,
    ORIGIN,
    REDIRECT,
    SECRET,
    TOKEN,
    VERIFIER,
    World,
    assertion_form,
    basic,
    challenge,
)

KINDS = ("public", "symmetric", "asymmetric")


def error_of(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json().get("error", "")


@pytest.mark.check("TOK-1")
@pytest.mark.check("TOK-2")
@pytest.mark.check("TOK-4")
@pytest.mark.check("G10-13")
@pytest.mark.parametrize("kind", KINDS)
async def test_a_code_becomes_tokens(world: World, kind: str) -> None:
    client = await world.client(kind=kind)
    user = await world.user()
    granted = await world.grant(
        client, user, patient="a", context={"need_patient_banner": True, "smart_style_url": "x"}
    )
    answer = await world.redeem(client, granted.code)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert "no-store" in answer.headers["cache-control"]
    assert "no-cache" in answer.headers["pragma"]
    body = answer.json()
    assert body["token_type"] == "Bearer"
    assert type(body["expires_in"]) is int
    assert 0 < body["expires_in"] <= 900
    assert body["scope"] == "openid fhirUser offline_access user/*.rs"
    assert body["patient"] == "a"
    assert body["need_patient_banner"] is True
    assert body["smart_style_url"] == "x"
    for name in ("access_token", "refresh_token", "id_token"):
        assert isinstance(body[name], str)
        assert body[name]


@pytest.mark.check("TOK-1")
@pytest.mark.parametrize("algorithm", ["RS384", "ES384"])
async def test_both_algorithms_of_assertions(world: World, algorithm: str) -> None:
    client = await world.client(kind="asymmetric")
    granted = await world.grant(client, await world.user())
    form = {
        "grant_type": "authorization_code",
        "code": granted.code,
        "redirect_uri": REDIRECT,
        "code_verifier": VERIFIER,
    }
    answer = await world.ask(client, "/auth/token", form, algorithm=algorithm)
    assert answer.status_code == 200


async def test_a_secret_in_the_form(world: World) -> None:
    client = await world.client(kind="symmetric")
    granted = await world.grant(client, await world.user())
    form = {
        "grant_type": "authorization_code",
        "code": granted.code,
        "redirect_uri": REDIRECT,
        "code_verifier": VERIFIER,
        "client_id": client.id,
        "client_secret": SECRET,
    }
    assert (await world.http.post("/auth/token", data=form)).status_code == 200


@pytest.mark.check("TOK-5")
async def test_pages_of_registered_origins_may_read_the_answer(world: World) -> None:
    client = await world.client(origins=("https://other.example.org",))
    for origin in (ORIGIN, "https://other.example.org"):
        granted = await world.grant(client, await world.user(name=f"u{len(origin)}"))
        form = {
            "grant_type": "authorization_code",
            "code": granted.code,
            "redirect_uri": REDIRECT,
            "code_verifier": VERIFIER,
        }
        answer = await world.ask(client, "/auth/token", form, headers={"Origin": origin})
        assert answer.headers["access-control-allow-origin"] == origin
    foreign = await world.ask(client, "/auth/token", form, headers={"Origin": "https://evil.test"})
    assert foreign.status_code == 400
    assert "access-control-allow-origin" not in foreign.headers
    asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
    before = await world.http.options("/auth/token", headers=asked)
    assert before.status_code == 204
    assert "POST" in before.headers["access-control-allow-methods"]


@pytest.mark.check("G10-10")
@pytest.mark.parametrize("code", ["", "x", "BAD_CODE", "A" * 64])
async def test_a_bad_code(world: World, code: str) -> None:
    client = await world.client()
    answer = await world.redeem(client, code)
    assert answer.status_code == 400
    assert answer.json()["error"] == ("invalid_grant" if code else "invalid_request")
    assert "no-store" in answer.headers["cache-control"]


@pytest.mark.check("G10-10")
async def test_a_bad_client(world: World) -> None:
    client = await world.client(kind="symmetric")
    granted = await world.grant(client, await world.user())
    form = {
        "grant_type": "authorization_code",
        "code": granted.code,
        "redirect_uri": REDIRECT,
        "code_verifier": VERIFIER,
    }
    for credentials in (basic("BAD"), basic(client.id, "wrong"), "Basic ???", "Bearer x"):
        headers = {"Authorization": credentials}
        answer = await world.http.post("/auth/token", data=form, headers=headers)
        assert error_of(answer) == (401, "invalid_client")
        assert answer.headers["www-authenticate"].startswith("Basic")
    assert error_of(await world.http.post("/auth/token", data=form)) == (401, "invalid_client")
    nobody = {"client_id": client.id} | form
    assert error_of(await world.http.post("/auth/token", data=nobody)) == (401, "invalid_client")
    assert (await world.redeem(client, granted.code)).status_code == 200


@pytest.mark.check("BCP-8")
@pytest.mark.check("SEC-4")
@pytest.mark.check("G10-11")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "verifier",
    [None, "", "w" * 64, challenge(VERIFIER), VERIFIER[:42], VERIFIER + "é"],
    ids=["missing", "blank", "wrong", "challenge", "short", "odd"],
)
async def test_the_verifier_must_fit(world: World, kind: str, verifier: str | None) -> None:
    client = await world.client(kind=kind)
    granted = await world.grant(client, await world.user())
    form = {"grant_type": "authorization_code", "code": granted.code, "redirect_uri": REDIRECT}
    if verifier is not None:
        form["code_verifier"] = verifier
    assert error_of(await world.ask(client, "/auth/token", form)) == (400, "invalid_grant")


@pytest.mark.check("OAU-2")
@pytest.mark.check("OAU-3")
async def test_what_a_code_is_bound_to(world: World) -> None:
    client, other = await world.client(), await world.client("other")
    user = await world.user()
    code = (await world.grant(client, user)).code
    assert error_of(await world.redeem(other, code)) == (400, "invalid_grant")
    for uri in (f"{REDIRECT}/", f"{REDIRECT}?x=1", "https://evil.test/callback"):
        answer = await world.redeem(client, code, redirect_uri=uri)
        assert error_of(answer) == (400, "invalid_grant")
    assert (await world.redeem(client, code)).status_code == 200
    for fields in (
        {"tenant": "elsewhere"},
        {"audience": "http://localhost/t/x/fhir"},
        {"challenge": ""},
    ):
        code = (await world.grant(client, user, **fields)).code
        assert error_of(await world.redeem(client, code)) == (400, "invalid_grant")


@pytest.mark.check("BCP-3")
@pytest.mark.check("OAU-2")
async def test_a_code_is_good_for_a_minute(world: World) -> None:
    client, user = await world.client(), await world.user()
    code = (await world.grant(client, user)).code
    world.clock.move(61)
    assert error_of(await world.redeem(client, code)) == (400, "invalid_grant")


@pytest.mark.check("OAU-1")
async def test_a_code_that_comes_again_ends_everything(world: World) -> None:
    client = await world.client()
    granted = await world.grant(client, await world.user())
    body = (await world.redeem(client, granted.code)).json()
    assert await world.is_let_in(body["access_token"])
    assert error_of(await world.redeem(client, granted.code)) == (400, "invalid_grant")
    assert not await world.is_let_in(body["access_token"])
    answer = await world.refresh(client, body["refresh_token"])
    assert error_of(answer) == (400, "invalid_grant")


@pytest.mark.check("OAU-1")
@pytest.mark.parametrize("wrong", ["verifier", "redirect", "client"])
async def test_a_used_code_in_other_hands_ends_everything(world: World, wrong: str) -> None:
    client, other = await world.client(), await world.client("other", kind="symmetric")
    granted = await world.grant(client, await world.user())
    token = (await world.redeem(client, granted.code)).json()["access_token"]
    changed = {
        "verifier": {"code_verifier": "w" * 64},
        "redirect": {"redirect_uri": "https://evil.test/cb"},
        "client": {},
    }[wrong]
    thief = other if wrong == "client" else client
    assert error_of(await world.redeem(thief, granted.code, **changed)) == (400, "invalid_grant")
    assert not await world.is_let_in(token)


@pytest.mark.check("BKS-1")
@pytest.mark.check("OAU-7")
@pytest.mark.parametrize("grant_type", ["not_a_grant_type", "password", "implicit"])
async def test_other_grants_there_are_none(world: World, grant_type: str) -> None:
    system = await world.system()
    form = {"grant_type": grant_type, "scope": "system/*.rs"}
    answer = await world.ask(system, "/auth/token", form)
    assert error_of(answer) == (400, "unsupported_grant_type")


@pytest.mark.check("BKS-2")
@pytest.mark.check("BKS-3")
async def test_another_type_of_assertion(world: World) -> None:
    system = await world.system()
    form = {"grant_type": "client_credentials", "scope": "system/*.rs"}
    form |= assertion_form(system.id, world.clock)
    for changed in ({"client_assertion_type": "not_an_assertion_type"}, {"client_assertion": "x"}):
        answer = await world.http.post("/auth/token", data=form | changed)
        assert error_of(answer) == (401, "invalid_client")
    del form["client_assertion_type"]
    assert error_of(await world.http.post("/auth/token", data=form)) == (401, "invalid_client")


@pytest.mark.check("BKS-4")
@pytest.mark.check("SEC-17")
async def test_a_system_gets_what_it_was_given_beforehand(world: World) -> None:
    system = await world.system(scopes=("system/Patient.rs", "system/Observation.rs"))
    answer = await world.system_token(system, "system/Patient.rs system/Observation.cruds")
    assert answer.status_code == 200
    body = answer.json()
    assert body["token_type"] == "Bearer"
    assert body["expires_in"] == 300
    assert body["scope"].split() == ["system/Patient.rs", "system/Observation.rs"]
    assert "refresh_token" not in body
    all_types = (await world.system_token(system, "system/*.cruds")).json()["scope"]
    assert sorted(all_types.split()) == ["system/Observation.rs", "system/Patient.rs"]
    for scope in ("system/Encounter.rs", "patient/Patient.rs", "openid", "system/Patient.dus"):
        answer = await world.system_token(system, scope)
        assert error_of(answer) == (400, "invalid_scope")
    none = await world.ask(system, "/auth/token", {"grant_type": "client_credentials"})
    assert error_of(none) == (400, "invalid_request")


@pytest.mark.check("SEC-19")
async def test_a_system_does_not_get_in_by_secret(world: World) -> None:
    grants = ("client_credentials",)
    client = await world.client(kind="symmetric", grant_types=grants, scopes=("system/*.rs",))
    answer = await world.system_token(client)
    assert error_of(answer) == (400, "unauthorized_client")
    app = await world.client("app-2", kind="asymmetric")
    assert error_of(await world.system_token(app)) == (400, "unauthorized_client")


async def test_requests_that_are_none(world: World) -> None:
    client = await world.client()
    twice = "grant_type=authorization_code&grant_type=authorization_code&client_id=app"
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for content in (twice, "client_id=app", "%ff=%ff", "a=1&" * 200):
        answer = await world.http.post("/auth/token", content=content, headers=form)
        assert error_of(answer) == (400, "invalid_request")
    long = {"grant_type": "authorization_code", "client_id": client.id, "code": "x" * 70_000}
    assert error_of(await world.http.post("/auth/token", data=long)) == (400, "invalid_request")
    json = await world.http.post("/auth/token", json={"grant_type": "authorization_code"})
    assert error_of(json) == (400, "invalid_request")
    assert (await world.http.get("/auth/token")).status_code == 405
    both = {"Authorization": basic("app")}
    two = await world.http.post(
        "/auth/token",
        data={"grant_type": "refresh_token", "client_assertion": "x", "client_assertion_type": "y"},
        headers=both,
    )
    assert error_of(two) == (400, "invalid_request")


@pytest.mark.check("OAU-13")
async def test_refusals_do_not_tell_what_there_is(world: World) -> None:
    await world.client(kind="symmetric")
    await world.client("sleeping", kind="symmetric", suspended=True)
    form = {"grant_type": "refresh_token", "refresh_token": "x"}
    answers = []
    for credentials in (basic("app", "wrong"), basic("nobody"), basic("sleeping")):
        headers = {"Authorization": credentials}
        answer = await world.http.post("/auth/token", data=form, headers=headers)
        answers.append((answer.status_code, answer.text))
    assert len(set(answers)) == 1


async def test_the_audience_of_assertions_is_the_token_endpoint(world: World) -> None:
    system = await world.system()
    for audience, status in ((TOKEN, 200), (f"{TOKEN}/", 401), ("http://localhost/auth", 401)):
        form = {"grant_type": "client_credentials", "scope": "system/*.rs"}
        form |= assertion_form(system.id, world.clock, aud=audience)
        assert (await world.http.post("/auth/token", data=form)).status_code == status
    assert form["client_assertion_type"] == ASSERTION
