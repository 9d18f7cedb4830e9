"""Who calls the FHIR base: tokens, proofs, and what a refusal says."""

from __future__ import annotations

from typing import Any

import pytest
from auth.tokens.world import FHIR, ORIGIN, REDIRECT, TOKEN, VERIFIER, Clock, World
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey
from store.making import put

from fhirserver.auth.authenticate import credentials
from fhirserver.auth.pkce import proves
from fhirserver.auth.secret import bytes_of, hash_of, text_of
from fhirserver.errors import Unauthenticated

KEY = ECKey.generate_key("P-256")
OTHER = ECKey.generate_key("P-256")
PAGES = ("Patient/a", "Patient", "metadata/x", "Patient/a/_history", "$export", "_history", "x")


def proof(
    clock: Clock,
    method: str = "GET",
    url: str = f"{FHIR}/Patient/none",
    *,
    token: str | None = None,
    key: Any = KEY,
    header: dict[str, Any] | None = None,
    **changed: Any,
) -> str:
    lines = {"typ": "dpop+jwt", "alg": "ES256", "jwk": key.as_dict(private=False)}
    claims = {
        "htm": method,
        "htu": url,
        "iat": clock() // 1_000_000,
        "jti": text_of(hash_of(repr((url, token, changed, proof.count)).encode())),
    }
    proof.count += 1  # type: ignore[attr-defined]
    if token is not None:
        claims["ath"] = text_of(hash_of(token.encode()))
    made = {name: value for name, value in (claims | changed).items() if value is not None}
    algorithm = (lines | (header or {}))["alg"]
    return jwt.encode(lines | (header or {}), made, key, algorithms=[algorithm])


proof.count = 0  # type: ignore[attr-defined]


@pytest.mark.check("G10-4")
@pytest.mark.check("SEC-5")
@pytest.mark.parametrize("path", PAGES)
async def test_without_a_token(world: World, path: str) -> None:
    for method in ("GET", "POST", "PUT", "DELETE", "PATCH"):
        answer = await world.http.request(method, f"/fhir/{path}")
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == 'Bearer realm="fhir"'
        assert answer.json()["resourceType"] == "OperationOutcome"
        assert answer.json()["issue"][0]["code"] == "login"


@pytest.mark.check("SEC-5")
@pytest.mark.parametrize("path", PAGES)
async def test_an_expired_token(world: World, path: str) -> None:
    body = await world.tokens(await world.client(), await world.user())
    world.clock.move(901)
    for method in ("GET", "POST"):
        headers = {"Authorization": f"Bearer {body['access_token']}"}
        answer = await world.http.request(method, f"/fhir/{path}", headers=headers)
        assert answer.status_code == 401
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    bundle = {"resourceType": "Bundle", "type": "batch", "entry": []}
    answer = await world.http.post("/fhir", json=bundle, headers=headers)
    assert answer.status_code == 401


@pytest.mark.check("BCP-3")
async def test_other_ways_to_send_a_token(world: World) -> None:
    token = (await world.tokens(await world.client(), await world.user()))["access_token"]
    for headers in (
        {"Authorization": token},
        {"Authorization": f"Basic {token}"},
        {"Authorization": f"DPoP {token}"},
        {"Authorization": "Bearer "},
        {"Authorization": f"Bearer {token} x"},
        {"Authorization": f"Bearer {token}="},
        {"Cookie": f"access_token={token}"},
    ):
        assert (await world.http.get("/fhir/Patient/a", headers=headers)).status_code == 401
    query = await world.http.get("/fhir/Patient/a", params={"access_token": token})
    assert query.status_code == 401
    lower = {"Authorization": f"bearer {token}"}
    assert (await world.http.get("/fhir/Patient/a", headers=lower)).status_code == 404


@pytest.mark.check("OID-7")
@pytest.mark.check("OID-8")
@pytest.mark.check("G10-5")
async def test_a_launched_app_reads_the_patient_and_its_user(world: World) -> None:
    for type, id in (("Patient", "a"), ("Patient", "b"), ("Practitioner", "p")):
        await world.store.commit([put(type, id)])
    client, user = await world.client(), await world.user()
    scopes = ("openid", "fhirUser", "offline_access", "launch/patient", "patient/Patient.rs")
    body = await world.tokens(client, user, scopes=scopes, patient="a")
    for _ in range(2):
        token = body["access_token"]
        answer = await world.fhir(f"Patient/{body['patient']}", token, Origin=ORIGIN)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] in (ORIGIN, "*")
        own = await world.fhir("Practitioner/p", token, Origin=ORIGIN)
        assert own.status_code == 200
        assert own.headers["access-control-allow-origin"] in (ORIGIN, "*")
        assert (await world.fhir("Patient/b", token)).status_code in (403, 404)
        beyond = await world.fhir("Observation", token)
        assert beyond.status_code == 403
        assert 'error="insufficient_scope"' in beyond.headers["www-authenticate"]
        body = (await world.refresh(client, body["refresh_token"])).json()


@pytest.mark.check("SEC-11")
async def test_a_patient_scope_without_a_patient_opens_nothing(world: World) -> None:
    client, user = await world.client(), await world.user()
    body = await world.tokens(client, user, scopes=("patient/*.rs",))
    for path in ("Patient", "Patient/a", "Observation"):
        assert (await world.fhir(path, body["access_token"])).status_code == 403


@pytest.mark.check("BCP-9")
@pytest.mark.check("OAU-12")
async def test_a_token_of_another_tenant(world: World) -> None:
    client, user = await world.client(), await world.user()
    body = await world.tokens(client, user)
    held = await world.authorizations.get((await world.authorizations.of_user(user.id))[0].id)
    assert held is not None
    assert await world.is_let_in(body["access_token"])
    elsewhere = {"Authorization": f"Bearer {body['access_token']}"}
    answer = await world.http.get("/t/other/fhir/Patient/a", headers=elsewhere)
    assert answer.status_code in (401, 404)


@pytest.mark.check("BCP-10")
@pytest.mark.check("OAU-9")
async def test_tokens_that_are_bound_to_a_key(world: World) -> None:
    client, user = await world.client(dpop=True), await world.user()
    clock = world.clock
    code = (await world.grant(client, user)).code
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": REDIRECT,
        "code_verifier": VERIFIER,
    }
    without = await world.ask(client, "/auth/token", form)
    assert (without.status_code, without.json()["error"]) == (400, "invalid_dpop_proof")
    headers = {"DPoP": proof(clock, "POST", TOKEN)}
    answer = await world.ask(client, "/auth/token", form, headers=headers)
    body = answer.json()
    assert body["token_type"] == "DPoP"
    token = body["access_token"]

    async def status(sent: str | None, scheme: str = "DPoP") -> int:
        headers = {"Authorization": f"{scheme} {token}"} | ({"DPoP": sent} if sent else {})
        answer = await world.http.get("/fhir/Patient/none?_summary=true", headers=headers)
        if answer.status_code == 401:
            assert answer.headers["www-authenticate"].startswith("DPoP")
        return answer.status_code

    good = proof(clock, token=token)
    assert await status(good) == 404
    assert await status(good) == 401  # a proof is good once
    now = clock() // 1_000_000
    assert await status(None) == 401
    assert await status(proof(clock, token=token), "Bearer") == 401
    for bad in (
        proof(clock, token="another"),
        proof(clock),
        proof(clock, token=token, key=OTHER),
        proof(clock, "POST", token=token),
        proof(clock, url=f"{FHIR}/Patient/other", token=token),
        proof(clock, url="https://localhost/fhir/Patient/none", token=token),
        proof(clock, token=token, iat=now - 120),
        proof(clock, token=token, iat=now + 60),
        proof(clock, token=token, iat=None),
        proof(clock, token=token, jti=None),
        proof(clock, token=token, header={"typ": "JWT"}),
        proof(clock, token=token, header={"jwk": OTHER.as_dict(private=False)}),
        proof(clock, token=token, header={"jwk": KEY.as_dict(private=True)}),
        proof(clock, token=token, key=OTHER, header={"jwk": KEY.as_dict(private=False)}),
        "x",
    ):
        assert await status(bad) == 401
    for headers in ({}, {"DPoP": proof(clock, "POST", TOKEN, key=OTHER)}):
        form = {"grant_type": "refresh_token", "refresh_token": body["refresh_token"]}
        answer = await world.ask(client, "/auth/token", form, headers=headers)
        assert answer.status_code == 400
    headers = {"DPoP": proof(clock, "POST", TOKEN)}
    answer = await world.ask(client, "/auth/token", form, headers=headers)
    assert answer.json()["token_type"] == "DPoP"
    token = answer.json()["access_token"]
    assert await status(proof(clock, token=token)) == 404


@pytest.mark.check("OAU-9")
async def test_a_proof_of_who_is_not_registered_for_it_binds_nothing(world: World) -> None:
    client, user = await world.client(), await world.user()
    form = {
        "grant_type": "authorization_code",
        "code": (await world.grant(client, user)).code,
        "redirect_uri": REDIRECT,
        "code_verifier": VERIFIER,
    }
    headers = {"DPoP": proof(world.clock, "POST", TOKEN)}
    answer = await world.ask(client, "/auth/token", form, headers=headers)
    assert answer.json()["token_type"] == "Bearer"
    assert await world.is_let_in(answer.json()["access_token"])


@pytest.mark.check("OAU-9")
async def test_a_code_that_is_bound_to_a_key(world: World) -> None:
    client, user = await world.client(), await world.user()
    granted = await world.grant(client, user, thumbprint=str(KEY.thumbprint()))
    assert (await world.redeem(client, granted.code)).status_code == 400
    form = {
        "grant_type": "authorization_code",
        "code": granted.code,
        "redirect_uri": REDIRECT,
        "code_verifier": VERIFIER,
    }
    rsa = RSAKey.generate_key(2048)
    wrong = proof(world.clock, "POST", TOKEN, key=rsa, header={"alg": "RS256"})
    for sent, status in ((wrong, 400), (proof(world.clock, "POST", TOKEN), 200)):
        answer = await world.ask(client, "/auth/token", form, headers={"DPoP": sent})
        assert answer.status_code == status


@given(value=st.binary(max_size=60))
def test_headers_of_any_kind(value: bytes) -> None:
    try:
        scheme, token = credentials({b"authorization": value})
    except Unauthenticated as error:
        assert error.headers["WWW-Authenticate"].startswith(("Bearer ", "DPoP "))
    else:
        assert scheme in ("Bearer", "DPoP")
        assert token


@given(secret=st.binary(max_size=60), text=st.text(max_size=60))
def test_secrets_have_one_spelling(secret: bytes, text: str) -> None:
    assert bytes_of(text_of(secret)) == secret
    found = bytes_of(text)
    assert found is None or text_of(found) == text


@pytest.mark.check("SEC-4")
@given(verifier=st.text(alphabet="aA0-._~+/=é", min_size=40, max_size=130))
def test_which_verifiers_prove_something(verifier: str) -> None:
    made = text_of(hash_of(verifier.encode()))
    fits = 43 <= len(verifier) <= 128 and not set(verifier) & set("+/=é")
    assert proves(verifier, made) == fits
    assert not proves(verifier, verifier)
    assert not proves(None, made)
