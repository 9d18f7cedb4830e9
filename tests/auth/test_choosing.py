"""Choosing a patient and a visit for an app that was started by itself."""

import pytest
from launching import answer_of, asked, body, encounter, hospital, patient, redeemed

ALLOW = ("answer", "allow")
SCOPE = "openid launch/patient patient/Patient.rs patient/Encounter.rs"


@pytest.fixture
async def place(tmp_path):
    async with hospital(tmp_path) as place:
        await place.client()
        yield place


async def test_staff_search_for_a_patient_by_name(place):
    async with place.browser("doctor") as browser:
        page = await browser.get("/auth/authorize", **asked(scope=SCOPE))
        found = await browser.send(page, fill={"name": "bak", "born": ""})
        consent = await browser.send(found, ("patient", "b"), form=1)
        answer = answer_of(await browser.send(consent, ALLOW))
        tokens = body(await redeemed(browser, answer["code"]))

    assert "Whose record?" in page.text
    assert "Bob Baker" in found.text
    assert "Archer" not in found.text
    assert "bak" not in str(found.url)
    assert "Bob Baker" in consent.text
    assert tokens["patient"] == "b"


async def test_staff_search_for_a_patient_by_birth_date(place):
    await place.put(patient("c", "Cole", "Cy", "1999-09-09"))
    async with place.browser("doctor") as browser:
        page = await browser.get("/auth/authorize", **asked(scope=SCOPE))
        found = await browser.send(page, fill={"name": "", "born": "1999-09-09"})
        wrong = await browser.send(page, fill={"name": "", "born": "9.9.1999"})
        nobody = await browser.send(page, fill={"name": "zz", "born": ""})
        empty = await browser.send(page, fill={"name": " ", "born": ""})

    assert "Cy Cole" in found.text
    assert "Baker" not in found.text
    assert "year-month-day" in wrong.text
    assert "Nobody was found" in nobody.text
    assert 'role="alert"' in empty.text


async def test_a_patient_that_is_not_there_cannot_be_chosen(place):
    async with place.browser("doctor") as browser:
        page = await browser.get("/auth/authorize", **asked(scope=SCOPE))
        again = await browser.send(page, ("patient", "nobody"), fill={"name": "", "born": ""})

    assert "Choose one of the list" in again.text


async def test_a_patient_cannot_choose_anybody_else(place):
    async with place.browser("ann") as browser:
        page = await browser.get("/auth/authorize", **asked(scope=SCOPE))
        token = str(page.url).rpartition("/")[2]
        await browser.http.post(
            f"/auth/authorize/{token}/patient",
            data={"patient": "b"},
            headers={"Origin": "http://localhost"},
        )
        answer = answer_of(await browser.send(page, ALLOW))
        tokens = body(await redeemed(browser, answer["code"]))

    assert tokens["patient"] == "a"


async def test_who_looks_after_a_patient_gets_that_record(place):
    person = {"resourceType": "RelatedPerson", "id": "r", "patient": {"reference": "Patient/b"}}
    await place.put(person)
    await place.person("carer", "patient", fhir_user="RelatedPerson/r")
    async with place.browser("carer") as browser:
        page = await browser.get("/auth/authorize", **asked(scope=SCOPE))
        answer = answer_of(await browser.send(page, ALLOW))
        tokens = body(await redeemed(browser, answer["code"]))
        bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
        own = await browser.http.get("/fhir/Patient/b", headers=bearer)
        other = await browser.http.get("/fhir/Patient/a", headers=bearer)

    assert "your own record" not in page.text
    assert "Bob Baker" in page.text
    assert tokens["patient"] == "b"
    assert (own.status_code, other.status_code) == (200, 404)


async def test_who_looks_after_nobody_any_more_is_refused(place):
    person = {
        "resourceType": "RelatedPerson",
        "id": "r",
        "active": False,
        "patient": {"reference": "Patient/b"},
    }
    await place.put(person)
    await place.person("carer", "patient", fhir_user="RelatedPerson/r")
    async with place.browser("carer") as browser:
        response = await browser.get("/auth/authorize", **asked(scope=SCOPE))

    assert answer_of(response)["error"] == "access_denied"


async def test_a_visit_can_be_chosen(place):
    await place.put(encounter("e-2", "b"))
    async with place.browser("doctor") as browser:
        page = await browser.get("/auth/authorize", **asked(scope=f"{SCOPE} launch/encounter"))
        found = await browser.send(page, fill={"name": "baker", "born": ""})
        visits = await browser.send(found, ("patient", "b"), form=1)
        foreign = await browser.send(visits, ("encounter", "e-a"))
        consent = await browser.send(visits, ("encounter", "e-2"))
        answer = answer_of(await browser.send(consent, ALLOW))
        tokens = body(await redeemed(browser, answer["code"]))

    assert "Which visit?" in visits.text
    assert "Which visit?" in foreign.text
    assert tokens["encounter"] == "e-2"


async def test_no_visit_in_particular_is_a_choice(place):
    async with place.browser("ann") as browser:
        page = await browser.get("/auth/authorize", **asked(scope=f"{SCOPE} launch/encounter"))
        consent = await browser.send(page, ("encounter", "none"))
        answer = answer_of(await browser.send(consent, ALLOW))
        tokens = body(await redeemed(browser, answer["code"]))

    assert "Which visit?" in page.text
    assert "encounter" not in tokens


async def test_going_back_refuses_it(place):
    async with place.browser("doctor") as browser:
        page = await browser.get("/auth/authorize", **asked(scope=SCOPE))
        answer = answer_of(await browser.send(page, ("back", "yes"), form=-1))

    assert answer["error"] == "access_denied"
    assert answer["state"] == "s-1 &=é"
