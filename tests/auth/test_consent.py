"""The consent screen over HTTP: what is offered, ticked, remembered and taken back."""

import pytest
from launching import VITAL, answer_of, asked, body, hospital, redeemed

ALLOW = ("answer", "allow")
PROBLEM = "http://terminology.hl7.org/CodeSystem/condition-category|problem-list-item"


@pytest.fixture
async def place(tmp_path):
    async with hospital(tmp_path) as place:
        await place.client()
        yield place


async def scopes_of(browser, response):
    return body(await redeemed(browser, answer_of(response)["code"]))["scope"].split()


@pytest.mark.check("G10-7")
async def test_a_type_that_is_not_ticked_is_not_granted_and_cannot_be_read(place):
    async with place.browser("ann") as browser:
        page = await browser.get(
            "/auth/authorize",
            **asked(scope="openid launch/patient patient/Patient.rs patient/Immunization.rs"),
        )
        back = await browser.send(page, ALLOW, without=["patient/Immunization.rs"])
        tokens = body(await redeemed(browser, answer_of(back)["code"]))
        bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
        seen = await browser.http.get("/fhir/Patient?_id=a", headers=bearer)
        hidden = await browser.http.get("/fhir/Immunization?patient=a", headers=bearer)

    assert tokens["scope"] == "openid launch/patient patient/Patient.rs"
    assert seen.status_code == 200
    assert hidden.status_code == 403


@pytest.mark.check("G10-7")
async def test_one_type_of_everything_can_be_left_out(place):
    async with place.browser("ann") as browser:
        page = await browser.get("/auth/authorize", **asked(scope="launch/patient patient/*.rs"))
        scopes = await scopes_of(
            browser, await browser.send(page, ALLOW, without=["patient/Immunization.rs"])
        )

    assert "patient/*.rs" not in scopes
    assert "patient/Immunization.rs" not in scopes
    assert {"patient/Patient.rs", "patient/Observation.rs"} <= set(scopes)


@pytest.mark.check("G10-3")
async def test_everything_that_is_left_ticked_stays_everything(place):
    async with place.browser("ann") as browser:
        page = await browser.get("/auth/authorize", **asked(scope="launch/patient patient/*.rs"))

        assert await scopes_of(browser, await browser.send(page, ALLOW)) == [
            "launch/patient",
            "patient/*.rs",
        ]


@pytest.mark.check("G10-17")
async def test_the_user_picks_categories_where_the_whole_type_was_asked_for(place):
    scope = "launch/patient patient/Patient.rs patient/Condition.rs patient/Observation.rs"
    async with place.browser("ann") as browser:
        page = await browser.get("/auth/authorize", **asked(scope=scope))
        back = await browser.send(
            page,
            ALLOW,
            fill={
                "how:patient/Condition.rs": "some",
                "of:patient/Condition.rs": PROBLEM,
                "how:patient/Observation.rs": "some",
                "of:patient/Observation.rs": VITAL,
            },
        )
        tokens = body(await redeemed(browser, answer_of(back)["code"]))
        bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
        found = body(await browser.http.get("/fhir/Observation?patient=a", headers=bearer))

    assert set(tokens["scope"].split()) == {
        "launch/patient",
        "patient/Patient.rs",
        f"patient/Condition.rs?category={PROBLEM}",
        f"patient/Observation.rs?category={VITAL}",
    }
    assert [entry["resource"]["id"] for entry in found["entry"]] == ["o-a"]


@pytest.mark.check("G10-20")
async def test_lasting_access_is_told_plainly_and_can_be_left_out(place):
    async with place.browser("ann") as browser:
        page = await browser.get(
            "/auth/authorize", **asked(scope="openid patient/Patient.rs offline_access")
        )
        back = await browser.send(page, ALLOW, without=["offline_access"])
        tokens = body(await redeemed(browser, answer_of(back)["code"]))

    assert "keeps its access when you are away" in page.text
    assert "offline_access" not in tokens["scope"].split()
    assert "refresh_token" not in tokens


@pytest.mark.check("SEC-7")
async def test_nothing_beyond_the_client_and_the_role_is_granted(place):
    await place.clients.change("app", scopes=("openid", "patient/*.rs", "launch/patient"))
    asks = "openid fhirUser launch/patient patient/Observation.cruds patient/Patient.rs"
    async with place.browser("ann") as browser:
        page = await browser.get("/auth/authorize", **asked(scope=asks))

        assert "cannot have" in page.text
        assert await scopes_of(browser, await browser.send(page, ALLOW)) == [
            "openid",
            "launch/patient",
            "patient/Observation.rs",
            "patient/Patient.rs",
        ]


async def test_who_ticks_nothing_is_asked_again(place):
    async with place.browser("ann") as browser:
        page = await browser.get("/auth/authorize", **asked(scope="patient/Patient.rs"))
        again = await browser.send(page, ALLOW, without=["patient/Patient.rs"])

    assert again.status_code == 200
    assert 'role="alert"' in again.text


async def test_names_are_escaped(place):
    await place.clients.change("app", name="<b>Bad</b>", website='"><script>alert(1)</script>')
    async with place.browser("ann") as browser:
        page = await browser.get("/auth/authorize", **asked())

    assert "<b>Bad" not in page.text
    assert "<script" not in page.text


async def test_what_is_remembered_is_not_asked_again(place):
    async with place.browser("ann") as browser:
        page = await browser.get("/auth/authorize", **asked())
        answer_of(await browser.send(page, ALLOW, fill={"remember": "yes"}))

        same = await browser.get("/auth/authorize", **asked())
        silent = await browser.get("/auth/authorize", **asked(prompt="none"))
        less = await browser.get("/auth/authorize", **asked(scope="openid patient/Patient.rs"))
        more = await browser.get("/auth/authorize", **asked(scope="openid patient/Immunization.rs"))
        longer = await browser.get("/auth/authorize", **asked(scope="openid offline_access"))
        forced = await browser.get("/auth/authorize", **asked(prompt="consent"))

    assert all("code" in answer_of(response) for response in (same, silent, less))
    assert all("Allow An app?" in response.text for response in (more, longer, forced))


async def test_what_was_narrowed_stays_narrow_when_it_is_remembered(place):
    scope = "launch/patient patient/Patient.rs patient/Immunization.rs"
    async with place.browser("ann") as browser:
        page = await browser.get("/auth/authorize", **asked(scope=scope))
        answer_of(
            await browser.send(
                page, ALLOW, without=["patient/Immunization.rs"], fill={"remember": "yes"}
            )
        )
        again = await scopes_of(browser, await browser.get("/auth/authorize", **asked(scope=scope)))

    assert again == ["launch/patient", "patient/Patient.rs"]


async def test_an_app_that_anybody_can_pass_for_is_not_remembered(place):
    await place.clients.change(
        "app", redirect_uris=("http://localhost:1/x", asked()["redirect_uri"])
    )
    async with place.browser("ann") as browser:
        page = await browser.get("/auth/authorize", **asked())
        answer_of(await browser.send(page, ALLOW, fill={"remember": "yes"}))
        again = await browser.get("/auth/authorize", **asked())

    assert 'name="remember"' not in page.text
    assert "Allow An app?" in again.text


@pytest.mark.check("G10-12")
async def test_a_patient_takes_an_apps_access_back(place):
    scope = "openid launch/patient patient/Patient.rs offline_access"
    async with place.browser("ann") as browser:
        page = await browser.get("/auth/authorize", **asked(scope=scope))
        back = await browser.send(page, ALLOW)
        tokens = body(await redeemed(browser, answer_of(back)["code"]))
        bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
        before = await browser.http.get("/fhir/Patient/a", headers=bearer)
        apps = await browser.get("/auth/apps")
        done = await browser.send(apps)
        after = await browser.http.get("/fhir/Patient/a", headers=bearer)
        refreshed = await browser.http.post(
            "/auth/token",
            data={
                "grant_type": "refresh_token",
                "refresh_token": tokens["refresh_token"],
                "client_id": "app",
            },
        )

    assert before.status_code == 200
    assert "An app" in apps.text
    assert "also when you are away" in apps.text
    assert "No app has access" in done.text
    assert after.status_code == 401
    assert refreshed.status_code == 400


async def test_only_ones_own_apps_are_shown_and_taken_back(place):
    async with place.browser("ann") as browser, place.browser("doctor") as other:
        page = await browser.get("/auth/authorize", **asked())
        back = await browser.send(page, ALLOW)
        tokens = body(await redeemed(browser, answer_of(back)["code"]))
        bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
        apps = await other.get("/auth/apps")

        assert "An app" not in apps.text
        assert (await browser.http.get("/fhir/Patient/a", headers=bearer)).status_code == 200
