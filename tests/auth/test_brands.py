"""User-access brands: a public bundle of who runs the server."""

import re

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
        place.authorization._brands._known.clear()  # as after a minute
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


ORGANIZATION_BRAND = "http://hl7.org/fhir/StructureDefinition/organization-brand"
FHIR_VERSION = "http://hl7.org/fhir/StructureDefinition/endpoint-fhir-version"
CODES = "http://terminology.hl7.org/CodeSystem/endpoint-"
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


def of_type(bundle, type):
    return [one["resource"] for one in bundle["entry"] if one["resource"]["resourceType"] == type]


def brands(bundle):
    return of_type(bundle, "Organization")


def endpoints(bundle):
    return of_type(bundle, "Endpoint")


def parts(resource, url):
    """The parts of the extensions of that url, as pairs of their url and the whole part."""
    found = [one for one in resource.get("extension", ()) if one["url"] == url]
    return [(part["url"], part) for one in found for part in one["extension"]]


def referred(organization):
    return [one["reference"] for one in organization["endpoint"]]


# Each rule of the differentials of user-access-brands-bundle, -brand and -endpoint, version 2.2.0.
RULES = [
    ("Bundle.meta.lastUpdated 1..1", lambda b: INSTANT.fullmatch(b["meta"]["lastUpdated"])),
    ("Bundle.type = collection", lambda b: b["type"] == "collection"),
    ("Bundle.timestamp", lambda b: INSTANT.fullmatch(b["timestamp"])),
    ("Bundle.entry of two types", lambda b: len(b["entry"]) == len(brands(b) + endpoints(b)) > 0),
    ("a primary brand for each endpoint", lambda b: brands(b) and endpoints(b)),
    ("Organization.name 1..1", lambda b: all(one["name"] for one in brands(b))),
    (
        "Organization.telecom 1..1, of system url",
        lambda b: all([t["system"] for t in one["telecom"]] == ["url"] for one in brands(b)),
    ),
    (
        "Organization.identifier has system and value",
        lambda b: all(i["system"] and i["value"] for one in brands(b) for i in one["identifier"]),
    ),
    (
        "Organization.endpoint is bundled, by a relative URL",
        lambda b: all(
            set(referred(one)) <= {f"Endpoint/{e['id']}" for e in endpoints(b)} and referred(one)
            for one in brands(b)
        ),
    ),
    (
        "uab-1: portal endpoints are in Organization.endpoint",
        lambda b: all(
            part["valueReference"]["reference"] in referred(one)
            for one in brands(b)
            for name, part in parts(one, PORTAL)
            if name == "portalEndpoint"
        ),
    ),
    (
        "portal and brand have their own parts only",
        lambda b: all(
            name.startswith("portal" if url == PORTAL else "brandLogo")
            for one in brands(b)
            for url in (PORTAL, ORGANIZATION_BRAND)
            for name, _ in parts(one, url)
        ),
    ),
    (
        "Organization.partOf is in the bundle",
        lambda b: all("partOf" not in one for one in brands(b)),
    ),
    (
        "Endpoint fhir-version 1..*",
        lambda b: all(
            [x["valueCode"] for x in one["extension"] if x["url"] == FHIR_VERSION] == ["4.0.1"]
            for one in endpoints(b)
        ),
    ),
    ("Endpoint.status", lambda b: all(one["status"] == "active" for one in endpoints(b))),
    (
        "Endpoint.connectionType",
        lambda b: all(
            one["connectionType"] == {"system": f"{CODES}connection-type", "code": "hl7-fhir-rest"}
            for one in endpoints(b)
        ),
    ),
    (
        "Endpoint.contact:configuration-url 1..*",
        lambda b: all(
            any(c["system"] == "url" and c["value"].startswith("http") for c in one["contact"])
            for one in endpoints(b)
        ),
    ),
    (
        "Endpoint.payloadType",
        lambda b: all(
            one["payloadType"] == [{"coding": [{"system": f"{CODES}payload-type", "code": "none"}]}]
            for one in endpoints(b)
        ),
    ),
    ("Endpoint.address 1..1", lambda b: all(one["address"] == BASE for one in endpoints(b))),
    (
        "no Endpoint without a brand",
        lambda b: (
            {f"Endpoint/{one['id']}" for one in endpoints(b)}
            == {reference for one in brands(b) for reference in referred(one)}
        ),
    ),
]
AWKWARD = {
    **BRAND,
    "partOf": {"reference": "Organization/elsewhere"},
    "telecom": [
        {"system": "phone", "value": "555"},
        {"system": "url", "value": "https://bay.example.org"},
        {"system": "url", "value": "https://other.example.org"},
    ],
    "extension": [
        *BRAND["extension"],
        {
            "url": ORGANIZATION_BRAND,
            "extension": [
                {"url": "brandLogo", "valueUrl": "https://bay.example.org/logo.svg"},
                {"url": "inside", "valueString": "secret"},
            ],
        },
    ],
}
PLAIN = {key: BRAND[key] for key in ("resourceType", "id", "name")}


@pytest.mark.check("BRD-2")
@pytest.mark.check("BRD-3")
@pytest.mark.check("BRD-5")
@pytest.mark.parametrize(
    "brand", [BRAND, AWKWARD, PLAIN, None], ids=["full", "awkward", "plain", "none"]
)
async def test_each_rule_of_the_guides_profiles_holds(place, brand):
    if brand is not None:
        await place.put(brand)
    else:
        place.authorization._brands._reference = ""
    async with place.browser() as browser:
        bundle = body(await browser.http.get("/auth/brands"))

    assert [rule for rule, holds in RULES if not holds(bundle)] == []
    assert [i for i in validation.validate(bundle) if i.severity in ("error", "fatal")] == []
    assert "secret" not in str(bundle)


@pytest.mark.parametrize(
    ("rule", "spoil"),
    [
        ("Bundle.type = collection", lambda b: b.update(type="searchset")),
        ("Bundle.timestamp", lambda b: b.update(timestamp="today")),
        ("Organization.telecom 1..1, of system url", lambda b: brands(b)[0].update(telecom=[])),
        (
            "uab-1: portal endpoints are in Organization.endpoint",
            lambda b: parts(brands(b)[0], PORTAL)[-1][1].update(
                valueReference={"reference": "Endpoint/other"}
            ),
        ),
        (
            "Organization.endpoint is bundled, by a relative URL",
            lambda b: brands(b)[0].update(endpoint=[{"reference": f"{BASE}/Endpoint/fhir-base"}]),
        ),
        ("Endpoint fhir-version 1..*", lambda b: endpoints(b)[0].update(extension=[])),
        ("Endpoint.contact:configuration-url 1..*", lambda b: endpoints(b)[0].update(contact=[])),
        ("no Endpoint without a brand", lambda b: endpoints(b)[0].update(id="alone")),
    ],
)
async def test_the_rules_find_what_breaks_them(place, rule, spoil):
    async with place.browser() as browser:
        bundle = body(await browser.http.get("/auth/brands"))
    spoil(bundle)
    assert rule in [name for name, holds in RULES if not holds(bundle)]


async def test_without_a_brand_there_is_a_plain_one(tmp_path):
    async with hospital(tmp_path) as place, place.browser() as browser:
        bundle = body(await browser.http.get("/auth/brands"))

    assert bundle["entry"][0]["resource"]["name"] == "localhost"
    assert bundle["entry"][0]["resource"]["identifier"] == [
        {"system": "urn:ietf:rfc:3986", "value": BASE}
    ]
