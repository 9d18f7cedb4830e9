"""Getting in and out, by the pages and without script."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from urllib.parse import quote

import msgspec
import pytest
from auth.sign_in.visit import Recorded, Visit, forms, sign_in
from hypothesis import given
from hypothesis import strategies as st
from identity.people import PASSWORD, person
from identity.test_attempts import totp_code
from starlette.requests import Request
from store.making import Clock

from fhirserver.auth.sign_in.onward import wanted
from fhirserver.auth.sign_in.place import Place
from fhirserver.errors import Unavailable
from fhirserver.identity.identity import Identity

MINUTE = 60_000_000
Visits = Callable[..., Visit]


async def signed_in(visit: Visits, name: str = "anna") -> Visit:
    browser = await sign_in(visit(), name)
    assert browser.title == "Your account"
    return browser


async def test_signing_in_and_out(identity: Identity, visit: Visits, recorded: Recorded) -> None:
    await person(identity)
    browser = await signed_in(visit)
    assert "Dr Anna Berg" in browser.page.text
    await browser.send("sign-out")
    assert browser.title == "You are signed out"
    await browser.go("/auth/account")
    assert browser.title == "Sign in"
    assert recorded.kinds == ["sign-in", "sign-out"]
    assert recorded.events[0].principal
    assert recorded.events[0].origin.address == "192.0.2.1"


@pytest.mark.check("OPS-3")
async def test_cookies_are_for_this_host_alone(identity: Identity, visit: Visits) -> None:
    await person(identity)
    browser = visit()
    await browser.go("/auth/sign-in")
    address, fields = forms(browser.page.text)[0]
    answer = await browser.client.post(
        address, data=fields | {"name": "anna", "password": PASSWORD}
    )
    assert answer.status_code == 303  # never 307, which would send the password on
    cookies = [*answer.headers.get_list("set-cookie"), *browser.page.headers.get_list("set-cookie")]
    assert {one.partition("=")[0] for one in cookies} >= {
        "__Host-fhirserver-session",
        "__Host-fhirserver-visit",
        "__Host-fhirserver-device",
    }
    for cookie in cookies:
        assert {"HttpOnly", "Path=/", "SameSite=lax", "Secure"} <= set(cookie.split("; ")), cookie
        assert "domain" not in cookie.lower()


async def test_over_plain_http_only_a_loopback_address_takes_passwords(
    identity: Identity, visit: Visits
) -> None:
    await person(identity)
    here = visit("http://localhost:8080")
    page = await here.go("/auth/sign-in")
    assert "Secure" not in page.headers["set-cookie"]
    assert page.headers["set-cookie"].startswith("fhirserver-visit=")
    await here.send("sign-in", name="anna", password=PASSWORD)
    assert here.title == "Your account"
    there = visit("http://fhir.example.org")
    assert (await there.go("/auth/sign-in")).status_code == 403
    assert "needs https" in there.page.text


@pytest.mark.check("OPS-3")
@pytest.mark.check("OPS-1")
async def test_a_new_session_id_at_sign_in_and_when_proved_again(
    identity: Identity, visit: Visits, recorded: Recorded
) -> None:
    await person(identity)
    browser = visit()
    browser.client.cookies.set(
        "__Host-fhirserver-session",
        "account-1.chosen-by-somebody-else",
        domain="fhir.example.org",
    )
    await browser.go("/auth/sign-in")
    await browser.send("sign-in", name="anna", password=PASSWORD)
    first = browser.session
    assert first
    assert first != "account-1.chosen-by-somebody-else"
    await browser.go("/auth/reauthenticate?next=/auth/account/password")
    assert browser.title == "Is it still you?"
    await browser.send("reauthenticate", password=PASSWORD)
    assert browser.title == "Change your password"
    assert browser.session != first
    assert await identity.sessions.find(first) is None
    assert recorded.kinds == ["sign-in", "reauthentication"]


@pytest.mark.check("OAU-13")
async def test_refusals_are_alike(identity: Identity, visit: Visits, recorded: Recorded) -> None:
    account = await person(identity)
    await person(identity, "locked")
    found = await identity.accounts.by_name("locked")
    assert found
    await identity.administration.lock(found.id)
    answers = []
    for name, password in (("anna", "Wrong-Vane 42"), ("nobody", PASSWORD), ("locked", PASSWORD)):
        browser = visit()
        await browser.go("/auth/sign-in")
        page = await browser.send("sign-in", name=name, password=password)
        body = re.sub(r'(name="csrf" value=|id="name"[^>]*value=)"[^"]*"', "", page.text)
        answers.append((page.status_code, body, sorted(page.headers)))
    assert answers[0] == answers[1] == answers[2]
    assert answers[0][0] == 401
    assert recorded.kinds == ["sign-in"] * 3
    assert [event.account for event in recorded.events] == [account.id, None, found.id]
    assert all(event.outcome != "0" for event in recorded.events)


@pytest.mark.check("AUD-5")
async def test_a_lockout_is_on_record(
    identity: Identity, visit: Visits, recorded: Recorded
) -> None:
    account = await person(identity)
    browser = visit()
    await browser.go("/auth/sign-in")
    for _ in range(5):
        await browser.send("sign-in", name="anna", password="Wrong-Vane 42")
    assert recorded.kinds == ["sign-in"] * 5 + ["lockout"]
    assert recorded.events[-1].account == account.id
    await browser.send("sign-in", name="anna", password=PASSWORD)
    assert browser.title == "Sign in"
    assert "Wrong-Vane" not in repr(recorded.events)


async def test_one_address_is_told_to_wait(identity: Identity, visit: Visits) -> None:
    await person(identity)
    browser = visit()
    await browser.go("/auth/sign-in")
    for n in range(20):
        await browser.send("sign-in", name=f"name{n}", password=PASSWORD)
    page = await browser.send("sign-in", name="anna", password=PASSWORD)
    assert page.status_code == 429
    assert page.headers["retry-after"] == "60"


async def test_the_second_step_without_script(
    identity: Identity, visit: Visits, clock: Clock, recorded: Recorded
) -> None:
    await person(identity)
    browser = await signed_in(visit)
    other = await signed_in(visit)
    await browser.go("/auth/account/authenticator")
    picture = await browser.client.get("/auth/account/authenticator.svg")
    assert picture.headers["content-type"] == "image/svg+xml"
    assert picture.headers["cache-control"] == "no-store"
    account = await identity.accounts.get("account-1")
    assert account
    secret = await identity.factors.waiting_totp(account)
    assert secret
    await browser.send("authenticator", code="000000")
    assert "The code is wrong" in browser.page.text
    await browser.send("authenticator", code=totp_code(secret, clock.now))
    assert browser.title == "Your recovery codes"
    codes = re.findall(r"<li><code>(.*?)</code>", browser.page.text)
    assert len(codes) == 10
    await browser.go("/auth/account")
    assert browser.title == "Your account"  # this one goes on, others ended
    await other.go("/auth/account")
    assert other.title == "Sign in"
    assert (await browser.client.get("/auth/account/authenticator.svg")).status_code == 404

    clock.now += MINUTE
    await other.go("/auth/sign-in?next=/auth/account/password")
    await other.send("sign-in", name="anna", password=PASSWORD)
    assert other.title == "Second step"
    await other.go("/auth/account")
    assert other.title == "Sign in"
    await other.go("/auth/sign-in/second?next=/auth/account/password")
    await other.send("second", code="123 456")
    assert other.page.status_code == 401
    await other.send("second", code=totp_code(secret, clock.now))
    assert other.title == "Change your password"
    await other.send("password", password="A longer pass phrase", repeated="A longer pass phrase")
    assert "Your password was changed" in other.page.text
    await browser.go("/auth/account")
    assert browser.title == "Sign in"
    assert recorded.kinds == [
        "sign-in",
        "sign-in",
        "second-factor-enrolled",
        "second-factor",
        "sign-in",
        "sign-in",
        "password-changed",
    ]


async def test_a_one_time_password_leads_to_another(identity: Identity, visit: Visits) -> None:
    _, once = await identity.administration.add("anna")
    assert once
    browser = visit()
    await browser.go("/auth/sign-in")
    await browser.send("sign-in", name="anna", password=once)
    assert browser.title == "Choose a password"
    for weak in ("short", "Password1!", "anna-Anna-1234", "aaaaaaaaaaaaaaaaaaaa"):
        await browser.send("password", password=weak, repeated=weak)
        assert browser.page.status_code == 400, weak
    await browser.send("password", password=PASSWORD, repeated=PASSWORD + "x")
    assert "two different passwords" in browser.page.text
    await browser.send("password", password=PASSWORD, repeated=PASSWORD)
    assert browser.title == "Your account"


@pytest.mark.check("OPS-3")
async def test_an_idle_session_is_locked_after_15_minutes_by_the_server(
    identity: Identity, visit: Visits, clock: Clock
) -> None:
    await person(identity)
    browser = await signed_in(visit)
    for _ in range(4):
        clock.now += 14 * MINUTE
        await browser.go("/auth/account")
        assert browser.title == "Your account"
    clock.now += 15 * MINUTE
    await browser.go("/auth/account")
    assert browser.title == "Sign in"
    assert "it was locked" in browser.page.text
    assert 'value="anna"' in browser.page.text


@pytest.mark.check("OPS-3")
@pytest.mark.check("AUD-5")
async def test_an_idle_lock_is_recorded_once_whoever_notices_it(
    identity: Identity, visit: Visits, clock: Clock, recorded: Recorded, place: Place
) -> None:
    account = await person(identity)
    browser, other = await signed_in(visit), await signed_in(visit)
    locks = place.idle
    await locks.sweep()
    assert recorded.kinds == ["sign-in"] * 2
    clock.now += 15 * MINUTE
    await browser.go("/auth/account")  # this one comes back; nobody comes back to the other
    await browser.go("/auth/account")
    await asyncio.gather(*(locks.sweep() for _ in range(4)))
    assert recorded.kinds == ["sign-in"] * 2 + ["session-locked"] * 2
    assert [event.origin.address for event in recorded.events[2:]] == ["192.0.2.1", ""]
    for event in recorded.events[2:]:
        assert event.principal
        assert event.principal.subject == account.id
        assert event.about == (f"identity.account/{account.id}",)
    clock.now -= 10 * MINUTE  # a clock that is set back opens nothing again
    for one in (browser, other):
        await one.go("/auth/account")
        assert one.title == "Sign in"


@pytest.mark.check("AUD-5")
async def test_a_lock_that_cannot_be_recorded_is_recorded_later(
    identity: Identity, visit: Visits, clock: Clock, recorded: Recorded, place: Place
) -> None:
    await person(identity)
    browser = await signed_in(visit)
    clock.now += 15 * MINUTE

    async def full(*events: object) -> None:
        raise Unavailable("The disk is full.")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recorded, "record", full)
        with pytest.raises(Unavailable):
            await place.idle.sweep()
    await browser.go("/auth/account")
    assert browser.title == "Sign in"
    assert recorded.kinds == ["sign-in", "session-locked"]


@pytest.mark.check("AUD-5")
async def test_what_was_ended_is_not_locked(
    identity: Identity, visit: Visits, clock: Clock, recorded: Recorded, place: Place
) -> None:
    account = await person(identity)
    await signed_in(visit)
    await signed_in(visit)
    await identity.accounts.change(
        account.id, lambda old: msgspec.structs.replace(old, epoch=old.epoch + 1)
    )
    clock.now += 15 * MINUTE
    await place.idle.sweep()
    assert recorded.kinds == ["sign-in"] * 2


@pytest.mark.check("OPS-3")
async def test_a_session_has_an_end_however_much_it_is_used(
    identity: Identity, visit: Visits, clock: Clock
) -> None:
    await person(identity)
    browser = await signed_in(visit)
    for _ in range(12 * 6 - 1):
        clock.now += 10 * MINUTE
        await browser.go("/auth/account")
        assert browser.title == "Your account"
    clock.now += 10 * MINUTE
    await browser.go("/auth/account")
    assert browser.title == "Sign in"


@pytest.mark.check("OPS-3")
async def test_what_an_administrator_changes_ends_sessions_at_once(
    identity: Identity, visit: Visits
) -> None:
    account = await person(identity)
    admin = identity.administration
    for change in (
        lambda: admin.lock(account.id),
        lambda: admin.give_roles(account.id, ("nurse",)),
        lambda: admin.reset_factors(account.id),
        lambda: identity.sessions.end_all(account.id),
        lambda: admin.give_password(account.id),
    ):
        browser = await signed_in(visit)
        await change()
        await browser.go("/auth/account")
        assert browser.title == "Sign in"
        await admin.unlock(account.id)


async def test_signing_out_everywhere(identity: Identity, visit: Visits) -> None:
    await person(identity)
    one, two = await signed_in(visit), await signed_in(visit)
    await one.go("/auth/account")
    assert one.page.text.count("Sign out there") == 1
    await one.send("account/session")
    assert "That session has ended" in one.page.text
    await two.go("/auth/account")
    assert two.title == "Sign in"
    two = await signed_in(visit)
    form = next(form for form in forms(one.page.text) if "everywhere" in form[1])
    await one.client.post(form[0], data=form[1])
    for browser in (one, two):
        await browser.go("/auth/account")
        assert browser.title == "Sign in"


async def test_nobody_ends_sessions_of_others(identity: Identity, visit: Visits) -> None:
    await person(identity)
    await person(identity, "berta")
    anna, berta = await signed_in(visit), await signed_in(visit, "berta")
    other = await signed_in(visit)
    session = await identity.sessions.find(anna.session)
    assert session
    await other.go("/auth/account")
    form = next(form for form in forms(other.page.text) if "key" in form[1])
    assert form[1]["key"] == session.session.key
    await berta.go("/auth/account")
    token = forms(berta.page.text)[0][1]["csrf"]
    answer = await berta.client.post(form[0], data={"csrf": token, "key": session.session.key})
    assert answer.status_code == 404
    assert await identity.sessions.find(anna.session)


async def test_every_form_is_refused_without_its_mark(identity: Identity, visit: Visits) -> None:
    await person(identity)
    browser = await signed_in(visit)
    fields = {"name": "anna", "password": PASSWORD, "repeated": PASSWORD, "everywhere": "yes"}
    stranger = visit()
    await stranger.go("/auth/sign-in")
    foreign = forms(stranger.page.text)[0][1]["csrf"]
    for path in (
        "sign-in",
        "sign-in/second",
        "sign-in/passkey",
        "sign-in/password",
        "reauthenticate",
        "sign-out",
        "account/session",
        "account/password",
        "account/authenticator",
        "account/passkey",
        "account/factor/remove",
        "account/recovery",
    ):
        for mark in ({}, {"csrf": ""}, {"csrf": foreign}):
            answer = await browser.client.post(f"/auth/{path}", data=fields | mark)
            assert answer.status_code == 403, path
    await browser.go("/auth/account")
    token = forms(browser.page.text)[0][1]["csrf"]
    for header in ({"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example.org"}):
        answer = await browser.client.post("/auth/sign-out", data={"csrf": token}, headers=header)
        assert answer.status_code == 403
    await browser.go("/auth/account")
    assert browser.title == "Your account"


@pytest.mark.check("OAU-7")
async def test_pages_are_sent_with_a_strict_policy(identity: Identity, visit: Visits) -> None:
    await person(identity)
    browser = await signed_in(visit)
    for path in ("account", "account/passkey", "account/authenticator", "signed-out", "sign-in"):
        page = await browser.client.get(f"/auth/{path}")
        if page.status_code == 200:
            policy = page.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy
            assert "<style" not in page.text
            assert " style=" not in page.text
            assert not re.search(r"<script(?![^>]* src=)", page.text)
            assert not re.search(r"\son\w+=", page.text)
        assert page.headers["referrer-policy"] == "no-referrer"
        assert page.headers["x-content-type-options"] == "nosniff"
        assert page.headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in page.headers


async def test_what_pages_load_is_there_and_may_be_kept(visit: Visits) -> None:
    browser = visit()
    await browser.go("/auth/sign-in")
    address = re.search(r'<link rel="stylesheet" href="([^"]*)"', browser.page.text)
    assert address
    style = await browser.client.get(address[1])
    assert style.headers["content-type"] == "text/css; charset=utf-8"
    assert "immutable" in style.headers["cache-control"]
    for path in ("nothing.css", "../page.py", "..%2fpage.py", "%2e%2e/templates/layout.html"):
        assert (await browser.client.get(f"/auth/static/{path}")).status_code == 404


async def test_names_are_text(identity: Identity, visit: Visits) -> None:
    account = await person(identity)
    await identity.administration.describe(account.id, display="<b>Anna</b>")
    browser = visit()
    await browser.go("/auth/sign-in")
    assert "The &lt;Clinic&gt;" in browser.page.text
    await browser.send("sign-in", name='"><b>', password="x")
    assert "<b>" not in browser.page.text
    await browser.send("sign-in", name="anna", password=PASSWORD)
    assert "<b>" not in browser.page.text


@pytest.mark.check("BCP-11")
@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example.org",
        "//evil.example.org",
        "/\\evil.example.org",
        "\\\\evil.example.org",
        "///evil.example.org",
        "/\t/evil.example.org",
        "http:evil.example.org",
        "javascript:alert(1)",
        "/auth/../../evil",
        "/%2e%2e/evil",
        " /auth/account",
        "",
        "auth/account",
    ],
)
async def test_nobody_is_sent_elsewhere(identity: Identity, visit: Visits, elsewhere: str) -> None:
    await person(identity)
    browser = visit()
    await browser.go(f"/auth/sign-in?next={quote(elsewhere, safe='')}")
    address, fields = forms(browser.page.text)[0]
    answer = await browser.client.post(
        address, data=fields | {"name": "anna", "password": PASSWORD}
    )
    assert answer.headers["location"] == "/auth/account"


async def test_authorization_goes_on_by_a_page_that_is_no_answer_to_a_form(
    identity: Identity, visit: Visits
) -> None:
    await person(identity)
    browser = visit()
    goal = "/auth/authorize?client_id=a&state=%22%3E"
    await browser.go(f"/auth/sign-in?next={quote(goal, safe='')}")
    page = await browser.send("sign-in", name="anna", password=PASSWORD)
    assert page.status_code == 200
    assert f'content="0;url={goal.replace("&", "&amp;")}"' in page.text


@given(st.text(alphabet="/\\.:@%ae2\t? #", max_size=12) | st.text(max_size=30))
def test_whatever_is_wanted_is_a_place_of_this_tenant(given: str) -> None:
    scope = {"type": "http", "root_path": "/t/north/auth", "headers": []}
    found = wanted(Request(scope), given)
    assert found.startswith("/t/north/")
    assert not found.startswith("//")
    assert ".." not in found.partition("?")[0].split("/")


async def test_forms_that_are_none_of_ours(visit: Visits) -> None:
    browser = visit()
    await browser.go("/auth/sign-in")
    _, fields = forms(browser.page.text)[0]
    form = "application/x-www-form-urlencoded"
    for kind, content, status in (
        ("application/json", b"{}", 415),
        ("multipart/form-data; boundary=x", b"--x--", 415),
        (form, b"name=" + b"x" * 200_000, 413),
        (form, b"name=%ff", 400),
        (form, b"a=1&" * 300, 400),
    ):
        headers = {"content-type": kind}
        answer = await browser.client.post("/auth/sign-in", content=content, headers=headers)
        assert answer.status_code == status
    twice = fields | {"name": "anna", "password": "x" * 100_000}
    assert (await browser.client.post("/auth/sign-in", data=twice)).status_code == 401
