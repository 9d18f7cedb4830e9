"""Passkeys by the pages, as the script on them sends answers."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape

import pytest
from auth.sign_in.visit import Recorded, Visit, sign_in
from identity.authenticator import Authenticator
from identity.people import person
from store.making import Clock

from fhirserver.identity.identity import Identity

Visits = Callable[[], Visit]


def options(browser: Visit) -> str:
    """What the page asks the browser for."""
    found = re.search(r'data-options="([^"]*)"', browser.page.text)
    assert found
    return unescape(found[1])


async def with_passkey(identity: Identity, visit: Visits, key: Authenticator) -> Visit:
    """A browser whose owner added the authenticator's key by the page."""
    await person(identity)
    browser = await sign_in(visit())
    await browser.go("/auth/account/passkey")
    await browser.send("account/passkey", answer=key.create(options(browser)), name="<Phone>")
    assert browser.title == "Your recovery codes"
    return browser


@pytest.mark.check("AUD-5")
async def test_a_passkey_is_added_and_removed(
    identity: Identity, visit: Visits, recorded: Recorded
) -> None:
    browser = await with_passkey(identity, visit, Authenticator())
    await browser.go("/auth/account")
    assert "Passkey “&lt;Phone&gt;”" in browser.page.text
    await browser.send("factor/remove")
    assert "It was removed" in browser.page.text
    assert "Phone" not in browser.page.text
    assert recorded.kinds == ["sign-in", "second-factor-enrolled", "second-factor-reset"]


async def test_a_passkey_is_the_second_step(
    identity: Identity, visit: Visits, recorded: Recorded
) -> None:
    key = Authenticator()
    await with_passkey(identity, visit, key)
    browser = await sign_in(visit())
    assert browser.title == "Second step"
    await browser.send("second", answer="{}")
    assert browser.page.status_code == 400
    await browser.send("second", answer=Authenticator().get(options(browser)))
    assert browser.page.status_code == 401
    await browser.send("second", answer=key.get(options(browser)))
    assert browser.title == "Your account"
    assert recorded.events[-1].detail == (("method", "password+passkey"),)


async def test_a_passkey_alone_lets_in(identity: Identity, visit: Visits) -> None:
    key = Authenticator()
    await with_passkey(identity, visit, key)
    browser = visit()
    await browser.go("/auth/sign-in/passkey")  # the visit begins at the sign-in page
    assert browser.title == "Sign in"
    await browser.go("/auth/sign-in/passkey?next=/auth/account/password")
    await browser.send("passkey", answer=key.get(options(browser), usernameless=True))
    assert browser.title == "Change your password"
    other = visit()
    await other.go("/auth/sign-in")
    await other.go("/auth/sign-in/passkey")
    answer = key.get(options(other), usernameless=True).replace(key.user, "bm9ib2R5")
    await other.send("passkey", answer=answer)
    assert other.page.status_code == 401


@pytest.mark.check("OPS-3")
async def test_a_passkey_proves_again_who_it_is(
    identity: Identity, visit: Visits, clock: Clock, recorded: Recorded
) -> None:
    key = Authenticator()
    browser = await with_passkey(identity, visit, key)
    clock.now += 10 * 60_000_000
    await browser.go("/auth/account/password")
    assert browser.title == "Is it still you?"
    first = browser.session
    await browser.go("/auth/sign-in/passkey?next=/auth/account/password")
    await browser.send("passkey", answer=key.get(options(browser), usernameless=True))
    assert browser.title == "Change your password"
    assert browser.session != first
    assert recorded.kinds[-1] == "reauthentication"


async def test_both_steps_again(identity: Identity, visit: Visits, clock: Clock) -> None:
    key = Authenticator()
    browser = await with_passkey(identity, visit, key)
    clock.now += 10 * 60_000_000
    await browser.go("/auth/account/password")
    await browser.send("reauthenticate", password="Weather-Vane 42")
    assert browser.title == "Second step"
    await browser.go("/auth/account")
    assert browser.title == "Your account"  # the session goes on meanwhile
    await browser.go("/auth/account/password")
    assert browser.title == "Is it still you?"
    await browser.send("reauthenticate", password="Weather-Vane 42")
    await browser.send("second", answer=key.get(options(browser)))
    assert browser.title == "Change your password"
