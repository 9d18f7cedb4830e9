"""Client assertions: whatever is wrong with one, it is refused."""

from __future__ import annotations

import hmac
import json
import time
from typing import Any

import pytest
from auth.tokens.world import (
    EC,
    RSA,
    SECRET,
    TOKEN,
    Clock,
    World,
    assertion_form,
    claims,
)
from authlib.oauth2.rfc7523 import private_key_jwt_sign
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from fhirserver.auth.assertion import LIFE, SKEW, check_claims
from fhirserver.auth.oauth_error import OAuthError
from fhirserver.auth.secret import text_of

FORM = {"grant_type": "client_credentials", "scope": "system/*.rs"}
OTHER_RSA = RSAKey.generate_key(2048, parameters={"kid": "rsa"})
SHORT = generate_private_key(65537, 1024).public_key().public_numbers().n.to_bytes(128, "big")
P256 = ECKey.generate_key("P-256", parameters={"kid": "p256"})


def by_hmac(header: dict[str, Any], body: dict[str, Any], key: bytes) -> str:
    """A JWT signed with what the server can read of the client, as if that were a secret."""
    signed = ".".join(text_of(json.dumps(part).encode()) for part in (header, body))
    name = header["alg"].replace("HS", "sha")
    return f"{signed}.{text_of(hmac.digest(key, signed.encode(), name))}"


async def status(world: World, **changed: Any) -> int:
    form = FORM | assertion_form("system", world.clock, **changed)
    answer = await world.http.post("/auth/token", data=form)
    if answer.status_code != 200:
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    return answer.status_code


@pytest.mark.check("SEC-14")
@pytest.mark.parametrize("algorithm", ["RS384", "ES384"])
async def test_good_assertions(world: World, algorithm: str) -> None:
    await world.system()
    assert await status(world, algorithm=algorithm) == 200
    assert await status(world, algorithm=algorithm, aud=[TOKEN]) == 200
    now = world.clock() // 1_000_000
    assert await status(world, algorithm=algorithm, iat=now, nbf=now) == 200
    assert await status(world, header={"typ": None}) == 200


@pytest.mark.check("SEC-14")
@pytest.mark.check("OAU-12")
async def test_claims_that_do_not_hold(world: World) -> None:
    await world.system()
    await world.system("twin")
    now = world.clock() // 1_000_000
    for changed in (
        {"iss": "nobody", "sub": "nobody"},
        {"sub": "twin"},
        {"iss": None},
        {"iss": ["system"], "sub": ["system"]},
        {"aud": "http://localhost/fhir"},
        {"aud": None},
        {"aud": []},
        {"exp": now - 1},
        {"exp": now + 6 * 60},
        {"exp": now + 315_360_000},
        {"exp": str(now + 60)},
        {"exp": True},
        {"exp": None},
        {"jti": None},
        {"jti": ""},
        {"jti": 7},
        {"jti": "x" * 300},
        {"nbf": now + 120},
        {"iat": now + 120},
    ):
        assert await status(world, **changed) == 401, changed
    form = FORM | assertion_form("system", world.clock) | {"client_id": "twin"}
    assert (await world.http.post("/auth/token", data=form)).status_code == 401


@pytest.mark.check("SEC-14")
@pytest.mark.check("OAU-12")
async def test_headers_that_choose_a_key(world: World) -> None:
    await world.system()
    public = OTHER_RSA.as_dict(private=False)
    for changed in (
        {"key": OTHER_RSA},
        {"key": OTHER_RSA, "header": {"jwk": public}},
        {"key": OTHER_RSA, "header": {"x5u": "https://evil.test/c"}},
        {"header": {"jku": "https://evil.test/jwks"}},
        {"header": {"kid": "unknown"}},
        {"header": {"kid": None}},
        {"header": {"kid": "ec"}},
        {"header": {"typ": "dpop+jwt"}},
        {"header": {"crit": ["kid"]}},
    ):
        assert await status(world, **changed) == 401, changed


@pytest.mark.check("SEC-14")
@pytest.mark.check("OAU-12")
async def test_algorithms_that_are_not_allowed(world: World) -> None:
    await world.system()
    for algorithm, key in (
        ("RS256", RSA),
        ("RS512", RSA),
        ("PS384", RSA),
        ("ES256", P256),
        ("HS384", RSA.as_pem(private=False)),
        ("HS256", SECRET.encode()),
    ):
        header, body = {"alg": algorithm, "kid": "rsa"}, claims("system", world.clock)
        if isinstance(key, bytes):
            text = by_hmac(header, body, key)
        else:
            text = jwt.encode(header, body, key, algorithms=[algorithm])
        form = FORM | assertion_form("system", world.clock) | {"client_assertion": text}
        answer = await world.http.post("/auth/token", data=form)
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    good = assertion_form("system", world.clock)["client_assertion"]
    head, body, signature = good.split(".")
    none = "eyJhbGciOiJub25lIiwia2lkIjoicnNhIn0"  # {"alg":"none","kid":"rsa"}
    for text in (
        f"{none}.{body}.",
        f"{head}.{body}.",
        f"{head}.{body}.{signature[:-8]}AAAAAAAA",
        f"{head}.{body}",
        "a.b.c",
        "é.b.c",
        "x" * 9000,
        "",
    ):
        form = FORM | assertion_form("system", world.clock) | {"client_assertion": text}
        assert (await world.http.post("/auth/token", data=form)).status_code == 401


@pytest.mark.check("SEC-14")
async def test_exactly_one_key_of_that_name(world: World) -> None:
    rsa, ec = RSA.as_dict(private=False), EC.as_dict(private=False)
    sets = {
        "one": ([rsa, {"kty": "EC", "kid": "rsa"}], 200),
        "twice": ([rsa, rsa], 401),
        "for-encryption": ([rsa | {"use": "enc"}], 401),
        "of-another-algorithm": ([rsa | {"alg": "RS256"}], 401),
        "short": ([rsa | {"n": text_of(SHORT)}], 401),
        "damaged": ([rsa | {"n": "?"}], 401),
        "none": ([ec], 401),
    }
    for id, (keys, expected) in sets.items():
        await world.system(id, jwks={"keys": keys})
        form = FORM | assertion_form(id, world.clock)
        assert (await world.http.post("/auth/token", data=form)).status_code == expected, id
    await world.system("curve", jwks={"keys": [P256.as_dict(private=False) | {"kid": "ec"}]})
    form = FORM | assertion_form("curve", world.clock, algorithm="ES384")
    assert (await world.http.post("/auth/token", data=form)).status_code == 401


@pytest.mark.check("SEC-14")
async def test_an_assertion_is_good_once(world: World) -> None:
    await world.system()
    await world.system("other")
    form = FORM | assertion_form("system", world.clock, jti="same")
    assert (await world.http.post("/auth/token", data=form)).status_code == 200
    assert (await world.http.post("/auth/token", data=form)).status_code == 401
    assert await status(world, jti="same") == 401
    form = FORM | assertion_form("other", world.clock, jti="same")
    assert (await world.http.post("/auth/token", data=form)).status_code == 200
    world.clock.move(LIFE + SKEW + 1)
    assert await status(world, jti="same") == 200


async def test_an_assertion_of_authlib(world: World) -> None:
    await world.system()
    text = private_key_jwt_sign(
        RSA,
        client_id="system",
        token_endpoint=TOKEN,
        alg="RS384",
        header={"kid": "rsa"},
        expires_at=int(time.time()) + 120,
    )
    form = FORM | assertion_form("system", world.clock) | {"client_assertion": text}
    assert (await world.http.post("/auth/token", data=form)).status_code == 200


AUDIENCES = frozenset({TOKEN})
instants = st.one_of(
    st.integers(-LIFE, 2 * LIFE), st.sampled_from([0, 1, LIFE + SKEW, LIFE + SKEW + 1, SKEW])
)
odd = st.one_of(
    st.none(), st.booleans(), st.text(max_size=5), st.floats(), st.lists(st.text(max_size=3))
)


@pytest.mark.check("SEC-14")
@given(expires=instants, before=st.none() | instants, issued=st.none() | instants)
def test_times_of_an_assertion(expires: int, before: int | None, issued: int | None) -> None:
    clock = Clock()
    now = clock() // 1_000_000
    changed = {
        "exp": now + expires,
        "nbf": None if before is None else now + before,
        "iat": None if issued is None else now + issued,
    }
    holds = 0 < expires <= LIFE + SKEW
    holds = holds and all(item is None or item <= SKEW for item in (before, issued))
    found = claims("c", clock, **changed)
    try:
        check_claims(found, AUDIENCES, now)
    except OAuthError as error:
        assert error.code == "invalid_client"
        assert not holds
    else:
        assert holds


@pytest.mark.check("SEC-14")
@given(name=st.sampled_from(["exp", "jti", "aud", "nbf", "iat"]), value=odd)
def test_claims_of_odd_kinds(name: str, value: Any) -> None:
    found = claims("c", Clock()) | {name: value}
    fits = name == "jti" and isinstance(value, str) and bool(value.strip())
    try:
        check_claims(found, AUDIENCES, Clock()() // 1_000_000)
    except OAuthError:
        assert not fits
    else:
        assert fits
