"""id_tokens, the keys that sign them, and what the server tells of itself."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import pytest
from auth.tokens.world import AUTH, FHIR, ORIGIN, TOKEN, World
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.jwk import KeySet

from fhirserver.auth.signing_keys import SigningKeys

SMART = "/fhir/.well-known/smart-configuration"
OPENID = "/auth/.well-known/openid-configuration"


async def verified(world: World, text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of an id_token, by the published keys."""
    keys = (await world.http.get("/auth/jwks")).json()
    token = jwt.decode(text, KeySet.import_key_set(keys), algorithms=["RS256"])
    return token.header, token.claims


@pytest.mark.check("OID-1")
@pytest.mark.check("OID-4")
@pytest.mark.check("OID-5")
@pytest.mark.check("OID-6")
async def test_the_id_token(world: World) -> None:
    client, user = await world.client(), await world.user()
    body = await world.tokens(client, user, authenticated=world.clock(), methods=("pwd", "otp"))
    header, claims = await verified(world, body["id_token"])
    assert header["alg"] == "RS256"
    assert header["kid"] == "signing"
    # Authlib as an independent reader of the claims.
    options = {"iss": {"value": AUTH}, "nonce": {"value": "n-1"}, "aud": {"value": client.id}}
    read = CodeIDToken(claims, header, options, {"nonce": "n-1", "client_id": client.id})
    read.validate(now=world.clock() // 1_000_000, leeway=0)
    assert claims["sub"] == user.id
    assert len(claims["sub"]) < 256
    assert claims["amr"] == ["pwd", "otp"]
    assert claims["acr"] == "urn:fhirserver:acr:two-factors"
    assert abs(claims["auth_time"] - claims["iat"]) <= 60


@pytest.mark.check("OID-7")
@pytest.mark.parametrize("person", ["Practitioner/p", "Patient/a", "RelatedPerson/r"])
async def test_the_users_own_resource(world: World, person: str) -> None:
    client, user = await world.client(), await world.user(fhir_user=person)
    body = await world.tokens(client, user, patient="a")
    _, claims = await verified(world, body["id_token"])
    assert claims["fhirUser"] == f"{FHIR}/{person}"
    body = await world.tokens(client, user, scopes=("openid", "user/*.rs"), nonce=None)
    _, claims = await verified(world, body["id_token"])
    assert "fhirUser" not in claims
    assert "nonce" not in claims
    body = await world.tokens(client, user, scopes=("fhirUser", "user/*.rs"))
    assert "id_token" not in body


@pytest.mark.check("OAU-12")
async def test_an_id_token_opens_nothing(world: World) -> None:
    body = await world.tokens(await world.client(), await world.user())
    for text in (body["id_token"], body["refresh_token"]):
        assert not await world.is_let_in(text)


async def test_keys_rotate_with_overlap(world: World) -> None:
    client, user = await world.client(), await world.user()
    keys = SigningKeys(world.store.records, now=world.clock)
    old = (await world.tokens(client, user))["id_token"]
    made = await keys.rotate()
    published = {key["kid"] for key in (await world.http.get("/auth/jwks")).json()["keys"]}
    assert published == {"signing", made.kid}
    token = (await world.tokens(client, user))["id_token"]
    assert (await verified(world, token))[0]["kid"] == "signing"
    world.clock.move(15 * 60)
    token = (await world.tokens(client, user))["id_token"]
    assert (await verified(world, token))[0]["kid"] == made.kid
    assert (await verified(world, old))[0]["kid"] == "signing"
    world.clock.move(24 * 3600)
    (key,) = (await world.http.get("/auth/jwks")).json()["keys"]
    assert key["kid"] == made.kid
    leaked = await keys.rotate(at_once=True)
    (key,) = (await world.http.get("/auth/jwks")).json()["keys"]
    assert key["kid"] == leaked.kid
    token = (await world.tokens(client, user))["id_token"]
    assert (await verified(world, token))[0]["kid"] == leaked.kid


@pytest.mark.check("OID-4")
async def test_the_published_keys_are_public(world: World) -> None:
    answer = await world.http.get("/auth/jwks", headers={"Origin": ORIGIN})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["access-control-allow-origin"] == "*"
    for key in answer.json()["keys"]:
        assert set(key) == {"kty", "n", "e", "kid", "use", "alg"}


@pytest.mark.check("DIS-1")
@pytest.mark.check("DIS-2")
@pytest.mark.check("DIS-3")
@pytest.mark.check("DIS-4")
@pytest.mark.check("DIS-5")
@pytest.mark.check("SEC-16")
@pytest.mark.check("OAU-6")
async def test_the_smart_configuration(world: World) -> None:
    headers = {"Accept": "application/json", "Origin": ORIGIN}
    answer = await world.http.get(SMART, headers=headers)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.headers["access-control-allow-origin"] in (ORIGIN, "*")
    told = answer.json()
    assert told["issuer"] == AUTH
    assert told["token_endpoint"] == TOKEN
    for name, value in told.items():
        if name.endswith(("_endpoint", "_uri")) or name == "issuer":
            assert urlsplit(value).scheme
            assert urlsplit(value).netloc
    assert "authorization_code" in told["grant_types_supported"]
    assert "client_credentials" in told["grant_types_supported"]
    assert told["code_challenge_methods_supported"] == ["S256"]
    assert all(isinstance(item, str) for item in told["capabilities"])
    assert "sso-openid-connect" in told["capabilities"]
    assert {"openid", "launch/patient"} <= set(told["scopes_supported"])
    assert "private_key_jwt" in told["token_endpoint_auth_methods_supported"]
    signing = told["token_endpoint_auth_signing_alg_values_supported"]
    assert set(signing) == {"RS384", "ES384"}
    assert told["authorization_response_iss_parameter_supported"] is True
    assert "registration_endpoint" not in told


@pytest.mark.check("OID-2")
@pytest.mark.check("OID-3")
async def test_the_openid_configuration(world: World) -> None:
    issuer = (await world.http.get(SMART)).json()["issuer"]
    answer = await world.http.get(f"{issuer}/.well-known/openid-configuration")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    told = answer.json()
    assert told["issuer"] == issuer
    assert "RS256" in told["id_token_signing_alg_values_supported"]
    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
        assert told[name].startswith(AUTH)
    for name in ("response_types_supported", "subject_types_supported"):
        assert told[name]


@pytest.mark.check("DIS-6")
async def test_the_capability_statement_tells_where_to_get_in(world: World) -> None:
    answer = await world.http.get("/fhir/metadata", headers={"Origin": ORIGIN})
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] in (ORIGIN, "*")
    security = json.loads(answer.text)["rest"][0]["security"]
    assert security["service"][0]["coding"][0]["code"] == "SMART-on-FHIR"
    (uris,) = security["extension"]
    assert uris["url"].endswith("/oauth-uris")
    told = {item["url"]: item["valueUri"] for item in uris["extension"]}
    assert told["token"] == TOKEN
    assert told["authorize"] == f"{AUTH}/authorize"
    assert "{auth}" not in answer.text


async def test_a_host_that_is_not_ours(world: World) -> None:
    for path in (SMART, OPENID):
        answer = await world.http.get(path, headers={"Host": "a b"})
        assert answer.status_code == 400
