"""US Core's searches of Condition and Observation under scopes with a category, one by one.

Each search that its CapabilityStatement asks for is made with values of every resource, by an app
that may see everything of the patient, and by apps whose scopes name categories only: those get
exactly what is in their categories of it (ONC (g)(10), granular scopes, groups 1 and 2).
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest
from auth.tokens.world import Clock, World, serving
from conformance.test_us_core_search import stated
from indexing.server import found, when_indexed

from fhirserver import Settings
from fhirserver.access.grant import OPEN
from fhirserver.app import open_gate
from fhirserver.definitions import packaged
from fhirserver.interactions.request import Request
from fhirserver.packages.archive import files_of
from fhirserver.packages.install import install
from fhirserver.packages.package import Package, package

pytestmark = [pytest.mark.slow, pytest.mark.conformance, pytest.mark.check("G10-16")]

HL7 = "http://terminology.hl7.org/CodeSystem/"
US_CORE = "http://hl7.org/fhir/us/core/CodeSystem/"
ENCOUNTER = f"{HL7}condition-category|encounter-diagnosis"
PROBLEM = f"{HL7}condition-category|problem-list-item"
CONCERN = f"{US_CORE}condition-category|health-concern"
LABORATORY = f"{HL7}observation-category|laboratory"
VITAL = f"{HL7}observation-category|vital-signs"
SOCIAL = f"{HL7}observation-category|social-history"
SURVEY = f"{HL7}observation-category|survey"
SDOH = f"{US_CORE}us-core-category|sdoh"

GROUPS = {
    1: {"Condition": {ENCOUNTER, CONCERN}, "Observation": {LABORATORY, SOCIAL}},
    2: {"Condition": {PROBLEM}, "Observation": {VITAL, SURVEY, SDOH}},
}
CATEGORIES: dict[str, tuple[tuple[str, ...], ...]] = {
    "Condition": ((ENCOUNTER,), (PROBLEM,), (CONCERN,), (PROBLEM, CONCERN), ()),
    "Observation": ((LABORATORY,), (VITAL,), (SOCIAL,), (SURVEY,), (SURVEY, SDOH), ("x:y|z",), ()),
}
DATES = {
    "onset-date": "onsetDateTime",
    "abatement-date": "abatementDateTime",
    "recorded-date": "recordedDate",
    "date": "effectiveDateTime",
}
ASSERTED = "http://hl7.org/fhir/StructureDefinition/condition-assertedDate"

Resource = dict[str, Any]


def concept(*codes: str) -> Resource:
    pairs = [code.split("|") for code in codes]
    return {"coding": [{"system": system, "code": code} for system, code in pairs]}


def pool() -> Iterator[Resource]:
    """Conditions and observations of two patients, in each category and in none."""
    for whose in "pq":
        yield {"resourceType": "Patient", "id": whose}
        subject = {"reference": f"Patient/{whose}"}
        yield {"resourceType": "Encounter", "id": f"e-{whose}", "subject": subject}
        for number, categories in enumerate(CATEGORIES["Condition"]):
            day = f"2024-03-{10 + number}"
            yield {
                "resourceType": "Condition",
                "id": f"c-{whose}-{number}",
                "clinicalStatus": concept(f"{HL7}condition-clinical|active"),
                "category": [concept(category) for category in categories],
                "code": concept(f"http://snomed.info/sct|{1000 + number % 2}"),
                "subject": subject,
                "encounter": {"reference": f"Encounter/e-{whose}"},
                "onsetDateTime": day,
                "abatementDateTime": day,
                "recordedDate": day,
                "extension": [{"url": ASSERTED, "valueDateTime": day}],
            }
        for number, categories in enumerate(CATEGORIES["Observation"]):
            yield {
                "resourceType": "Observation",
                "id": f"o-{whose}-{number}",
                "status": "final",
                "category": [concept(*categories)] if categories else [],
                "code": concept(f"http://loinc.org|{1000 + number % 2}-1"),
                "subject": subject,
                "effectiveDateTime": f"2024-03-{10 + number}",
            }


def without_empty(resource: Resource) -> Resource:
    return {name: value for name, value in resource.items() if value != []}


POOL = [without_empty(resource) for resource in pool()]


def categories_of(resource: Resource) -> set[str]:
    return {
        f"{coding['system']}|{coding['code']}"
        for category in resource.get("category", ())
        for coding in category["coding"]
    }


def values(resource: Resource, name: str) -> list[str]:
    """What a parameter may be asked for so that it finds a resource."""
    if name == "patient":
        return [resource["subject"]["reference"], resource["subject"]["reference"][8:]]
    if name == "category":
        found = sorted(categories_of(resource))
        return [*found, *(text.partition("|")[2] for text in found)]
    if name == "code":
        (coding,) = resource["code"]["coding"]
        return [f"{coding['system']}|{coding['code']}", coding["code"]]
    if name == "clinical-status":
        return ["active", f"{HL7}condition-clinical|active"]
    if name == "status":
        return ["final", "final,amended"]
    if name == "encounter":
        return [resource["encounter"]["reference"]]
    day = resource[DATES[name]] if name in DATES else resource["extension"][0]["valueDateTime"]
    return [day, f"ge{day}", f"lt{day}", f"le{day}"]


def combinations(us_core: Package, type: str) -> Iterator[tuple[str, ...]]:
    """The parameters that are asked for together, and each by itself with the patient."""
    (item,) = (item for name, item in stated(us_core) if name == type)
    yield ("patient",)
    for parameter in item["searchParam"]:
        if parameter["name"] != "patient":
            yield ("patient", parameter["name"])
            yield (parameter["name"],)
    for extension in item["extension"]:
        if extension["url"].endswith("search-parameter-combination"):
            parts = extension["extension"]
            yield tuple(part["valueString"] for part in parts if part["url"] == "required")


def searches(us_core: Package, type: str) -> list[str]:
    asked: set[str] = {""}
    for names in set(combinations(us_core, type)):
        for resource in POOL:
            if resource["resourceType"] == type:
                for chosen in itertools.product(*(values(resource, name) for name in names)):
                    pairs = zip(names, chosen, strict=True)
                    asked.add("&".join(f"{name}={value}" for name, value in pairs))
    return sorted(asked)


class Apps(NamedTuple):
    """One that sees everything of the patient, and one for each group of scopes."""

    whole: httpx2.AsyncClient
    narrow: dict[int, httpx2.AsyncClient]


@pytest.fixture(scope="module")
def us_core(shared: Path) -> Package:
    return package(files_of(shared / "suites/us-core/us_core_610.tgz"))


@pytest.fixture
async def apps(
    us_core: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Apps]:
    free: dict[str, Any] = {"integrity_on_write": False, "max_bundle_entries": 1_000_000}
    free["validation"] = "off"
    settings = Settings(data=tmp_path, auth="none", **free)
    async with open_gate(settings) as dispatch:
        await install(dispatch, us_core, packaged())
        for resource in POOL:
            place = resource["resourceType"], resource["id"]
            ask = Request("update", "http://localhost/fhir", *place, resource=resource, grant=OPEN)
            await dispatch(ask)
    async with serving(tmp_path, Clock(), monkeypatch, limits="off") as world:
        opened = Apps(await app(world, "whole", ("patient/*.rs",)), {})
        for number, group in GROUPS.items():
            scopes = tuple(
                f"patient/{type}.rs?category={category}"
                for type, categories in group.items()
                for category in sorted(categories)
            )
            opened.narrow[number] = await app(world, f"group-{number}", scopes)
        await when_indexed(opened.whole, "Condition?asserted-date=2024")
        yield opened
        for client in (opened.whole, *opened.narrow.values()):
            await client.aclose()


async def app(world: World, id: str, scopes: tuple[str, ...]) -> httpx2.AsyncClient:
    """An app with these scopes for the record of one patient."""
    client = await world.client(id)
    user = await world.user(f"ann-{id}", roles=("patient",), fhir_user="Patient/p")
    body = await world.tokens(client, user, scopes=scopes, patient="p")
    assert body["scope"].split() == list(scopes)
    return httpx2.AsyncClient(
        transport=world.http._transport,
        base_url="http://localhost",
        headers={"Authorization": f"Bearer {body['access_token']}"},
    )


@pytest.mark.parametrize("type", ["Condition", "Observation"])
async def test_every_search_shows_the_categories_and_no_more(
    apps: Apps, us_core: Package, type: str
) -> None:
    asked = searches(us_core, type)
    assert len(asked) > 100
    by_id = {resource["id"]: resource for resource in POOL}
    non_empty = 0
    for query in asked:
        everything = await found(apps.whole, f"{type}?{query}&_count=100")
        for number, client in apps.narrow.items():
            wanted = [id for id in everything if categories_of(by_id[id]) & GROUPS[number][type]]
            assert await found(client, f"{type}?{query}&_count=100") == wanted, query
            non_empty += bool(wanted)
            count = await client.get(f"/fhir/{type}?{query}&_summary=count")
            assert count.json()["total"] == len(wanted), query
    assert non_empty > 100


@pytest.mark.parametrize("number", GROUPS)
async def test_what_is_read_and_searched_by_post(apps: Apps, number: int) -> None:
    client = apps.narrow[number]
    for resource in POOL:
        type, id = resource["resourceType"], resource["id"]
        is_in = bool(categories_of(resource) & GROUPS[number].get(type, set()))
        is_in = is_in and resource["subject"]["reference"] == "Patient/p"
        for path in (f"{type}/{id}", f"{type}/{id}/_history/1"):
            answer = await client.get(f"/fhir/{path}")
            assert (answer.status_code == 200) is is_in, path
            if not is_in:
                assert answer.json()["resourceType"] == "OperationOutcome"
                assert "2024-03" not in answer.text
    for type, categories in GROUPS[number].items():
        everything = set(await found(apps.whole, f"{type}?patient=p&_count=100"))
        answer = await client.post(
            f"/fhir/{type}/_search",
            data={"patient": "Patient/p", "category": ",".join(sorted(categories))},
        )
        seen = {entry["resource"]["id"] for entry in answer.json()["entry"]}
        assert seen == set(await found(client, f"{type}?_count=100"))
        assert seen < everything
