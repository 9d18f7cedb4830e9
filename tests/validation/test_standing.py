"""Where extensions may stand: elements, other extensions, FHIRPath, and rules about the element."""

from __future__ import annotations

from typing import Any

import pytest
from validation.extensions import CORE, OWN, colour

from fhirserver.definitions import packaged
from fhirserver.model.json import Resource
from fhirserver.validation import validate


def errors(resource: Resource, **definition: Any) -> list[tuple[str, str]]:
    known = packaged().extended([colour(**definition)]) if definition else packaged()
    found = validate(resource, None, known)
    return [(issue.code, issue.expression) for issue in found if issue.is_error]


EXTENSION = {"url": OWN, "valueCode": "red"}
PATIENT = {
    "resourceType": "Patient",
    "name": [{"use": "official", "family": "A", "extension": [EXTENSION]}],
    "birthDate": "1961",
    "_birthDate": {"extension": [EXTENSION]},
}
ON_NAME = ("extension", "Patient.name[0].extension[0]")
ON_DATE = ("extension", "Patient.birthDate.extension[0]")


@pytest.mark.parametrize(
    ("contexts", "refused"),
    [
        (["Element"], []),
        (["Patient"], [ON_NAME, ON_DATE]),
        (["Patient.name"], [ON_DATE]),
        (["HumanName", "date"], []),
        (["HumanName", "Patient.birthDate"], []),
        (["date"], [ON_NAME]),
    ],
)
def test_elements(contexts: list[str], refused: list[tuple[str, str]]) -> None:
    context = [{"type": "element", "expression": item} for item in contexts]
    assert errors(PATIENT, context=context) == refused


def test_fhirpath() -> None:
    context = [{"type": "fhirpath", "expression": "name.where(use = 'official')"}]
    assert errors(PATIENT, context=context) == [ON_DATE]


def test_other_extensions() -> None:
    context = [{"type": "extension", "expression": "http://example.org/outer"}]
    assert errors(PATIENT, context=context) == [ON_NAME, ON_DATE]
    outer = {"url": "http://example.org/outer", "extension": [EXTENSION]}
    assert errors({"resourceType": "Patient", "extension": [outer]}, context=context) == []


@pytest.mark.parametrize(
    ("rule", "refused"),
    [
        ("true", []),
        ("use = 'official'", []),
        ("use = 'usual'", [ON_NAME]),
        ("%extension.value = 'red'", []),
        ("%extension.value = 'blue'", [ON_NAME, ON_DATE]),
        ("%resource.birthDate = @1961", []),
        ("family.exists()", [ON_DATE]),
        ("$this.is(HumanName)", [ON_DATE]),
    ],
)
def test_rules_about_the_element(rule: str, refused: list[tuple[str, str]]) -> None:
    context = [{"type": "element", "expression": "Element"}]
    assert errors(PATIENT, context=context, contextInvariant=[rule]) == refused


def test_a_rule_that_is_no_fhirpath_is_told_by_a_warning() -> None:
    context = [{"type": "element", "expression": "Element"}]
    known = packaged().extended([colour(context=context, contextInvariant=["use ="])])
    told = [issue for issue in validate(PATIENT, None, known) if issue.code == "processing"]
    assert [issue.severity for issue in told] == ["warning", "warning"]


@pytest.mark.parametrize(("type", "refused"), [("integer", False), ("string", True)])
def test_rules_of_r4_are_known(type: str, refused: bool) -> None:
    item = {
        "linkId": "1",
        "type": type,
        "extension": [{"url": f"{CORE}/questionnaire-sliderStepValue", "valueInteger": 2}],
    }
    questionnaire = {"resourceType": "Questionnaire", "status": "draft", "item": [item]}
    place = ("extension", "Questionnaire.item[0].extension[0]")
    assert errors(questionnaire) == ([place] if refused else [])
