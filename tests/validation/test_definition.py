"""Resources that define, and cannot be worked with."""

from __future__ import annotations

from fhirserver.model.json import Resource
from fhirserver.validation import validate

PROFILE: Resource = {
    "resourceType": "StructureDefinition",
    "url": "http://example.org/p",
    "name": "P",
    "status": "draft",
    "kind": "resource",
    "abstract": False,
    "type": "Patient",
    "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient",
    "derivation": "constraint",
}


def errors(resource: Resource) -> list[tuple[str, str]]:
    return [(item.code, item.expression) for item in validate(resource) if item.is_error]


def differing(**element: object) -> Resource:
    return PROFILE | {"differential": {"element": [{"id": element["path"], **element}]}}


def test_a_wrong_path_is_told() -> None:
    assert errors(differing(path="Patient.name", min=1)) == []
    assert errors(differing(path="Patient.nonsense", min=1)) == [
        ("processing", "StructureDefinition")
    ]


def test_the_profile_of_a_type_is_for_that_type() -> None:
    type = {"code": "Quantity", "profile": ["http://hl7.org/fhir/StructureDefinition/Patient"]}
    found = errors(differing(path="Patient.name", type=[type]))
    assert ("value", "StructureDefinition.differential.element[0].type[0].profile[0]") in found


def test_a_supplement_says_that_it_is_one() -> None:
    system = {"resourceType": "CodeSystem", "status": "draft", "supplements": "http://e.org/s"}
    assert errors(system | {"content": "supplement"}) == []
    assert errors(system | {"content": "fragment"}) == [("business-rule", "CodeSystem.content")]
