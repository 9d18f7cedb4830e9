"""US Core 6.1.0: what its CapabilityStatement asks of searches, on a server that has it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import serving
from indexing.server import found, put, when_indexed

from fhirserver import Settings
from fhirserver.app import open_gate
from fhirserver.definitions import packaged
from fhirserver.packages.archive import files_of
from fhirserver.packages.install import install
from fhirserver.packages.package import Package, package

pytestmark = pytest.mark.conformance

URL = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-"
OWN = {
    "CareTeam": "role",
    "Condition": "asserted-date",
    "Encounter": "discharge-disposition",
    "Goal": "description",
    "Patient": "race",
}
VALUES = {"date": "ge2020", "reference": "Patient/p", "string": "x", "token": "x", "uri": "x:y"}


@pytest.fixture(scope="module")
def us_core(shared: Path) -> Package:
    return package(files_of(shared / "suites/us-core/us_core_610.tgz"))


@pytest.fixture
async def client(us_core: Package, tmp_path: Path) -> AsyncIterator[httpx2.AsyncClient]:
    free = {"integrity_on_write": False, "max_bundle_entries": 1_000_000}
    settings = Settings(data=tmp_path, auth="none", **free)  # type: ignore[arg-type]
    async with open_gate(settings) as dispatch:
        assert (await install(dispatch, us_core, packaged())).left_out == {}
    async with serving.client(tmp_path, validation="off") as client:
        for type, code in OWN.items():
            await when_indexed(client, f"{type}?{code}:missing=false")
        yield client


def stated(us_core: Package) -> Iterator[tuple[str, dict[str, Any]]]:
    (server,) = (item for item in us_core.resources if item["id"] == "us-core-server")
    for item in server["rest"][0]["resource"]:
        yield item["type"], item


def asked(us_core: Package) -> Iterator[str]:
    """A search by each parameter, by each combination of them, and with each inclusion."""
    for type, item in stated(us_core):
        kinds = {found["name"]: VALUES[found["type"]] for found in item.get("searchParam", ())}
        yield from (f"{type}?{name}={value}" for name, value in kinds.items())
        for extension in item.get("extension", ()):
            if extension["url"].endswith("search-parameter-combination"):
                names = [
                    part["valueString"]
                    for part in extension["extension"]
                    if part["url"] == "required"
                ]
                yield f"{type}?" + "&".join(f"{name}={kinds.get(name, 'x')}" for name in names)
        yield from (f"{type}?_include={value}" for value in item.get("searchInclude", ()))
        yield from (f"{type}?_revinclude={value}" for value in item.get("searchRevInclude", ()))


async def test_every_search_is_answered(client: httpx2.AsyncClient, us_core: Package) -> None:
    queries = list(asked(us_core))
    assert len(queries) > 150
    wrong = {}
    for query in queries:
        answer = await client.get(f"/fhir/{query}")
        if answer.status_code != 200:
            wrong[query] = answer.text
    assert wrong == {}


async def test_its_own_parameters_find(client: httpx2.AsyncClient) -> None:
    asserted = "http://hl7.org/fhir/StructureDefinition/condition-assertedDate"
    race = {
        "url": f"{URL}race",
        "extension": [{"url": "ombCategory", "valueCoding": {"code": "2106-3"}}],
    }
    gender = {"url": f"{URL}genderIdentity", "valueCodeableConcept": {"coding": [{"code": "f"}]}}
    await put(
        client,
        {"resourceType": "Patient", "id": "p", "extension": [race, gender]},
        {"resourceType": "Patient", "id": "q"},
        {
            "resourceType": "Condition",
            "id": "c",
            "subject": {"reference": "Patient/p"},
            "extension": [{"url": asserted, "valueDateTime": "2021-05-06"}],
        },
        {
            "resourceType": "Goal",
            "id": "g",
            "lifecycleStatus": "active",
            "subject": {"reference": "Patient/p"},
            "description": {"coding": [{"code": "d"}]},
        },
    )
    assert await found(client, "Patient?race=2106-3") == ["p"]
    assert await found(client, "Patient?gender-identity=f") == ["p"]
    assert await found(client, "Condition?patient=p&asserted-date=2021-05") == ["c"]
    assert await found(client, "Condition?asserted-date=lt2021") == []
    assert await found(client, "Goal?description=d") == ["g"]
    assert await found(client, "Patient?_id=p&_revinclude=Condition:patient") == ["p", "c"]
