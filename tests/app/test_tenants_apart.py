"""What a tenant's authorization server gives lets nobody in at another tenant's."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from auth.tokens.world import REDIRECT, VERIFIER, Clock, World, assertion_form
from serving import started
from stores import url_of

from fhirserver import Settings, create_app
from fhirserver.access.grant import OPEN
from fhirserver.app import open_gate, open_store, open_tenants, tenant_settings, tenant_table
from fhirserver.app.tenants import Tenant
from fhirserver.auth.client import Client
from fhirserver.identity.account import Account
from fhirserver.identity.sessions import Sessions
from fhirserver.interactions.request import Request
from fhirserver.store.port import ServerStore

NAMES = ("default", "one", "two")


@dataclass
class House:
    """A tenant: the same client, user and patient are in each, by the same names and ids."""

    name: str
    root: str
    world: World
    client: Client
    system: Client
    user: Account

    @property
    def base(self) -> str:
        return f"http://localhost{self.root}/fhir"

    async def code(self) -> str:
        granted = await self.world.grant(
            self.client, self.user, tenant=self.name, audience=self.base
        )
        return granted.code

    async def redeem(self, code: str) -> httpx2.Response:
        form = {"grant_type": "authorization_code", "code": code}
        more = {"redirect_uri": REDIRECT, "code_verifier": VERIFIER}
        return await self.ask("token", form | more)

    async def ask(self, endpoint: str, form: dict[str, str]) -> httpx2.Response:
        return await self.world.ask(self.client, f"{self.root}/auth/{endpoint}", form)

    async def tokens(self) -> dict[str, Any]:
        answer = await self.redeem(await self.code())
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def read(self, token: str) -> httpx2.Response:
        sent = {"Authorization": f"Bearer {token}"}
        return await self.world.http.get(f"{self.root}/fhir/Patient/a", headers=sent)


async def fill(settings: Settings) -> None:
    async with open_gate(settings) as dispatch:
        resource = {"resourceType": "Patient", "id": "a", "name": [{"family": settings.tenant}]}
        await dispatch(
            Request("update", "http://x/fhir", "Patient", "a", resource=resource, grant=OPEN)
        )


@pytest.fixture
async def houses(tmp_path: Path, each_store: str) -> AsyncIterator[dict[str, House]]:
    url = url_of(tmp_path)
    settings = Settings(data=tmp_path, auth="smart", **({"store": url} if url else {}))
    async with tenant_table(settings) as table:
        for name in NAMES[1:]:
            await table.create(Tenant(name, 1))
    app = create_app(settings)
    stores: list[ServerStore] = []
    async with started(app):
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as http:
            found = {}
            for name in NAMES:
                own = settings if name == "default" else await tenant_settings(settings, name)
                await fill(own)
                stores.append(await open_store(own))
                world = World(http, stores[-1], Clock())
                client = await world.client(kind="symmetric", introspects=True)
                user = await world.user()
                found[name] = House(name, own.root, world, client, await world.system(), user)
            yield found
            for store in stores:
                await store.close()


@pytest.mark.check("FHA-1")
@pytest.mark.check("FHA-16")
@pytest.mark.check("OAU-12")
async def test_a_token_opens_its_own_tenant_only(houses: dict[str, House]) -> None:
    for name, house in houses.items():
        tokens = await house.tokens()
        for other in houses.values():
            answer = await other.read(tokens["access_token"])
            if other.name == name:
                assert answer.status_code == 200
                assert answer.json()["name"][0]["family"] == name
                continue
            garbage = await other.read("no-token-at-all")
            assert answer.status_code == garbage.status_code == 401
            assert answer.json() == garbage.json()
            assert answer.headers["www-authenticate"] == garbage.headers["www-authenticate"]
            refreshed = await other.ask(
                "token",
                {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]},
            )
            assert refreshed.status_code == 400
            assert refreshed.json()["error"] == "invalid_grant"
            for kind in ("access_token", "refresh_token"):
                told = await other.ask("introspect", {"token": tokens[kind]})
                assert told.json() == {"active": False}
                await other.ask("revoke", {"token": tokens[kind]})
        own = await house.ask("introspect", {"token": tokens["access_token"]})
        assert own.json()["active"] is True  # others could not revoke it
        form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
        assert (await house.ask("token", form)).status_code == 200


@pytest.mark.check("OAU-2")
async def test_a_code_is_redeemed_at_its_own_tenant_only(houses: dict[str, House]) -> None:
    code = await houses["one"].code()
    for other in ("two", "default"):
        answer = await houses[other].redeem(code)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    assert (await houses["one"].redeem(code)).status_code == 200


async def test_an_assertion_is_for_one_tenant(houses: dict[str, House]) -> None:
    one, two = houses["one"], houses["two"]

    async def asked(house: House, audience: House) -> httpx2.Response:
        form = {"grant_type": "client_credentials", "scope": "system/*.rs"}
        aud = f"http://localhost{audience.root}/auth/token"
        more = assertion_form(house.system.id, house.world.clock, aud=aud)
        return await house.world.http.post(f"{house.root}/auth/token", data=form | more)

    assert (await asked(one, one)).status_code == 200
    assert (await asked(one, two)).status_code in (400, 401)
    assert (await asked(two, houses["default"])).status_code in (400, 401)


async def test_a_session_is_of_one_tenant(houses: dict[str, House]) -> None:
    """Even if the browser sent its cookie under the name of the other's."""
    for name, house in houses.items():
        sessions = Sessions(
            house.world.store.records,
            house.world.accounts,
            now=house.world.clock,
            random=secrets.token_bytes,
        )
        cookie = (await sessions.begin(house.user, ("pwd",))).cookie
        suffixes = ("", *(f"-{other}" for other in houses))
        sent = "; ".join(f"fhirserver-session{suffix}={cookie}" for suffix in suffixes)
        for other in houses.values():
            answer = await house.world.http.get(
                f"{other.root}/auth/account", headers={"Cookie": sent}
            )
            assert (answer.status_code == 200) == (other.name == name), answer.text
            assert answer.status_code == 200 or "sign-in" in answer.headers["location"]


async def test_each_has_its_own_issuer_and_keys(houses: dict[str, House]) -> None:
    issuers, keys = set(), set()
    for house in houses.values():
        http = house.world.http
        told = (await http.get(f"{house.root}/fhir/.well-known/smart-configuration")).json()
        root = f"http://localhost{house.root}"
        assert told["token_endpoint"] == f"{root}/auth/token"
        assert told["issuer"] == f"{root}/auth"
        issuers.add(told["issuer"])
        for key in (await http.get(f"{house.root}/auth/jwks")).json()["keys"]:
            keys.add(json.dumps(key, sort_keys=True))
    assert len(issuers) == len(NAMES)
    assert len(keys) >= len(NAMES)


async def test_a_suspended_tenant_has_no_tokens_any_more(
    houses: dict[str, House], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_tenants, "FRESH", 0.0)
    token = (await houses["one"].tokens())["access_token"]
    url = url_of(tmp_path)
    settings = Settings(data=tmp_path, auth="smart", **({"store": url} if url else {}))
    async with tenant_table(settings) as table:
        await table.to_state("one", "suspended", "active")
        assert (await houses["one"].read(token)).status_code == 404
        assert (await houses["one"].ask("introspect", {"token": token})).status_code == 404
        await table.to_state("one", "active", "suspended")
        assert (await houses["one"].read(token)).status_code == 200
