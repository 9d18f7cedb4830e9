"""Accounts that need a second factor, and how they get one in the course of signing in."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from auth.sign_in.test_passkey_pages import options
from auth.sign_in.visit import Recorded, Visit, sign_in
from identity.authenticator import Authenticator
from identity.people import PASSWORD, person
from identity.test_attempts import totp_code
from store.making import Clock

from fhirserver.identity.identity import Identity

Visits = Callable[[], Visit]


async def test_who_needs_a_second_factor_adds_one_before_anything_else(
    identity: Identity, visit: Visits, clock: Clock, recorded: Recorded
) -> None:
    account = await person(identity, "boss", roles=("support",))
    browser = await sign_in(visit(), "boss")
    assert browser.title == "Add a second step"
    for path in ("account", "account/password", "reauthenticate"):
        await browser.go(f"/auth/{path}")
        assert browser.title == "Sign in"
    await browser.go("/auth/account/authenticator")
    assert (await browser.client.get("/auth/account/authenticator.svg")).status_code == 200
    secret = await identity.factors.waiting_totp(account)
    assert secret
    await browser.send("authenticator", code="000000")
    assert browser.session is None
    await browser.send("authenticator", code=totp_code(secret, clock.now))
    assert browser.title == "Your recovery codes"
    await browser.go("/auth/account")
    assert browser.title == "Your account"
    assert recorded.kinds == ["second-factor-enrolled", "sign-in"]
    assert recorded.events[-1].detail == (("method", "password+authenticator app"),)
    clock.now += 60_000_000
    again = await sign_in(visit(), "boss")
    assert again.title == "Second step"


async def test_after_a_one_time_password_too_and_by_a_passkey(
    identity: Identity, visit: Visits
) -> None:
    _, once = await identity.administration.add("boss", roles=("support",))
    assert once
    browser = await sign_in(visit(), "boss", once)
    await browser.send("password", password=PASSWORD, repeated=PASSWORD)
    assert browser.title == "Add a second step"
    key = Authenticator()
    await browser.go("/auth/account/passkey")
    await browser.send("account/passkey", answer=key.create(options(browser)))
    assert browser.title == "Your recovery codes"
    await browser.go("/auth/account")
    assert browser.title == "Your account"


async def test_whose_factor_it_is_cannot_be_mistaken(identity: Identity, visit: Visits) -> None:
    await person(identity)
    boss = await person(identity, "boss", roles=("support",))
    browser = visit()
    await browser.go("/auth/sign-in")
    form = browser.page
    await browser.send("sign-in", name="anna", password=PASSWORD)
    other = browser.session
    await browser.go("/auth/reauthenticate")
    token = browser.page.text.partition('name="csrf" value="')[2].partition('"')[0]
    fields = {"csrf": token, "name": "boss", "password": PASSWORD}
    assert form.status_code == 200
    answer = await browser.client.post("/auth/sign-in", data=fields, follow_redirects=True)
    assert "Add a second step" in answer.text
    assert await identity.sessions.find(other) is None
    await browser.go("/auth/account/authenticator")
    assert await identity.factors.waiting_totp(boss)


@pytest.mark.check("OPS-3")
async def test_without_the_role_none_is_needed(identity: Identity, visit: Visits) -> None:
    await person(identity)
    assert (await sign_in(visit())).title == "Your account"
