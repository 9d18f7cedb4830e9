"""A server with authorization, in this process, and what an administrator set up there."""

from __future__ import annotations

import hashlib
import secrets
import time
import uuid
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import stores
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey
from serving import started

from fhirserver import Settings, create_app
from fhirserver.auth.authorization import Approved
from fhirserver.auth.authorizations import Authorizations, Granted
from fhirserver.auth.client import Client
from fhirserver.auth.clients import Clients
from fhirserver.auth.secret import hash_of, text_of
from fhirserver.auth.signing_keys import COLLECTION, KEY
from fhirserver.identity.account import Account
from fhirserver.identity.accounts import Accounts
from fhirserver.store.port import ServerStore

ORIGIN = "https://app.example.org"
REDIRECT = f"{ORIGIN}/callback"
FHIR = "http://localhost/fhir"
AUTH = "http://localhost/auth"
TOKEN = f"{AUTH}/token"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
SECRET = "a-secret-of-the-tests"
VERIFIER = "v" * 64
SECOND = 1_000_000

RSA = RSAKey.generate_key(2048, parameters={"kid": "rsa", "use": "sig"})
EC = ECKey.generate_key("P-384", parameters={"kid": "ec", "use": "sig"})
KEYS = {"RS384": RSA, "ES384": EC}
JWKS = {"keys": [RSA.as_dict(private=False), EC.as_dict(private=False)]}


class Clock:
    """The time at which it was made, moved on by `move` seconds and by nothing else."""

    def __init__(self) -> None:
        self._now = time.time_ns() // 1000

    def move(self, seconds: float) -> None:
        self._now += int(seconds * SECOND)

    def __call__(self) -> int:
        return self._now


class World:
    """`http` calls the server; the rest writes to its store, as its other parts do."""

    def __init__(self, http: httpx2.AsyncClient, store: ServerStore, clock: Clock) -> None:
        self.http = http
        self.store = store
        self.clock = clock
        self.clients = Clients(store.records, now=clock)
        self.authorizations = Authorizations(store.records, now=clock, random=secrets.token_bytes)
        self.accounts = Accounts(store.records, now=clock, new_id=lambda: str(uuid.uuid4()))

    async def client(self, id: str = "app", kind: str = "public", **fields: Any) -> Client:
        usual: dict[str, Any] = {"redirect_uris": (REDIRECT,)}
        if kind == "symmetric":
            usual["secret_hash"] = hash_of(SECRET.encode())
        if kind == "asymmetric" and "jwks_uri" not in fields:
            usual["jwks"] = JWKS
        made = Client(id=id, name=id, kind=kind, created=self.clock(), **(usual | fields))
        await self.clients.add(made)
        return made

    async def system(self, id: str = "system", **fields: Any) -> Client:
        usual: dict[str, Any] = {
            "grant_types": ("client_credentials",),
            "redirect_uris": (),
            "roles": ("doctor",),
            "scopes": ("system/*.rs",),
        }
        return await self.client(id, "asymmetric", **(usual | fields))

    async def user(self, name: str = "ada", **fields: Any) -> Account:
        usual: dict[str, Any] = {"roles": ("doctor",), "fhir_user": "Practitioner/p"}
        return await self.accounts.create(name, **(usual | fields))

    async def grant(self, client: Client, user: Account, **fields: Any) -> Granted:
        """What the authorization endpoint does once the user has agreed."""
        usual: dict[str, Any] = {
            "tenant": "default",
            "client": client.id,
            "user": user.id,
            "scopes": ("openid", "fhirUser", "offline_access", "user/*.rs"),
            "audience": FHIR,
            "redirect_uri": REDIRECT,
            "challenge": challenge(VERIFIER),
            "nonce": "n-1",
        }
        return await self.authorizations.grant(Approved(**(usual | fields)))

    async def tokens(self, client: Client, user: Account, **fields: Any) -> dict[str, Any]:
        """A token response by code."""
        granted = await self.grant(client, user, **fields)
        answer = await self.redeem(client, granted.code)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def redeem(self, client: Client, code: str, **fields: Any) -> httpx2.Response:
        return await self.ask(
            client,
            "/auth/token",
            {
                "grant_type": "authorization_code",
                "code": code,
                "redirect_uri": REDIRECT,
                "code_verifier": VERIFIER,
            }
            | fields,
        )

    async def refresh(self, client: Client, token: str, **fields: Any) -> httpx2.Response:
        form = {"grant_type": "refresh_token", "refresh_token": token}
        return await self.ask(client, "/auth/token", form | fields)

    async def system_token(self, client: Client, scope: str = "system/*.rs") -> httpx2.Response:
        form = {"grant_type": "client_credentials", "scope": scope}
        return await self.ask(client, "/auth/token", form)

    async def ask(
        self,
        client: Client,
        path: str,
        form: dict[str, str],
        *,
        headers: dict[str, str] | None = None,
        algorithm: str = "RS384",
    ) -> httpx2.Response:
        """A request of the client, which authenticates as it is registered."""
        sent = dict(headers or {})
        if client.kind == "public":
            form = {"client_id": client.id} | form
        elif client.kind == "symmetric":
            sent["Authorization"] = basic(client.id)
        else:
            form = form | assertion_form(client.id, self.clock, algorithm=algorithm)
        return await self.http.post(path, data=form, headers=sent)

    async def fhir(self, path: str, token: str, **headers: str) -> httpx2.Response:
        sent = {"Authorization": f"Bearer {token}"} | headers
        return await self.http.get(f"/fhir/{path}", headers=sent)

    async def is_let_in(self, token: str) -> bool:
        """Whether the FHIR base takes an access token, whatever it then may do."""
        answer = await self.fhir("Patient/none", token)
        assert answer.status_code in (401, 403, 404)
        return answer.status_code != 401


def signing_ring() -> bytes:
    """The record of a signing key that is in use, which takes a while to make."""
    key = {"kid": "signing", "jwk": RSA.as_dict(private=True), "created": 0, "signs_from": 0}
    return msgspec.json.encode({"keys": [key | {"until": 0}]})


RING = signing_ring()


@asynccontextmanager
async def serving(
    data: Path, clock: Clock, patch: Any, *, ring: bytes = RING, **settings: Any
) -> AsyncIterator[World]:
    """A world on a data folder, at http://localhost, whose time is the clock's.

    `ring` is the record of its signing keys; empty: it makes one when it needs it.
    """
    for module in ("authorization", "identity", "interaction", "stores", "running"):
        patch.setattr(f"fhirserver.app.{module}.now", clock)
    if url := stores.url_of(data):
        settings["store"] = url
    settings.setdefault("dpop_nonce", False)  # test_dpop_nonce.py has it
    app = create_app(Settings(data=data, auth="smart", **settings))
    async with started(app):
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as http:
            store = await stores.open_store(data / "fhir.db", clock)
            if ring:
                await store.records.put(COLLECTION, KEY, ring)
            try:
                yield World(http, store, clock)
            finally:
                await store.close()


def challenge(verifier: str) -> str:
    return text_of(hashlib.sha256(verifier.encode()).digest())


def basic(client_id: str, secret: str = SECRET) -> str:
    return "Basic " + b64encode(f"{client_id}:{secret}".encode()).decode()


def claims(client_id: str, clock: Callable[[], int], **changed: Any) -> dict[str, Any]:
    """Those of a good assertion, as changed; a claim that is changed to None is left out."""
    now = clock() // SECOND
    usual: dict[str, Any] = {
        "iss": client_id,
        "sub": client_id,
        "aud": TOKEN,
        "exp": now + 300,
        "jti": secrets.token_hex(8),
    }
    return {name: value for name, value in (usual | changed).items() if value is not None}


def assertion_form(
    client_id: str,
    clock: Callable[[], int],
    *,
    algorithm: str = "RS384",
    header: dict[str, Any] | None = None,
    key: Any = None,
    **changed: Any,
) -> dict[str, str]:
    key = key or KEYS[algorithm]
    lines = {"alg": algorithm, "kid": key.kid, "typ": "JWT"} | (header or {})
    lines = {name: value for name, value in lines.items() if value is not None}
    text = jwt.encode(lines, claims(client_id, clock, **changed), key, algorithms=[algorithm])
    return {"client_assertion_type": ASSERTION, "client_assertion": text}
