"""Attacks of the best current practice for OAuth (RFC 9700 section 4) that no other test makes."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest
from launching import APP, BASE, CHALLENGE, ISSUER, answer_of, asked, body, hospital, redeemed

ALLOW = ("answer", "allow")
THEIR_VERIFIER = "another-verifier-of-more-than-forty-three-characters-012345"


@pytest.fixture
async def place(tmp_path):
    async with hospital(tmp_path) as place:
        await place.client()
        yield place


async def code_for(place, who="ann", **fields):
    """A code that a person's browser is sent to the app with."""
    async with place.browser(who) as browser:
        page = await browser.get("/auth/authorize", **asked(**fields))
        return answer_of(await browser.send(page, ALLOW))["code"]


@pytest.mark.check("BCP-4")
@pytest.mark.parametrize("fields", [{}, {"scope": "patient/x"}, {"response_type": "token"}])
async def test_every_answer_names_its_issuer(place, fields):
    """An app that talks to several servers tells by it who answered; refusals too."""
    async with place.browser("ann") as browser:
        page = await browser.get("/auth/authorize", **asked(**fields))
        answer = answer_of(page if fields else await browser.send(page, ALLOW))
    assert answer["iss"] == ISSUER
    async with place.browser() as browser:
        told = [
            body(await browser.http.get(f"{root}/.well-known/{name}"))
            for root, name in (
                (BASE, "smart-configuration"),
                (ISSUER, "openid-configuration"),
            )
        ]
    for configuration in told:
        assert configuration["issuer"] == ISSUER
        assert configuration["authorization_response_iss_parameter_supported"] is True


@pytest.mark.check("BCP-5")
@pytest.mark.check("SEC-4")
async def test_a_stolen_code_is_of_no_use_in_another_session(place):
    """The thief begins at the app and puts the victim's code into the answer: the app proves the
    verifier of the thief's session, which the code does not belong to."""
    code = await code_for(place)
    async with place.browser() as thief:
        for fields in (
            {"code_verifier": THEIR_VERIFIER},
            {"code_verifier": ""},
            {"client_id": "evil"},
            {"redirect_uri": "https://evil.example.org/back"},
        ):
            assert (await redeemed(thief, code, **fields)).status_code in (400, 401)
        assert (await redeemed(thief, code)).status_code == 200  # the refused ones used nothing up


@pytest.mark.check("BCP-5")
async def test_a_code_of_one_app_is_of_no_use_to_another(place):
    await place.client("evil", redirect_uris=(APP, "https://evil.example.org/back"))
    code = await code_for(place)
    async with place.browser() as thief:
        assert (await redeemed(thief, code, client_id="evil")).status_code == 400
    other = await code_for(place, client_id="evil")
    async with place.browser() as thief:
        assert (await redeemed(thief, other)).status_code == 400


@pytest.mark.check("BCP-6")
@pytest.mark.parametrize(
    "fields",
    [
        {"response_type": "token"},
        {"response_type": "id_token"},
        {"response_type": "code token"},
        {"response_type": "code id_token"},
        {"response_mode": "fragment"},
        {"response_mode": "form_post"},
    ],
)
async def test_no_token_comes_by_the_browser(place, fields):
    async with place.browser("ann") as browser:
        page = await browser.get("/auth/authorize", **asked(**fields))
        location = page.headers.get("location", "")
        if not location:  # what is not known is ignored: it is asked as ever
            location = (await browser.send(page, ALLOW)).headers["location"]
    assert not urlsplit(location).fragment
    assert "token" not in dict(parse_qsl(urlsplit(location).query))
    if "response_type" in fields:
        assert "error=unsupported_response_type" in location


@pytest.mark.check("BCP-7")
@pytest.mark.check("BCP-8")
@pytest.mark.parametrize("kind", ["public", "symmetric"])
@pytest.mark.parametrize(
    "fields",
    [
        {"code_challenge": None},
        {"code_challenge": None, "code_challenge_method": None},
        {"code_challenge_method": None},
        {"code_challenge_method": "plain"},
        {"code_challenge": ""},
        {"state": None},
    ],
)
async def test_nothing_that_protects_a_session_can_be_left_out(place, kind, fields):
    await place.client("other", kind=kind, secret_hash=b"x" * 32)
    async with place.browser("ann") as browser:
        page = await browser.get("/auth/authorize", client_id="other", **without_client(fields))
    assert answer_of(page)["error"] == "invalid_request"


def without_client(fields):
    return {name: value for name, value in asked(**fields).items() if name != "client_id"}


@pytest.mark.check("BCP-8")
async def test_a_challenge_cannot_be_taken_away_on_the_way_back(place):
    """Each code has a challenge: one that is redeemed without, or with the challenge itself as
    verifier (as `plain` would have it), is refused."""
    code = await code_for(place)
    async with place.browser() as browser:
        assert (await redeemed(browser, code, code_verifier=CHALLENGE)).status_code == 400
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": APP}
        answer = await browser.http.post("/auth/token", data=form | {"client_id": "app"})
    assert answer.status_code == 400


@pytest.mark.check("BCP-11")
async def test_who_registered_itself_cannot_send_strangers_anywhere(place):
    """RFC 9700, 4.11.2: a wrong request on purpose, so that our address leads to theirs."""
    await place.client("evil", dynamic=True)
    wrong = {"client_id": "evil", "scope": "patient/x"}
    async with place.browser() as stranger:
        page = await stranger.get("/auth/authorize", **asked(**wrong))
        assert page.status_code == 400
        assert "location" not in page.headers
        assert "Go on to app.example.org" in page.text
        assert "error=invalid_scope" in page.text
        redirected = await stranger.get("/auth/authorize", **asked(scope="patient/x"))
        assert answer_of(redirected)["error"] == "invalid_scope"  # an administrator's
    async with place.browser("ann") as known:
        page = await known.get("/auth/authorize", **asked(**wrong))
        assert answer_of(page)["error"] == "invalid_scope"


@pytest.mark.check("BCP-12")
async def test_no_form_is_sent_on_to_an_app(place):
    """307 and 308 would send what was typed along."""
    async with place.browser("ann") as browser:
        begun = await browser.http.post("/auth/authorize", data=asked())
        page = await browser.get(begun.headers["location"])
        answer = await browser.send(page, ALLOW)
    assert (begun.status_code, answer.status_code) == (303, 303)


@pytest.mark.check("BCP-15")
async def test_a_client_cannot_be_taken_for_a_person(place):
    """A client_id is the server's; and who acts for itself has a subject of another kind."""
    async with place.browser() as browser:
        metadata = {
            "client_id": place.people["ann"].id,
            "client_name": "x",
            "redirect_uris": [APP],
        }
        answer = await browser.http.post("/auth/register", json=metadata)
        assert answer.status_code == 400  # nobody registers unless the operator says so
    from fhirserver.auth.registration import registered

    made, told = registered(metadata, now=1, random=lambda size: b"r" * size, suspended=False)
    assert made.id == told["client_id"] != place.people["ann"].id
