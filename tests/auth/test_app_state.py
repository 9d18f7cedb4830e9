"""State that apps keep: under which codes, of whom, and version by version."""

import asyncio

import pytest
from launching import BASE, ISSUER, answer_of, asked, body, hospital, redeemed

from fhirserver.auth.client import StateCode

SYSTEM = "https://app.example.org"
STATES = f"{ISSUER}/app-state/Basic"
SCOPE = "openid fhirUser launch/patient patient/Patient.rs"


def state(code="preferences", subject="Patient/a", text="{}", **fields):
    found = {
        "resourceType": "Basic",
        "code": {"coding": [{"system": SYSTEM, "code": code}]},
        "extension": [{"url": f"{SYSTEM}/state", "valueString": text}],
        **fields,
    }
    return found | ({"subject": {"reference": subject}} if subject else {})


@pytest.fixture
async def place(tmp_path):
    async with hospital(tmp_path) as place:
        codes = (
            StateCode(SYSTEM, "preferences"),
            StateCode(SYSTEM, "keys", ("Patient",)),
            StateCode(SYSTEM, "shared", ("",), modifies=False),
        )
        await place.client(app_state=codes)
        yield place


async def token(browser, scope=SCOPE):
    page = await browser.get("/auth/authorize", **asked(scope=scope))
    if "Whose record?" in page.text:
        found = await browser.send(page, fill={"name": "archer", "born": ""})
        page = await browser.send(found, ("patient", "a"), form=1)
    back = await browser.send(page, ("answer", "allow"))
    tokens = body(await redeemed(browser, answer_of(back)["code"]))
    return {"Authorization": f"Bearer {tokens['access_token']}"}


@pytest.mark.check("SEC-21")
@pytest.mark.parametrize(
    "subject", ["Patient/a", f"{BASE}/Patient/a", "Practitioner/d", ""], ids=range(4)
)
async def test_a_state_is_made_found_changed_and_taken_away(place, subject):
    async with place.browser("doctor") as browser:
        http, bearer = browser.http, await token(browser)
        text = "x" * 300_000
        made = await http.post(STATES, json=state(subject=subject, text=text), headers=bearer)
        where, tag = made.headers["location"], made.headers["etag"]
        of = {"subject": subject} if subject else {"subject:missing": "true"}
        ask = {"code": f"{SYSTEM}|preferences", **of}
        found = body(await http.get(STATES, params=ask, headers=bearer))
        changed = await http.put(
            where, json=state(subject=subject, text="2"), headers={**bearer, "If-Match": tag}
        )
        stale = await http.put(
            where, json=state(subject=subject, text="3"), headers={**bearer, "If-Match": tag}
        )
        unnamed = await http.put(where, json=state(subject=subject), headers=bearer)
        read = await http.get(where, headers=bearer)
        last = {**bearer, "If-Match": read.headers["etag"]}
        other = [
            await http.put(where, json=state("keys", "Patient/a"), headers=last),
            await http.delete(where, headers={**bearer, "If-Match": tag}),
            await http.delete(where, headers=bearer),
        ]
        gone = await http.delete(where, headers=last)
        after = [
            await http.put(where, json=state(subject=subject), headers=last),
            await http.delete(where, headers=last),
        ]
        none = body(await http.get(STATES, params=ask, headers=bearer))

    assert made.status_code == 201
    assert made.headers["access-control-allow-origin"] == "*"
    assert body(made)["meta"]["versionId"] == tag[3:-1]
    assert where == f"{STATES}/{body(made)['id']}"
    assert found["total"] == 1
    assert found["entry"][0]["resource"]["extension"][0]["valueString"] == text
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag
    assert [stale.status_code, unnamed.status_code] == [412, 412]
    assert body(read)["extension"][0]["valueString"] == "2"
    assert [response.status_code for response in other] == [412, 412, 412]
    assert gone.status_code == 204
    assert [response.status_code for response in after] == [412, 412]
    assert none["total"] == 0


@pytest.mark.check("SEC-21")
@pytest.mark.parametrize(
    "wrong",
    [
        {"resourceType": "Patient"},
        {"code": {"coding": []}},
        {"code": {"coding": [{"system": "s", "code": "a"}, {"system": "s", "code": "b"}]}},
        {"code": {"coding": [{"code": "preferences"}]}},
        {"extension": [{"url": "u", "valueInteger": 1}]},
        {"extension": [{"url": "u", "extension": [{"url": "u", "valueString": "v"}]}]},
        {"subject": {"display": "Ann"}},
        {"author": {"reference": "Practitioner/d"}},
    ],
    ids=range(8),
)
async def test_what_is_no_state_is_refused(place, wrong):
    async with place.browser("ann") as browser:
        bearer = await token(browser)
        response = await browser.http.post(STATES, json=state(**wrong), headers=bearer)

    assert response.status_code in (400, 422)
    assert body(response)["resourceType"] == "OperationOutcome"


@pytest.mark.check("SEC-21")
@pytest.mark.parametrize(
    ("code", "subject"),
    [
        ("unknown", "Patient/a"),
        ("keys", ""),
        ("keys", "Practitioner/d"),
        ("shared", ""),
        ("preferences", "Patient/b"),
        ("preferences", "Practitioner/other"),
    ],
    ids=["code", "kind-none", "kind-user", "read-only", "another-patient", "another-user"],
)
async def test_an_app_keeps_state_under_its_codes_of_those_in_context_only(place, code, subject):
    async with place.browser("doctor") as browser:
        bearer = await token(browser)
        made = await browser.http.post(STATES, json=state(code, subject), headers=bearer)

    assert made.status_code == 403


@pytest.mark.check("SEC-21")
async def test_state_of_another_app_or_patient_is_not_there(place):
    other = {"id": "other", "app_state": (StateCode(SYSTEM, "others"),)}
    await place.client(**other)
    await place.person("bob", "patient", fhir_user="Patient/b")
    async with place.browser("ann") as browser, place.browser("bob") as bob:
        bearer = await token(browser)
        made = await browser.http.post(STATES, json=state(), headers=bearer)
        foreign = await token(bob)
        read = await bob.http.get(made.headers["location"], headers=foreign)
        absent = await bob.http.get(f"{STATES}/nothing", headers=foreign)
        searched = await bob.http.get(
            STATES,
            params={"code": f"{SYSTEM}|preferences", "subject": "Patient/a"},
            headers=foreign,
        )
        match = {"If-Match": made.headers["etag"]}
        deleted = await bob.http.delete(made.headers["location"], headers={**foreign, **match})

    assert (read.status_code, absent.status_code) == (404, 404)
    assert body(read) == body(absent)
    assert searched.status_code == 403
    assert deleted.status_code == 412


async def test_the_fhir_base_shows_no_state(place):
    async with place.browser("ann") as browser:
        bearer = await token(browser, "launch/patient patient/*.rs")
        made = await browser.http.post(STATES, json=state(), headers=bearer)
        found = body(await browser.http.get("/fhir/Basic?patient=a", headers=bearer))

    assert made.status_code == 201
    assert found["total"] == 0


async def test_state_of_the_user_is_for_apps_that_know_the_user(place):
    async with place.browser("doctor") as browser:
        bearer = await token(browser, "openid launch/patient patient/Patient.rs")
        made = await browser.http.post(STATES, json=state(subject="Practitioner/d"), headers=bearer)
        nobody = await browser.http.get(STATES)

    assert made.status_code == 403
    assert nobody.status_code == 401
    assert nobody.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.check("SEC-21")
async def test_of_many_changes_at_once_one_is_made(place):
    async with place.browser("doctor") as browser:
        http, bearer = browser.http, await token(browser)
        made = await http.post(STATES, json=state(), headers=bearer)
        match = {**bearer, "If-Match": made.headers["etag"]}
        changed = await asyncio.gather(
            *(
                http.put(made.headers["location"], json=state(text=str(n)), headers=match)
                for n in range(8)
            )
        )

    assert sorted(response.status_code for response in changed) == [200, *[412] * 7]
