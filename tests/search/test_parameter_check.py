"""What an active SearchParameter is told when it cannot work."""

from __future__ import annotations

from typing import Any

import pytest

from fhirserver.definitions.registry import Definitions
from fhirserver.definitions.search_parameter import search_parameter
from fhirserver.search.parameter_check import check_parameter, is_standard

GOOD: dict[str, Any] = {
    "resourceType": "SearchParameter",
    "id": "x",
    "url": "http://example.org/x",
    "status": "active",
    "code": "x",
    "base": ["Patient"],
    "type": "token",
    "expression": "Patient.gender",
}
TUPLE = {
    "definition": "http://hl7.org/fhir/SearchParameter/clinical-code",
    "expression": "code",
}
VALUE = {
    "definition": "http://hl7.org/fhir/SearchParameter/Observation-value-quantity",
    "expression": "value.as(Quantity)",
}
COMPOSITE = {"base": ["Observation"], "type": "composite", "expression": "Observation.component"}


def findings(definitions: Definitions, **fields: Any) -> list[tuple[str, str]]:
    resource = {name: value for name, value in (GOOD | fields).items() if value is not None}
    every = definitions.with_search_parameters([search_parameter(resource, custom=True)])
    return [(item.code, item.expression) for item in check_parameter(every, resource)]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"code": "-x"},
        {"type": "string", "expression": "Patient.name"},
        {"type": "string", "expression": "Patient.name.first().family"},
        {"expression": "Patient.name.exists()"},
        {"expression": "Patient.gender | Person.gender", "base": ["Patient", "Person"]},
        {"type": "date", "expression": "Patient.deceased.as(dateTime)"},
        {"type": "date", "expression": "(Patient.deceased as dateTime)", "comparator": ["ge"]},
        {"type": "uri", "expression": "Patient.meta.profile"},
        {"type": "reference", "expression": "Patient.extension('http://x').value"},
        {"type": "reference", "expression": "Patient.link.other", "target": ["Patient"]},
        {"type": "reference", "expression": "Patient.link.other", "chain": ["name"]},
        {"type": "number", "expression": "Patient.multipleBirth.ofType(integer)"},
        {"base": ["Resource"], "expression": "Resource.meta.security"},
        {"base": ["DomainResource"], "expression": "DomainResource.language"},
        {"expression": "Patient.telecom.where(system = 'email')", "modifier": ["missing", "not"]},
        {"xpathUsage": "normal"},
        {"type": "date", "expression": "Patient.extension.where(url='http://x').valueDateTime"},
        {"expression": "Patient.extension('http://x').extension.first().valueCode"},
        COMPOSITE | {"component": [TUPLE, VALUE]},
    ],
    ids=str,
)
def test_what_can_work_is_taken(definitions: Definitions, fields: dict[str, Any]) -> None:
    assert findings(definitions, **fields) == []


@pytest.mark.parametrize(
    ("fields", "code", "place"),
    [
        ({"code": "gender"}, "duplicate", "code"),
        ({"code": "_x"}, "value", "code"),
        ({"code": "a.b"}, "value", "code"),
        ({"code": "a:b"}, "value", "code"),
        ({"base": ["Resource"], "code": "gender"}, "duplicate", "code"),
        ({"base": ["Person", "Dragon"]}, "code-invalid", "base"),
        (
            {"url": "http://hl7.org/fhir/SearchParameter/individual-gender"},
            "duplicate",
            "url",
        ),
        ({"type": "special"}, "not-supported", "type"),
        ({"xpathUsage": "phonetic"}, "not-supported", "xpathUsage"),
        ({"xpathUsage": "nearby"}, "not-supported", "xpathUsage"),
        ({"expression": None}, "required", "expression"),
        ({"expression": "Patient..gender"}, "invalid", "expression"),
        ({"expression": "Patient.gendre"}, "invalid", "expression"),
        ({"expression": "Patient.valueCode"}, "invalid", "expression"),
        (
            {"type": "date", "expression": "Patient.extension('http://x').valueBoolean"},
            "business-rule",
            "expression",
        ),
        ({"expression": "Patient.frobnicate()"}, "invalid", "expression"),
        ({"expression": "Person.gender"}, "invalid", "expression"),
        ({"expression": "Patient.name"}, "business-rule", "expression"),
        ({"expression": "Patient.birthDate"}, "business-rule", "expression"),
        ({"expression": "Patient.gender & 'x'"}, "business-rule", "expression"),
        ({"type": "date", "expression": "Patient.gender"}, "business-rule", "expression"),
        ({"type": "quantity", "expression": "Patient.birthDate"}, "business-rule", "expression"),
        ({"expression": "Patient.gender | " * 400 + "Patient.id"}, "too-long", "expression"),
        ({"comparator": ["ge"]}, "business-rule", "comparator"),
        ({"modifier": ["exact"]}, "not-supported", "modifier"),
        ({"target": ["Patient"]}, "business-rule", "target"),
        ({"chain": ["name"]}, "business-rule", "chain"),
        ({"component": [TUPLE, VALUE]}, "business-rule", "component"),
        (COMPOSITE, "not-supported", "component"),
        (COMPOSITE | {"component": [TUPLE]}, "not-supported", "component"),
        (COMPOSITE | {"component": [TUPLE] * 4}, "not-supported", "component"),
        (
            COMPOSITE | {"component": [TUPLE, VALUE | {"definition": "http://example.org/n"}]},
            "not-found",
            "component[1].definition",
        ),
        (
            COMPOSITE | {"component": [TUPLE, VALUE | {"expression": "value.as("}]},
            "invalid",
            "component[1].expression",
        ),
        (
            COMPOSITE | {"component": [TUPLE, VALUE | {"expression": "code"}]},
            "business-rule",
            "component[1].expression",
        ),
        (
            COMPOSITE | {"component": [TUPLE | {"expression": "colour"}, VALUE]},
            "business-rule",
            "component[0].expression",
        ),
    ],
    ids=str,
)
def test_what_cannot_work_is_told(
    definitions: Definitions, fields: dict[str, Any], code: str, place: str
) -> None:
    assert (code, f"SearchParameter.{place}") in findings(definitions, **fields)


def test_what_is_malformed_is_told(definitions: Definitions) -> None:
    for fields in ({"component": [7]}, {"base": 7}, {"expression": 7}, {"code": 7}):
        resource = GOOD | fields
        assert [item.code for item in check_parameter(definitions, resource)] == ["structure"]


def test_what_the_standard_states_is_known_again(definitions: Definitions) -> None:
    resource = definitions.shelf("SearchParameter")[
        "http://hl7.org/fhir/SearchParameter/individual-gender"
    ]
    assert is_standard(definitions, resource)
    assert not is_standard(definitions, resource | {"expression": "Patient.gender"})


@pytest.mark.parametrize(
    ("fields", "is_known"),
    [
        ({"code": "gender"}, True),
        ({"code": "gender", "expression": "Person.gender"}, False),
        ({"code": "gender", "expression": "Patient.active"}, False),
        ({"code": "gender", "type": "string"}, False),
        ({"code": "gender", "base": ["Patient", "Person"]}, False),
        (
            {"code": "gender", "base": ["Patient", "Person"]}
            | {"expression": "Patient.gender|Person.gender"},
            True,
        ),
        ({"code": "sex"}, False),
        ({"code": "_id", "expression": "Patient.id"}, True),
        ({"code": "_id", "expression": "Resource.id", "base": ["Resource"]}, True),
        (
            {"code": "death-date", "type": "date", "expression": "Patient.deceased.as(dateTime)"},
            True,
        ),
        (
            {"code": "death-date", "type": "date", "expression": "Patient.deceased.as(Period)"},
            False,
        ),
        ({"code": "gender", "expression": "Patient..gender"}, False),
        ({"code": "gender", "expression": 7}, False),
        ({"code": "gender", "base": []}, False),
        (
            {"code": "email", "expression": "Patient.telecom.where(system='email')"},
            True,
        ),
        (
            {"code": "email", "expression": "Patient.telecom.where(system='phone')"},
            False,
        ),
    ],
    ids=str,
)
def test_what_a_guide_states_again_is_known(
    definitions: Definitions, fields: dict[str, Any], is_known: bool
) -> None:
    """Under a URL of its own, for some of the types that the standard's parameter is for."""
    assert is_standard(definitions, GOOD | fields) is is_known
