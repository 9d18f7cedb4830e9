"""Authlib as a client that knows nothing of this server but the standards."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx2
import pytest
from auth.tokens.world import AUTH, EC, REDIRECT, RSA, SECRET, TOKEN, VERIFIER, World
from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.client import OAuth2Client
from authlib.oauth2.rfc7523 import PrivateKeyJWT


class Session:
    """What Authlib sends requests with, from a thread of its own; the server is in the loop."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self._http = http
        self._loop = asyncio.get_running_loop()

    def post(self, url: str, *, data: Any, headers: Any, auth: Any, **_: Any) -> httpx2.Response:
        body = data if isinstance(data, str) else str(httpx2.QueryParams(data))
        sent = {"Content-Type": "application/x-www-form-urlencoded"} | dict(headers or {})
        if isinstance(auth, ClientAuth):
            url, sent, body = auth.prepare("POST", url, sent, body)
        asked = self._http.post(url, content=body, headers=dict(sent))
        return asyncio.run_coroutine_threadsafe(asked, self._loop).result(30)

    def close(self) -> None:
        return None


class Signed(PrivateKeyJWT):
    """Assertions of an algorithm and key of SMART."""

    def __init__(self, alg: str, kid: str) -> None:
        super().__init__(TOKEN, headers={"alg": alg, "kid": kid}, alg=alg)

    def sign(self, auth: Any, token_endpoint: str) -> str:
        # Authlib's own hour is more than SMART lets an assertion have.
        self.claims = {"exp": int(time.time()) + 120}
        return str(super().sign(auth, token_endpoint))


METHODS = {
    "none": ("public", None, "none"),
    "basic": ("symmetric", SECRET, "client_secret_basic"),
    "post": ("symmetric", SECRET, "client_secret_post"),
    "RS384": ("asymmetric", RSA, "private_key_jwt"),
    "ES384": ("asymmetric", EC, "private_key_jwt"),
}


def client_of(world: World, name: str, client_id: str) -> OAuth2Client:
    _, secret, method = METHODS[name]
    found = OAuth2Client(
        Session(world.http),
        client_id=client_id,
        client_secret=secret,
        token_endpoint_auth_method=method,
        revocation_endpoint_auth_method=method,
        redirect_uri=REDIRECT,
    )
    if method == "private_key_jwt":
        found.register_client_auth_method(Signed(name, secret.kid))
    return found


@pytest.mark.check("TOK-1")
@pytest.mark.check("REF-2")
@pytest.mark.parametrize("name", METHODS)
async def test_an_app_of_authlib(world: World, name: str) -> None:
    client = await world.client(kind=METHODS[name][0])
    granted = await world.grant(client, await world.user())
    authlib = client_of(world, name, client.id)
    token = await asyncio.to_thread(
        authlib.fetch_token, TOKEN, code=granted.code, code_verifier=VERIFIER
    )
    assert token["token_type"] == "Bearer"
    assert await world.is_let_in(token["access_token"])
    for _ in range(2):
        token = await asyncio.to_thread(
            authlib.refresh_token, TOKEN, refresh_token=token["refresh_token"]
        )
        assert await world.is_let_in(token["access_token"])
    if name != "none":
        told = await asyncio.to_thread(
            authlib.introspect_token, f"{AUTH}/introspect", token=token["access_token"]
        )
        assert told.json()["active"] is True
    given_back = await asyncio.to_thread(
        authlib.revoke_token, f"{AUTH}/revoke", token=token["refresh_token"]
    )
    assert given_back.status_code == 200
    assert not await world.is_let_in(token["access_token"])


@pytest.mark.check("BKS-4")
@pytest.mark.parametrize("name", ["RS384", "ES384"])
async def test_a_system_of_authlib(world: World, name: str) -> None:
    system = await world.system()
    authlib = client_of(world, name, system.id)
    token = await asyncio.to_thread(
        authlib.fetch_token, TOKEN, grant_type="client_credentials", scope="system/*.rs"
    )
    assert token["expires_in"] == 300
    assert (await world.fhir("Patient", token["access_token"])).status_code == 200
