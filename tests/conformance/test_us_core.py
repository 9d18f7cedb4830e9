"""US Core 6.1.0: its examples against its own profiles."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from fhirserver.definitions import Definitions, packaged
from fhirserver.errors import FhirError
from fhirserver.model.json import Resource, decode
from fhirserver.validation import snapshot_of, validate

pytestmark = pytest.mark.conformance

DEFINITIONS = ("package/StructureDefinition-", "package/ValueSet-", "package/CodeSystem-")
INVALID = {
    # The fullUrl ends with another id than the resource has.
    "Bundle-66c8856b-ba11-4876-8aa8-467aad8c11a2.json": "Bundle.entry[2].fullUrl",
    "Bundle-docref-example-2.json": "Bundle.entry[2].fullUrl",
}


@pytest.fixture(scope="module")
def package(shared: Path) -> dict[str, Resource]:
    found = {}
    with tarfile.open(shared / "suites/us-core/us_core_610.tgz") as archive:
        for member in archive.getmembers():
            file = archive.extractfile(member)
            wanted = member.name.startswith((*DEFINITIONS, "package/example/"))
            if file is not None and wanted and member.name.endswith(".json"):
                found[member.name] = decode(file.read())
    return found


@pytest.fixture(scope="module")
def definitions(package: dict[str, Resource]) -> Definitions:
    return packaged().extended(
        resource for name, resource in package.items() if name.startswith(DEFINITIONS)
    )


def examples(package: dict[str, Resource]) -> dict[str, Resource]:
    return {
        name.rpartition("/")[2]: resource
        for name, resource in package.items()
        if name.startswith("package/example/")
    }


def test_the_examples_are_valid(package: dict[str, Resource], definitions: Definitions) -> None:
    found = {}
    for name, resource in examples(package).items():
        for issue in validate(resource, definitions=definitions):
            assert "cannot be used" not in issue.text
            if issue.is_error:
                found[name] = issue.expression
    assert len(examples(package)) == 183
    assert found == INVALID


@pytest.mark.parametrize(
    ("name", "spoil", "place"),
    [
        ("Patient-example.json", "gender", "Patient"),
        ("Patient-example.json", "name", "Patient"),
        ("Observation-blood-pressure.json", "component", "Observation"),
        ("Observation-blood-pressure.json", "category", "Observation"),
    ],
)
def test_what_a_profile_requires_is_missed(
    package: dict[str, Resource], definitions: Definitions, name: str, spoil: str, place: str
) -> None:
    resource = examples(package)[name]
    less = {key: value for key, value in resource.items() if key != spoil}
    told = [issue for issue in validate(less, definitions=definitions) if issue.is_error]
    assert (place, True) in [(issue.expression, spoil in issue.text) for issue in told]


def test_snapshots_are_those_of_the_publisher(
    package: dict[str, Resource], definitions: Definitions
) -> None:
    """The same elements, cardinalities and types for all profiles but a few."""
    differ = set()
    for resource in package.values():
        if resource.get("derivation") != "constraint":
            continue
        stated = {item["id"]: item for item in resource["snapshot"]["element"]}
        try:
            made = {item["id"]: item for item in snapshot_of(resource, definitions)}
        except FhirError:
            differ.add(resource["name"])  # its base is not here
            continue
        ranges = [
            (id, item["min"], item["max"]) == (id, made[id]["min"], made[id]["max"])
            for id, item in stated.items()
            if id in made
        ]
        if made.keys() != stated.keys() or not all(ranges):
            differ.add(resource["name"])
    assert differ == {
        # The publisher writes a constraint on `valueQuantity` into `value[x]`, here it is a slice.
        "USCoreBloodPressureProfile",
        "USCoreObservationOccupationProfile",
        "USCoreObservationPregnancyIntentProfile",
        "USCoreObservationPregnancyStatusProfile",
        "USCorePulseOximetryProfile",
        "USCoreSmokingStatusProfile",
        # It states the children of a type that the differential does not touch, or leaves them out.
        "USCoreOrganizationProfile",
        "USCorePractitionerProfile",
        # Its base, a profile of another package, is not here.
        "USCoreQuestionnaireResponseProfile",
    }
