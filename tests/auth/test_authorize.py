"""The authorization endpoint: what it takes, what it refuses, and where it sends the browser."""

import pytest
from launching import APP, BASE, ISSUER, answer_of, asked, body, hospital, redeemed

from fhirserver.access.grant import SERVER
from fhirserver.errors import Unavailable
from fhirserver.interactions.request import Request
from fhirserver.model.json import decode

ALLOW = ("answer", "allow")
DENY = ("answer", "deny")


@pytest.fixture
async def place(tmp_path):
    async with hospital(tmp_path) as place:
        await place.client()
        yield place


@pytest.mark.check("LAU-3")
@pytest.mark.check("LAU-4")
@pytest.mark.check("OAU-6")
@pytest.mark.check("G10-3")
async def test_a_patient_allows_an_app(place):
    async with place.browser("ann") as browser:
        page = await browser.get("/auth/authorize", **asked())
        assert "Allow An app?" in page.text
        assert "your own record" in page.text
        answer = answer_of(await browser.send(page, ALLOW))

        assert set(answer) == {"code", "state", "iss"}
        assert answer["state"] == "s-1 &=é"
        assert answer["iss"] == ISSUER
        tokens = body(await redeemed(browser, answer["code"]))
    assert tokens["scope"].split() == asked()["scope"].split()
    assert tokens["patient"] == "a"
    assert tokens["need_patient_banner"] is True
    assert tokens["smart_style_url"] == f"{ISSUER}/style.json"


@pytest.mark.check("LAU-3")
async def test_a_request_can_be_a_form(place):
    async with place.browser("ann") as browser:
        page = await browser._follow(await browser.http.post("/auth/authorize", data=asked()))
        answer = answer_of(await browser.send(page, ALLOW))

    assert answer["code"]
    assert answer["state"] == "s-1 &=é"


@pytest.mark.check("BCP-1")
@pytest.mark.check("SEC-1")
@pytest.mark.check("SEC-2")
@pytest.mark.parametrize(
    "fields",
    [
        {"redirect_uri": f"{APP}/"},
        {"redirect_uri": f"{APP}?x=1"},
        {"redirect_uri": APP.upper()},
        {"redirect_uri": "https://app.example.org.evil.example/back"},
        {"redirect_uri": None},
        {"client_id": "unknown"},
        {"client_id": None},
        {"request_uri": "urn:ietf:params:oauth:request_uri:unknown"},
    ],
    ids=lambda fields: "-".join(f"{k}-{len(v or '')}" for k, v in fields.items()),
)
async def test_nothing_is_sent_to_an_address_that_is_not_the_clients(place, fields):
    async with place.browser("ann") as browser:
        page = await browser.http.get("/auth/authorize", params=asked(**fields))

    assert page.status_code == 400
    assert "location" not in page.headers
    assert "cannot be connected" in page.text


@pytest.mark.check("SEC-1")
async def test_a_suspended_client_is_unknown(place):
    await place.clients.change("app", suspended=True)
    async with place.browser("ann") as browser:
        assert (await browser.http.get("/auth/authorize", params=asked())).status_code == 400


_WRONG = {
    "no-response-type": ({"response_type": None}, "invalid_request"),
    "implicit": ({"response_type": "token"}, "unsupported_response_type"),
    "hybrid": ({"response_type": "code id_token"}, "unsupported_response_type"),
    "fragment": ({"response_mode": "fragment"}, "invalid_request"),
    "no-state": ({"state": None}, "invalid_request"),
    "no-scope": ({"scope": None}, "invalid_scope"),
    "no-such-scope": ({"scope": "patient/Observation.sr"}, "invalid_scope"),
    "system-scope": ({"scope": "system/Patient.rs"}, "invalid_scope"),
    "no-aud": ({"aud": None}, "invalid_request"),
    "foreign-aud": ({"aud": "https://evil.example/fhir"}, "invalid_request"),
    "longer-aud": ({"aud": f"{BASE}//"}, "invalid_request"),
    "no-pkce": ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
    "no-method": ({"code_challenge_method": None}, "invalid_request"),
    "plain": ({"code_challenge_method": "plain"}, "invalid_request"),
    "short-challenge": ({"code_challenge": "abc"}, "invalid_request"),
    "request-object": ({"request": "e30.e30."}, "request_not_supported"),
    "prompt": ({"prompt": "none login"}, "invalid_request"),
    "max-age": ({"max_age": "soon"}, "invalid_request"),
    "launch-without-value": ({"scope": "launch patient/*.rs"}, "invalid_request"),
    "unknown-launch": ({"scope": "launch patient/*.rs", "launch": "x"}, "invalid_request"),
}


@pytest.mark.check("SEC-4")
@pytest.mark.check("OAU-6")
@pytest.mark.check("OAU-7")
@pytest.mark.check("G10-9")
@pytest.mark.parametrize("kind", ["public", "symmetric"])
@pytest.mark.parametrize("name", _WRONG)
async def test_a_wrong_request_is_refused_at_the_clients_address(place, name, kind):
    fields, error = _WRONG[name]
    await place.clients.change("app", kind=kind)
    async with place.browser("ann") as browser:
        response = await browser.http.get("/auth/authorize", params=asked(**fields))

    answer = answer_of(response)
    assert answer["error"] == error
    assert answer["iss"] == ISSUER
    assert "code" not in answer
    assert answer.get("state") == (None if name == "no-state" else "s-1 &=é")


async def test_a_doubled_parameter_leads_nowhere(place):
    async with place.browser("ann") as browser:
        twice = [*asked().items(), ("scope", "openid")]
        response = await browser.http.get("/auth/authorize", params=twice)

    assert response.status_code == 400


async def test_a_final_slash_of_the_audience_does_not_matter(place):
    async with place.browser("ann") as browser:
        page = await browser.get("/auth/authorize", **asked(aud=f"{BASE}/"))
        answer = answer_of(await browser.send(page, ALLOW))

        assert (await redeemed(browser, answer["code"])).status_code == 200


@pytest.mark.check("SEC-3")
async def test_who_does_not_allow_it_is_sent_back_with_the_state(place):
    async with place.browser("ann") as browser:
        page = await browser.get("/auth/authorize", **asked())
        answer = answer_of(await browser.send(page, DENY))

    assert answer["error"] == "access_denied"
    assert answer["state"] == "s-1 &=é"
    assert answer["iss"] == ISSUER
    assert "code" not in answer


@pytest.mark.check("BCP-16")
@pytest.mark.check("OAU-7")
async def test_pages_cannot_be_framed_or_read_by_other_origins(place):
    async with place.browser("ann") as browser:
        begun = await browser.http.get(
            "/auth/authorize", params=asked(), headers={"Origin": "https://app.example.org"}
        )
        page = await browser._follow(begun)

    for response in (begun, page):
        assert "access-control-allow-origin" not in response.headers
        assert response.headers["referrer-policy"] == "no-referrer"
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["x-frame-options"] == "DENY"
    assert begun.status_code == 303
    policy = page.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "form-action 'self' https://app.example.org" in policy
    assert "<script" not in page.text


async def test_who_is_not_signed_in_signs_in_first(place):
    async with place.browser() as browser:
        response = await browser.get("/auth/authorize", **asked())

    assert response.status_code == 200
    assert "/auth/sign-in" in str(response.url)


@pytest.mark.parametrize(
    ("who", "fields", "error"),
    [
        (None, {}, "login_required"),
        ("ann", {}, "consent_required"),
        ("ann", {"max_age": "0"}, "login_required"),
        ("doctor", {}, "interaction_required"),
    ],
    ids=["nobody", "consent", "too-old", "patient"],
)
async def test_prompt_none_never_shows_a_page(place, who, fields, error):
    async with place.browser(who) as browser:
        response = await browser.get("/auth/authorize", **asked(prompt="none", **fields))

    assert answer_of(response)["error"] == error


@pytest.mark.parametrize("fields", [{"prompt": "login"}, {"max_age": "0"}], ids=["prompt", "age"])
async def test_a_new_sign_in_can_be_asked_for(place, fields):
    async with place.browser("ann") as browser:
        response = await browser.get("/auth/authorize", **asked(**fields))

    assert "/auth/reauthenticate" in str(response.url)


async def test_somebody_elses_request_cannot_be_taken_over(place):
    async with place.browser("ann") as browser, place.browser("doctor") as other:
        page = await browser.get("/auth/authorize", **asked())
        taken = await other.http.get(str(page.url))
        answered = await other._follow(
            await other.http.post(
                str(page.url), data={"answer": "allow"}, headers={"Origin": "http://localhost"}
            )
        )

    assert taken.status_code == 403
    assert answered.status_code == 403
    assert "location" not in answered.headers


@pytest.mark.check("BCP-7")
async def test_a_form_from_elsewhere_is_refused(place):
    async with place.browser("ann") as browser:
        page = await browser.get("/auth/authorize", **asked())
        form = {"answer": "allow", "tick": "patient/Patient.rs"}
        foreign = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
        response = await browser.http.post(str(page.url), data=form, headers=foreign)

    assert response.status_code == 403


async def test_a_request_is_answered_once(place):
    async with place.browser("ann") as browser:
        page = await browser.get("/auth/authorize", **asked())
        answer_of(await browser.send(page, ALLOW))
        again = await browser.send(page, ALLOW)

    assert again.status_code == 400
    assert "Begin again" in again.text


@pytest.mark.check("SEC-11")
async def test_a_patient_scope_without_a_patient_is_refused(place):
    async with place.browser("support") as browser:
        response = await browser.get("/auth/authorize", **asked(scope="patient/Observation.rs"))

        if response.status_code == 200:  # support may look for patients, and finds none
            assert "Whose record?" in response.text
            response = await browser.send(response, ("back", "yes"), form=-1)

    assert answer_of(response)["error"] == "access_denied"


@pytest.mark.check("OAU-8")
async def test_a_client_that_has_to_push_its_requests_cannot_send_them(place):
    await place.clients.change("app", pushes=True)
    async with place.browser("ann") as browser:
        refused = await browser.get("/auth/authorize", **asked())
        pushed = body(await browser.http.post("/auth/par", data=asked()))
        named = {"client_id": "app", "request_uri": pushed["request_uri"]}
        page = await browser.get("/auth/authorize", **named)
        again = await browser.http.get("/auth/authorize", params=named)
        answer = answer_of(await browser.send(page, ALLOW))

    assert answer_of(refused)["error"] == "invalid_request"
    assert answer["code"]
    assert again.status_code == 400


class _Broken:
    async def record(self, *events):
        raise Unavailable("The audit trail cannot be written.")


@pytest.mark.check("AUD-5")
async def test_no_code_leaves_that_is_not_on_record(place):
    async with place.browser("ann") as browser:
        page = await browser.get("/auth/authorize", **asked())
        object.__setattr__(place.authorization.interaction, "recorder", _Broken())
        response = await browser.send(page, ALLOW)

    assert response.status_code == 503
    assert "location" not in response.headers
    assert "code=" not in response.text


@pytest.mark.check("AUD-5")
@pytest.mark.parametrize(("press", "subtype"), [(ALLOW, "grant-given"), (DENY, "grant-denied")])
async def test_what_the_user_said_is_on_record(place, press, subtype):
    async with place.browser("ann") as browser:
        page = await browser.get("/auth/authorize", **asked())
        await browser.send(page, press)
    ask = Request(
        "search-type",
        BASE,
        "AuditEvent",
        parameters=(("subtype", subtype), ("patient", "Patient/a")),
        grant=SERVER,
    )
    found = decode((await place.app._running.dispatch(ask)).body)

    assert found["total"] == 1
