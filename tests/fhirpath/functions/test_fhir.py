from __future__ import annotations

from typing import Any

import pytest

from fhirserver.fhirpath import (
    FhirPathExecutionError,
    Services,
    compile,  # noqa: A004 - as in re
    evaluate,
)
from fhirserver.model.json import Resource


def run(resource: Resource, expression: str, **services: Any) -> list[Any]:
    return compile(expression).evaluate(resource, services=Services(**services))


def test_extensions_of_primitives(patient: Resource) -> None:
    assert evaluate(patient, "birthDate.extension('http://example.org/birthTime').value") == [
        "1974-12-25T14:35:45-05:00"
    ]
    assert evaluate(patient, "birthDate.hasExtension('http://example.org/birthTime')") == [True]
    assert evaluate(patient, "birthDate.extension.url") == ["http://example.org/birthTime"]
    assert evaluate(patient, "birthDate.extension(%`ext-none`)") == []
    assert evaluate(patient, "gender.extension('x')") == []


def test_values_of_primitives(observation: Resource) -> None:
    assert evaluate(observation, "component.value.select(hasValue())") == [True, False, False]
    assert evaluate(observation, "status.getValue()") == ["final"]
    assert evaluate(observation, "code.getValue()") == []
    assert evaluate(observation, "component.value.hasValue()") == [False]
    assert evaluate(observation, "component.value") == [
        "high",
        {"extension": [{"url": "http://e.org/n"}]},
        {"text": "low"},
    ]


def test_resolve_follows_contained_resources(patient: Resource) -> None:
    assert evaluate(patient, "managingOrganization.resolve().name") == ["Acme"]
    assert evaluate(patient, "managingOrganization.resolve() is Organization") == [True]


def test_resolve_follows_entries_of_a_bundle(patient: Resource) -> None:
    url = "urn:uuid:0d3b3e2e-9a40-4d8a-9a55-6a4ac8fa3a5d"
    bundle = {
        "resourceType": "Bundle",
        "entry": [
            {"fullUrl": url, "resource": {"resourceType": "Practitioner", "id": "9"}},
            {"fullUrl": "https://here/fhir/Practitioner/1",
             "resource": {"resourceType": "Practitioner", "id": "1"}},
            {"resource": patient},
        ],
    }  # fmt: skip
    found = evaluate(bundle, "entry.resource.ofType(Patient).generalPractitioner.resolve().id")
    assert found == ["1", "9"]
    assert evaluate(bundle, "entry.resource.ofType(Patient).managingOrganization.resolve().id") == [
        "org"
    ]


def test_resolve_asks_the_caller_for_the_rest(patient: Resource) -> None:
    asked: list[str] = []

    def resolve(reference: str) -> Resource | None:
        asked.append(reference)
        return {"resourceType": "Practitioner", "id": "1"} if "Pract" in reference else None

    assert run(patient, "generalPractitioner.resolve().id", resolve=resolve) == ["1"]
    assert "Practitioner/1" in asked


@pytest.mark.parametrize(
    ("type_", "count"),
    [("Practitioner", 1), ("Organization", 1), ("PractitionerRole", 1), ("Patient", 0),
     ("DomainResource", 3)],
)  # fmt: skip
def test_the_type_of_a_target_is_told_by_the_reference(
    patient: Resource, type_: str, count: int
) -> None:
    found = evaluate(patient, f"generalPractitioner.where(resolve() is {type_})")
    assert len(found) == count


def test_profiles(patient: Resource) -> None:
    base = "http://hl7.org/fhir/StructureDefinition/"
    assert evaluate(patient, f"conformsTo('{base}Patient')") == [True]
    assert evaluate(patient, f"conformsTo('{base}DomainResource')") == [True]
    assert evaluate(patient, f"conformsTo('{base}Person')") == [False]
    with pytest.raises(FhirPathExecutionError, match="not known"):
        evaluate(patient, "conformsTo('http://trash')")
    found = run(patient, "conformsTo('http://p')", conforms_to=lambda value, url: value["active"])
    assert found == [True]


def test_terminology_is_asked_of_the_caller(observation: Resource) -> None:
    def member_of(value: Any, value_set: str) -> bool | None:
        return None if value_set == "http://unknown" else value["text"] == "Weight"

    assert run(observation, "code.memberOf('http://v')", member_of=member_of) == [True]
    assert run(observation, "code.memberOf('http://unknown')", member_of=member_of) == []
    with pytest.raises(FhirPathExecutionError, match="not available"):
        evaluate(observation, "code.memberOf('http://v')")

    def subsumes(broad: Any, narrow: Any) -> bool:
        return str(narrow).startswith(str(broad))

    assert run(observation, "'a'.subsumes('ab')", subsumes=subsumes) == [True]
    assert run(observation, "'a'.subsumedBy('ab')", subsumes=subsumes) == [False]


def test_slices_are_picked_by_the_caller(patient: Resource) -> None:
    found = run(
        patient,
        "telecom.slice('http://p', 'phone').value",
        slice=lambda values, profile, name: [v for v in values if v["system"] == name],
    )
    assert found == ["(03) 5555 6473"]


def test_unexpected_modifiers_are_refused(patient: Resource) -> None:
    patient["modifierExtension"] = [{"url": "http://m", "valueBoolean": True}]
    assert evaluate(patient, "checkModifiers('http://m').id") == ["p1"]
    with pytest.raises(FhirPathExecutionError, match="http://m"):
        evaluate(patient, "checkModifiers('http://n')")


def test_definitions_of_elements(patient: Resource) -> None:
    assert evaluate(patient, "name.given.first().elementDefinition().path") == ["HumanName.given"]
    assert evaluate(patient, "name.first().elementDefinition().select(path & max)") == [
        "Patient.name*"
    ]
    assert evaluate(patient, "elementDefinition().path") == ["Patient"]
    found = evaluate(patient, "deceased.elementDefinition().type.code")
    assert found == ["boolean", "dateTime"]


def test_html_type_and_ids(patient: Resource) -> None:
    assert evaluate(patient, "contained.id.type().name") == ["id"]
    assert evaluate(patient, "deceased.type().name") == ["boolean"]
    assert evaluate(patient, "1.type()") == [
        {"namespace": "System", "name": "Integer", "baseType": "System.Any"}
    ]
