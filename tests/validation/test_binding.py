"""Bindings: what is told of codes in, out of, and without their value sets."""

from __future__ import annotations

from typing import Any

import pytest

from fhirserver.definitions import packaged
from fhirserver.model.json import Resource
from fhirserver.validation import examine, validate
from fhirserver.validation.question import CodeQuestion, DisplayQuestion

MARITAL = "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus"
UCUM = "http://unitsofmeasure.org"


def told(resource: Resource, **more: Any) -> list[tuple[str, str, str]]:
    return [
        (issue.severity, issue.code, issue.expression)
        for issue in validate(resource, **more)
        if "dom-6" not in issue.text
    ]


def patient(**more: Any) -> Resource:
    return {"resourceType": "Patient"} | more


def coded(*codings: Any, **more: Any) -> Resource:
    return patient(maritalStatus=({"coding": list(codings)} if codings else {}) | more)


def of_value_set(strength: str, url: str, element: str = "Patient.maritalStatus") -> Any:
    """A profile that binds an element, and the definitions that have it."""
    profile = {
        "resourceType": "StructureDefinition",
        "url": "http://example.org/bound",
        "name": "Bound",
        "status": "draft",
        "kind": "resource",
        "abstract": False,
        "type": "Patient",
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient",
        "derivation": "constraint",
        "differential": {
            "element": [
                {"id": "Patient", "path": "Patient"},
                {
                    "id": element,
                    "path": element,
                    "binding": {"strength": strength, "valueSet": url},
                },
            ]
        },
    }
    return {
        "profiles": ["http://example.org/bound"],
        "definitions": packaged().extended([profile]),
    }


@pytest.mark.parametrize(
    ("resource", "findings"),
    [
        (patient(gender="male"), []),
        (patient(gender="man"), [("error", "code-invalid", "Patient.gender")]),
        (coded({"system": MARITAL, "code": "M"}), []),
        (coded({"system": "http://e", "code": "x"}, {"system": MARITAL, "code": "M"}), []),
        (
            coded({"system": "http://e", "code": "x"}),
            [("warning", "code-invalid", "Patient.maritalStatus")],
        ),
        (coded(text="married"), []),  # an extensible binding takes words
        (
            coded({"system": "marital", "code": "M"}),
            [
                ("warning", "code-invalid", "Patient.maritalStatus"),
                ("warning", "value", "Patient.maritalStatus.coding[0].system"),
            ],
        ),
        (
            coded({"system": MARITAL, "code": "M"}, {"system": MARITAL, "code": "XX"}),
            [("warning", "code-invalid", "Patient.maritalStatus.coding[1]")],
        ),
    ],
)
def test_codes(resource: Resource, findings: list[tuple[str, str, str]]) -> None:
    assert sorted(told(resource)) == sorted(findings)


@pytest.mark.parametrize(
    ("strength", "severity"),
    [("required", "error"), ("extensible", "warning"), ("preferred", "warning"), ("example", None)],
)
def test_the_strength_tells_the_severity(strength: str, severity: str | None) -> None:
    bound = of_value_set(strength, "http://hl7.org/fhir/ValueSet/administrative-gender")
    found = told(coded({"system": MARITAL, "code": "M"}), **bound)
    assert [item[0] for item in found] == ([] if severity is None else [severity])


def test_a_required_binding_wants_a_code_unless_an_extension_says_why() -> None:
    bound = of_value_set("required", "http://hl7.org/fhir/ValueSet/marital-status")
    place = ("error", "code-invalid", "Patient.maritalStatus")
    assert told(coded(text="married"), **bound) == [place]
    reason = {
        "url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason",
        "valueCode": "unknown",
    }
    assert told(patient(maritalStatus={"extension": [reason]}), **bound) == []


def test_a_value_set_that_is_not_here_is_asked_for() -> None:
    bound = of_value_set("required", "http://example.org/vs")
    resource = coded({"system": MARITAL, "code": "M"}, {"system": "http://e", "code": "x"})
    found = [
        item for item in examine(resource, **bound).questions if isinstance(item, CodeQuestion)
    ]
    (question,) = found
    assert question.value_set == "http://example.org/vs"
    assert question.codes == ((MARITAL, "M"), ("http://e", "x"))
    assert question.refused().is_error
    assert told(resource, **bound) == []  # nobody knows


@pytest.mark.parametrize(
    ("display", "is_right"),
    [
        ("Married", True),
        ("married", True),
        ("  Married ", True),
        ("Divorced", False),
    ],
)
def test_a_display_is_a_name_of_its_code(display: str, is_right: bool) -> None:
    resource = coded({"system": MARITAL, "code": "M", "display": display})
    place = ("warning", "code-invalid", "Patient.maritalStatus.coding[0]")
    assert told(resource) == ([] if is_right else [place])
    silent = examine(resource, advice=False).issues
    assert not any("display" in issue.text for issue in silent)


def test_displays_in_other_languages_are_not_known() -> None:
    coding = {"system": MARITAL, "code": "M", "display": "verheiratet"}
    assert told(coded(coding) | {"language": "de"}) == []


def test_displays_of_other_systems_are_asked_for() -> None:
    coding = {"system": "http://e", "version": "2", "code": "x", "display": "X"}
    found = [
        item
        for item in examine(coded(coding), asks_displays=True).questions
        if isinstance(item, DisplayQuestion)
    ]
    assert found == [DisplayQuestion("Patient.maritalStatus.coding[0]", "http://e", "2", "x", "X")]
    silent = examine(coded(coding)).questions
    assert not any(isinstance(item, DisplayQuestion) for item in silent)


def test_units_are_told_by_their_grammar() -> None:
    bound = {"resourceType": "Observation", "status": "final", "code": {"text": "c"}}
    quantity = {"value": 1, "system": UCUM, "code": "mm[Hg]"}
    assert told(bound | {"valueQuantity": quantity}) == []
    found = told(bound | {"valueQuantity": quantity | {"code": "mmHg!"}})
    assert found == [("warning", "code-invalid", "Observation.value.ofType(Quantity).code")]
