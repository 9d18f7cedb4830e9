"""User-access brands: a public bundle of who runs the server."""

import pytest
from launching import BASE, ISSUER, body, hospital

from fhirserver import validation

PORTAL = "http://hl7.org/fhir/StructureDefinition/organization-portal"
BRAND = {
    "resourceType": "Organization",
    "id": "brand",
    "active": True,
    "name": "Bay Hospital",
    "alias": ["BH"],
    "identifier": [
        {"system": "urn:ietf:rfc:3986", "value": "https://bay.example.org"},
        {"system": "http://hl7.org/fhir/sid/us-npi", "value": "1234567893"},
    ],
    "telecom": [{"system": "url", "value": "https://bay.example.org"}],
    "address": [{"city": "Bay", "state": "MA"}],
    "contact": [{"name": {"family": "Inside"}}],
    "extension": [
        {
            "url": PORTAL,
            "extension": [
                {"url": "portalName", "valueString": "MyBay"},
                {"url": "portalEndpoint", "valueReference": {"reference": "Endpoint/elsewhere"}},
            ],
        },
        {"url": "http://example.org/inside", "valueString": "secret"},
    ],
}


@pytest.fixture
async def place(tmp_path):
    async with hospital(tmp_path, brand="Organization/brand") as place:
        await place.put(BRAND)
        yield place


@pytest.mark.check("BRD-1")
async def test_the_bundle_is_public_and_kept_by_its_etag(place):
    async with place.browser() as browser:
        first = await browser.http.get("/auth/brands", headers={"Origin": "https://app.example"})
        tag = first.headers["etag"]
        again = await browser.http.get("/auth/brands", headers={"If-None-Match": tag})
        await place.put({**BRAND, "name": "Bay General"})
        changed = await browser.http.get("/auth/brands", headers={"If-None-Match": tag})
        asked = await browser.http.options("/auth/brands")

    assert first.status_code == 200
    assert first.headers["content-type"].startswith("application/fhir+json")
    assert first.headers["access-control-allow-origin"] == "*"
    assert tag.startswith('W/"')
    assert again.status_code == 304
    assert changed.status_code == 200
    assert body(changed)["entry"][0]["resource"]["name"] == "Bay General"
    assert asked.headers["access-control-allow-origin"] == "*"


@pytest.mark.check("BRD-2")
@pytest.mark.check("BRD-3")
@pytest.mark.check("BRD-5")
@pytest.mark.check("SEC-20")
async def test_brand_and_endpoint_belong_together(place):
    async with place.browser() as browser:
        bundle = body(await browser.http.get("/auth/brands"))
        told = body(await browser.http.get("/fhir/.well-known/smart-configuration"))

    organization, endpoint = (entry["resource"] for entry in bundle["entry"])
    assert validation.validate(bundle) == [] or all(
        issue.severity not in ("error", "fatal") for issue in validation.validate(bundle)
    )
    assert (bundle["type"], bundle["timestamp"]) == ("collection", bundle["timestamp"])
    reference = {"reference": f"Endpoint/{endpoint['id']}"}
    assert organization["endpoint"] == [reference]
    portal = organization["extension"][0]["extension"]
    assert portal[-1] == {"url": "portalEndpoint", "valueReference": reference}
    assert endpoint["address"] == BASE
    assert endpoint["status"] == "active"
    assert endpoint["connectionType"]["code"] == "hl7-fhir-rest"
    assert endpoint["contact"] == [{"system": "url", "value": "https://bay.example.org"}]
    assert endpoint["payloadType"][0]["coding"][0]["code"] == "none"
    assert told["user_access_brand_bundle"] == f"{ISSUER}/brands"
    assert organization["identifier"].count(told["user_access_brand_identifier"]) == 1


@pytest.mark.check("SEC-20")
async def test_only_what_the_profile_has_is_published(place):
    absent = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
    await place.put(
        {
            **BRAND,
            "extension": [
                *BRAND["extension"],
                {
                    "url": "http://hl7.org/fhir/StructureDefinition/organization-brand",
                    "extension": [
                        {
                            "url": "brandLogo",
                            "_valueUrl": {"extension": [{"url": absent, "valueCode": "masked"}]},
                        }
                    ],
                },
            ],
        }
    )
    async with place.browser() as browser:
        text = (await browser.http.get("/auth/brands")).text

    assert "MyBay" in text
    assert "Inside" not in text
    assert "secret" not in text
    assert "masked" not in text


@pytest.mark.check("BRD-4")
async def test_the_endpoint_answers(place):
    async with place.browser() as browser:
        bundle = body(await browser.http.get("/auth/brands"))
        address = bundle["entry"][1]["resource"]["address"]
        capability = body(await browser.http.get(f"{address}/metadata"))

    assert capability["resourceType"] == "CapabilityStatement"


async def test_without_a_brand_there_is_a_plain_one(tmp_path):
    async with hospital(tmp_path) as place, place.browser() as browser:
        bundle = body(await browser.http.get("/auth/brands"))

    assert bundle["entry"][0]["resource"]["name"] == "localhost"
    assert bundle["entry"][0]["resource"]["identifier"] == [
        {"system": "urn:ietf:rfc:3986", "value": BASE}
    ]
