"""Apps that are started from within: the launch, its context, and whose it is."""

import json

import pytest
from launching import BASE, ISSUER, answer_of, asked, body, hospital, redeemed

from fhirserver.auth.access_token import AccessToken
from fhirserver.auth.launch_context import wanted
from fhirserver.errors import Invalid

ALLOW = ("answer", "allow")
SCOPE = "openid launch patient/Patient.rs patient/Encounter.rs"
START = "https://app.example.org/start?x=1"


@pytest.fixture
async def place(tmp_path):
    async with hospital(tmp_path) as place:
        await place.client(launch_uri=START)
        yield place


async def start(browser, **fields):
    return await browser.http.post("/auth/launch", json={"client_id": "app", **fields})


@pytest.mark.check("LAU-1")
@pytest.mark.check("G10-5")
@pytest.mark.check("G10-6")
@pytest.mark.check("G10-14")
@pytest.mark.check("SEC-13")
async def test_an_app_is_started_with_a_patient_and_a_visit(place):
    context = [{"reference": "ImagingStudy/1", "role": "https://example.org/role"}]
    async with place.browser("doctor") as browser:
        begun = await start(
            browser,
            patient="a",
            encounter="e-a",
            intent="reconcile",
            need_patient_banner=False,
            fhirContext=context,
        )
        launch = body(begun)
        page = await browser.get("/auth/authorize", **asked(scope=SCOPE, launch=launch["launch"]))
        answer = answer_of(await browser.send(page, ALLOW))
        tokens = body(await redeemed(browser, answer["code"]))
        bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
        seen = [
            (await browser.http.get(f"/fhir/{path}", headers=bearer)).status_code
            for path in ("Patient/a", "Encounter/e-a", "Patient/b")
        ]
        style = await browser.http.get("/auth/style.json")

    assert begun.status_code == 201
    assert launch["iss"] == BASE
    assert launch["url"].startswith(f"{START}&iss=http%3A%2F%2Flocalhost%2Ffhir&launch=")
    assert (tokens["patient"], tokens["encounter"]) == ("a", "e-a")
    assert tokens["need_patient_banner"] is False
    assert tokens["intent"] == "reconcile"
    assert tokens["tenant"] == "default"
    assert tokens["fhirContext"] == context
    assert tokens["smart_style_url"] == f"{ISSUER}/style.json"
    assert style.headers["access-control-allow-origin"] == "*"
    assert body(style)["color_text"]
    assert seen == [200, 200, 404]


async def test_a_launch_is_for_one_user_and_one_client_and_once(place):
    await place.client("other", launch_uri=START)
    async with place.browser("doctor") as browser, place.browser("ann") as ann:
        value = body(await start(browser, patient="a"))["launch"]
        elsewhere = await browser.get(
            "/auth/authorize", **asked(scope=SCOPE, launch=value, client_id="other")
        )
        somebody = await ann.get("/auth/authorize", **asked(scope=SCOPE, launch=value))
        page = await browser.get("/auth/authorize", **asked(scope=SCOPE, launch=value))
        answer_of(await browser.send(page, ALLOW))
        again = await browser.get("/auth/authorize", **asked(scope=SCOPE, launch=value))

    assert answer_of(elsewhere)["error"] == "invalid_request"
    assert answer_of(somebody)["error"] == "access_denied"
    assert answer_of(again)["error"] == "invalid_request"


async def test_a_launch_does_not_show_a_patient_that_the_user_does_not_see(place):
    async with place.browser("ann") as browser:
        value = body(await start(browser, patient="b"))["launch"]
        response = await browser.get("/auth/authorize", **asked(scope=SCOPE, launch=value))

    assert answer_of(response)["error"] == "access_denied"


async def test_a_visit_of_another_patient_is_refused(place):
    async with place.browser("doctor") as browser:
        value = body(await start(browser, patient="a", encounter="e-b"))["launch"]
        response = await browser.get("/auth/authorize", **asked(scope=SCOPE, launch=value))

    assert answer_of(response)["error"] == "access_denied"


async def test_who_is_not_signed_in_starts_nothing(place):
    async with place.browser() as browser:
        assert (await start(browser)).status_code == 401


async def test_a_page_of_another_site_starts_nothing(place):
    async with place.browser("doctor") as browser:
        foreign = {"Origin": "https://evil.example"}
        sent = await browser.http.post("/auth/launch", json={"client_id": "app"}, headers=foreign)
        form = await browser.http.post("/auth/launch", content='{"client_id":"app"}')

    assert sent.status_code == 403
    assert form.status_code == 400


@pytest.mark.parametrize(
    "fields",
    [{"client_id": "unknown"}, {"client_id": "still"}, {"user": "someone"}, {"patient": "../x"}],
    ids=["unknown", "not-startable", "another-user", "no-id"],
)
async def test_what_cannot_be_started_is_told(place, fields):
    await place.client("still")
    async with place.browser("doctor") as browser:
        response = await start(browser, **fields)

    assert response.status_code in (400, 403)
    assert body(response)["error"] in ("invalid_request", "access_denied")


@pytest.mark.parametrize("scopes", [("smart/orchestrate_launch",), ("system/Patient.rs",)], ids=str)
async def test_a_system_starts_an_app_for_a_user_with_the_scope_for_it(place, scopes):
    server = place.authorization.server
    await place.client(
        "portal",
        kind="symmetric",
        grant_types=("client_credentials",),
        scopes=scopes,
        roles=("admin",),
        secret_hash=b"x",
    )
    given = await server.authorizations.grant_system("default", "portal", scopes, BASE)
    token = await issued(server, given)
    async with place.browser() as browser:
        bearer = {"Authorization": f"Bearer {token}"}
        ask = {"client_id": "app", "patient": "a"}
        nobody = await browser.http.post("/auth/launch", json=ask, headers=bearer)
        named = await browser.http.post(
            "/auth/launch", json={**ask, "user": place.people["doctor"].id}, headers=bearer
        )

    expected = (400, 201) if "smart" in scopes[0] else (403, 403)
    assert (nobody.status_code, named.status_code) == expected


async def issued(server, authorization):
    now = server.now()
    token = AccessToken(
        authorization=authorization.id,
        client=authorization.client,
        scopes=authorization.scopes,
        issued=now,
        until=now + 60_000_000,
    )
    return await server.access_tokens.issue(token)


TYPES = frozenset({"Patient", "Encounter", "ImagingStudy"})


@pytest.mark.check("SEC-12")
@pytest.mark.check("TOK-3")
@pytest.mark.parametrize(
    "item",
    [
        {"reference": "Patient/1"},
        {"reference": "Encounter/1"},
        {"reference": "Patient/1", "role": "launch"},
        {"reference": "ImagingStudy/1", "role": ""},
        {"reference": "ImagingStudy/1", "role": "relative"},
        {"reference": "https://example.org/ImagingStudy/1"},
        {"reference": "Unknown/1"},
        {"reference": "ImagingStudy/1 2"},
        {"canonical": "urn:x"},
        {"identifier": {"value": "1"}, "type": "Patient"},
        {"identifier": {"value": "1"}, "type": "Unknown"},
        {"identifier": {"value": "1"}, "other": 1},
        {"identifier": "1"},
        {},
    ],
    ids=range(14),
)
def test_a_context_against_the_rules_is_refused(item):
    with pytest.raises(Invalid):
        wanted(json.dumps({"client_id": "app", "fhirContext": [item]}).encode(), TYPES)


@pytest.mark.check("SEC-12")
def test_a_patient_in_another_role_is_allowed():
    text = b'{"client_id":"app","fhirContext":[{"reference":"Patient/1","role":"https://x.org/donor"}]}'

    assert wanted(text, TYPES).fhirContext[0].reference == "Patient/1"
