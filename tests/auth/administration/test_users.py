"""Accounts over HTTP, for administrators."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2
import pytest
from auth.sign_in.conftest import clock, identity, place, recorded, store
from auth.sign_in.visit import Recorded, Visit, sign_in
from identity.people import PASSWORD, person
from starlette.applications import Starlette
from starlette.routing import Mount
from store.making import Clock

from fhirserver.auth.administration.mount import administration_mount
from fhirserver.auth.sign_in.place import Place
from fhirserver.auth.sign_in.routes import sign_in_routes
from fhirserver.identity.identity import Identity

__all__ = ["clock", "identity", "place", "recorded", "store"]
USERS = "/auth/admin/users"
Visits = Callable[[], Visit]


@pytest.fixture
def visit(place: Place) -> Visits:
    routes = [*sign_in_routes(place), administration_mount(place)]
    app = Starlette(routes=[Mount("/auth", routes=routes)])

    def made() -> Visit:
        transport = httpx2.ASGITransport(app=app)
        return Visit(httpx2.AsyncClient(transport=transport, base_url="https://fhir.example.org"))

    return made


async def admin(identity: Identity, visit: Visits) -> httpx2.AsyncClient:
    """A client with an administrator's session."""
    await person(identity, "boss", roles=("admin",))
    browser = await sign_in(visit(), "boss")
    assert browser.title == "Your account"
    return browser.client


async def test_an_account_from_its_beginning_to_its_end(
    identity: Identity, visit: Visits, recorded: Recorded
) -> None:
    client = await admin(identity, visit)
    new = {"name": "Anna", "roles": ["doctor"], "person": "Practitioner/7", "display": "Anna"}
    answer = await client.post(USERS, json=new)
    assert answer.status_code == 201, answer.text
    once = answer.json()["oneTimePassword"]
    user = answer.json()["user"]
    assert user["password"] == "one-time"
    address = f"{USERS}/{user['id']}"
    browser = await sign_in(visit(), "anna", once)
    await browser.send("password", password=PASSWORD, repeated=PASSWORD)
    shown = (await client.get(address)).json()
    assert (shown["password"], shown["sessions"], shown["roles"]) == ("chosen", 1, ["doctor"])

    changed = await client.patch(address, json={"roles": ["doctor", "nurse"]})
    assert changed.json()["roles"] == ["doctor", "nurse"]
    await browser.go("/auth/account")
    assert browser.title == "Sign in"
    locked = await client.patch(address, json={"state": "locked"})
    assert locked.json()["state"] == "locked"
    assert (await sign_in(visit(), "anna")).title == "Sign in"
    await client.patch(address, json={"state": "active", "display": "Dr Anna"})
    assert (await sign_in(visit(), "anna")).title == "Your account"
    assert (await client.delete(f"{address}/sessions")).status_code == 204
    assert (await client.get(address)).json()["sessions"] == 0
    assert (await client.delete(f"{address}/factors")).status_code == 200
    given = await client.post(f"{address}/password", json={})
    assert (await sign_in(visit(), "anna", given.json()["oneTimePassword"])).title == (
        "Choose a password"
    )
    assert (await client.get(USERS, params={"name": "anna"})).json()[0]["id"] == user["id"]
    assert len((await client.get(USERS)).json()) == 2
    assert (await client.delete(address)).status_code == 204
    assert (await client.get(address)).status_code == 404
    assert {event.kind for event in recorded.events} >= {
        "account-created",
        "role-changed",
        "account-disabled",
        "account-changed",
        "second-factor-reset",
        "password-changed",
    }
    assert once not in repr(recorded.events)


@pytest.mark.check("AUD-5")
async def test_who_changed_a_role_is_on_record(
    identity: Identity, visit: Visits, recorded: Recorded
) -> None:
    client = await admin(identity, visit)
    account = await person(identity)
    await client.patch(f"{USERS}/{account.id}", json={"roles": ["admin"]})
    event = recorded.events[-1]
    boss = await identity.accounts.by_name("boss")
    assert boss
    assert event.principal
    assert (event.kind, event.principal.subject) == ("role-changed", boss.id)
    assert event.about == (f"identity.account/{account.id}",)
    assert event.detail == (("roles", "admin"),)


async def test_others_are_refused(identity: Identity, visit: Visits, clock: Clock) -> None:
    account = await person(identity)
    nobody = visit().client
    doctor = (await sign_in(visit())).client
    client = await admin(identity, visit)
    asked: list[tuple[str, str, dict[str, Any]]] = [
        ("GET", USERS, {}),
        ("POST", USERS, {"json": {"name": "x", "roles": ["admin"]}}),
        ("GET", f"{USERS}/{account.id}", {}),
        ("PATCH", f"{USERS}/{account.id}", {"json": {"roles": ["admin"]}}),
        ("POST", f"{USERS}/{account.id}/password", {"json": {}}),
        ("DELETE", f"{USERS}/{account.id}/factors", {}),
        ("DELETE", f"{USERS}/{account.id}/sessions", {}),
        ("DELETE", f"{USERS}/{account.id}", {}),
    ]
    for method, path, rest in asked:
        assert (await nobody.request(method, path, **rest)).status_code == 401
        assert (await doctor.request(method, path, **rest)).status_code == 403
    clock.now += 6 * 60_000_000
    for method, path, rest in asked:
        answer = await client.request(method, path, **rest)
        assert answer.status_code == 401, "the proof of who it is was too long ago"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert await identity.accounts.get(account.id) == account


async def test_pages_of_other_sites_are_refused(identity: Identity, visit: Visits) -> None:
    client = await admin(identity, visit)
    account = await person(identity)
    path = f"{USERS}/{account.id}"
    for header in ({"origin": "https://evil.example.org"}, {"sec-fetch-site": "cross-site"}):
        assert (await client.delete(path, headers=header)).status_code == 403
        answer = await client.post(f"{path}/password", json={}, headers=header)
        assert answer.status_code == 403
    assert (await client.post(f"{path}/password")).status_code == 415
    answer = await client.post(
        USERS, content='{"name":"x"}', headers={"content-type": "text/plain"}
    )
    assert answer.status_code == 415
    assert await identity.accounts.by_name("x") is None


async def test_nobody_locks_out_themselves(identity: Identity, visit: Visits) -> None:
    client = await admin(identity, visit)
    boss = await identity.accounts.by_name("boss")
    assert boss
    path = f"{USERS}/{boss.id}"
    for change in ({"roles": ["doctor"]}, {"state": "locked"}):
        assert (await client.patch(path, json=change)).status_code == 400
    assert (await client.delete(path)).status_code == 400


async def test_what_does_not_fit_is_told_without_its_values(
    identity: Identity, visit: Visits
) -> None:
    client = await admin(identity, visit)
    for new in ({}, {"name": "x", "roles": ["king"]}, {"name": "x", "secret-word": "y"}):
        answer = await client.post(USERS, json=new)
        assert answer.status_code == 422
        assert "king" not in answer.text.replace("'king'", "")
    assert (await client.post(USERS, json={"name": "a b"})).status_code == 400
    assert (await client.post(USERS, json={"name": "boss"})).status_code == 409


async def test_long_bodies_are_not_read(visit: Visits) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 1024

    client = visit().client
    assert (await client.post(USERS, content=b" " * 70_000)).status_code == 413
    answer = await client.post(USERS, content=parts(), headers={"content-type": "application/json"})
    assert answer.status_code >= 400
