"""Each rule of https://hl7.org/fhir/R4/json.html, with the place that is told."""

from typing import Any

import pytest

from fhirserver.validation import validate

PATIENT: dict[str, Any] = {"resourceType": "Patient"}
OBSERVATION: dict[str, Any] = {
    "resourceType": "Observation",
    "status": "final",
    "code": {"text": "c"},
}

DIV = '<div xmlns="http://www.w3.org/1999/xhtml">a</div>'
GET = {"method": "GET", "url": "Patient/a"}
UNKNOWN = {"extension": [{"url": "http://u", "valueCode": "unknown"}]}

GOOD = [
    PATIENT,
    OBSERVATION | {"valueQuantity": {"value": 1}},
    PATIENT | {"birthDate": "2020-01-01", "_birthDate": {"id": "a"}},
    PATIENT | {"_birthDate": {"extension": [{"url": "http://u", "valueCode": "unknown"}]}},
    PATIENT | {"name": [{"given": ["A", None], "_given": [None, UNKNOWN]}]},
    PATIENT | {"name": [{"given": ["A", "B"], "_given": [{"id": "a"}]}]},
    PATIENT | {"name": [{"_given": [UNKNOWN]}]},
    PATIENT | {"text": {"status": "empty", "div": DIV, "_div": {"id": "a"}}},
    PATIENT | {"extension": [{"url": "http://u", "_valueString": UNKNOWN}]},
    PATIENT
    | {
        "contained": [{"resourceType": "Organization", "id": "o", "name": "O"}],
        "managingOrganization": {"reference": "#o"},
    },
    {"resourceType": "Bundle", "type": "batch", "entry": [{"request": GET}]},
    {"resourceType": "Bundle", "type": "collection"},
    {"resourceType": "Parameters", "parameter": [{"name": "a", "resource": OBSERVATION}]},
    {"resourceType": "Binary", "contentType": "text/plain", "data": "AAAA"},
]

BAD = [
    (PATIENT | {"name": [{"_given": [{"id": "a"}]}]}, "invariant", "Patient.name[0].given[0]"),
    (PATIENT | {"_birthDate": {"id": "a"}}, "invariant", "Patient.birthDate"),
    (PATIENT | {"name": [{"id": "a"}]}, "invariant", "Patient.name[0]"),
    (
        {"resourceType": "Observation", "_status": UNKNOWN, "code": {"text": "c"}},
        "code-invalid",
        "Observation.status",
    ),
    (PATIENT | {"foo": 1}, "structure", "Patient.foo"),
    (PATIENT | {"Active": True}, "structure", "Patient.Active"),
    (PATIENT | {"name": [{"givn": ["a"]}]}, "structure", "Patient.name[0].givn"),
    (PATIENT | {"name": {"family": "a"}}, "structure", "Patient.name"),
    (PATIENT | {"active": [True]}, "structure", "Patient.active"),
    (PATIENT | {"active": "true"}, "structure", "Patient.active"),
    (PATIENT | {"active": None}, "structure", "Patient.active"),
    (PATIENT | {"name": []}, "structure", "Patient.name"),
    (PATIENT | {"name": [{}]}, "structure", "Patient.name[0]"),
    (PATIENT | {"name": [None]}, "structure", "Patient.name[0]"),
    (PATIENT | {"name": ["a"]}, "structure", "Patient.name[0]"),
    (PATIENT | {"name": [{"given": ["a", ""]}]}, "value", "Patient.name[0].given[1]"),
    (PATIENT | {"name": [{"given": [None]}]}, "structure", "Patient.name[0].given[0]"),
    (PATIENT | {"name": [{"_given": [None]}]}, "structure", "Patient.name[0].given[0]"),
    (
        PATIENT | {"name": [{"given": ["a", None], "_given": [{"id": "a"}, None]}]},
        "structure",
        "Patient.name[0].given[1]",
    ),
    (
        PATIENT | {"name": [{"given": ["a"], "_given": {"id": "a"}}]},
        "structure",
        "Patient.name[0].given",
    ),
    (PATIENT | {"_birthDate": {}}, "structure", "Patient.birthDate"),
    (PATIENT | {"_birthDate": "a"}, "structure", "Patient.birthDate"),
    (PATIENT | {"_birthDate": {"value": "a"}}, "structure", "Patient.birthDate.value"),
    (PATIENT | {"_birthDate": {"extension": [{}]}}, "structure", "Patient.birthDate.extension[0]"),
    (PATIENT | {"_name": [{"id": "a"}]}, "structure", "Patient._name"),
    (PATIENT | {"_resourceType": {"id": "a"}}, "structure", "Patient._resourceType"),
    (PATIENT | {"birthDate": "2020-02-30"}, "value", "Patient.birthDate"),
    (PATIENT | {"id": "a b"}, "value", "Patient.id"),
    (PATIENT | {"deceased": True}, "structure", "Patient.deceased"),
    (PATIENT | {"deceasedString": "a"}, "structure", "Patient.deceasedString"),
    (
        PATIENT | {"deceasedBoolean": True, "deceasedDateTime": "2020"},
        "structure",
        "Patient.deceased",
    ),
    (PATIENT | {"deceasedBoolean": 1}, "structure", "Patient.deceased.ofType(boolean)"),
    (
        OBSERVATION | {"valueQuantity": {"value": "1"}},
        "structure",
        "Observation.value.ofType(Quantity).value",
    ),
    (PATIENT | {"text": {"status": "empty", "div": ""}}, "value", "Patient.text.`div`"),
    (PATIENT | {"link": [{"type": "seealso"}]}, "required", "Patient.link[0]"),
    ({"resourceType": "Observation", "status": "final"}, "required", "Observation"),
    (PATIENT | {"extension": [{"valueCode": "a"}]}, "required", "Patient.extension[0]"),
    (
        PATIENT | {"name": [{"resourceType": "HumanName"}]},
        "structure",
        "Patient.name[0].resourceType",
    ),
    (PATIENT | {"contained": [{"id": "a"}]}, "required", "Patient.contained[0]"),
    (PATIENT | {"contained": [PATIENT | {"active": True}]}, "required", "Patient.contained[0]"),
    (PATIENT | {"contained": PATIENT}, "structure", "Patient.contained"),
    (
        PATIENT | {"contained": [PATIENT | {"id": "a", "contained": [PATIENT | {"id": "b"}]}]},
        "structure",
        "Patient.contained[0].contained",
    ),
    (
        PATIENT | {"contained": [PATIENT | {"id": "a", "active": 1}]},
        "structure",
        "Patient.contained[0].active",
    ),
    (
        {
            "resourceType": "Bundle",
            "type": "batch",
            "entry": [{"resource": PATIENT | {"name": [{"given": ["a", 1]}]}}],
        },
        "structure",
        "Bundle.entry[0].resource.name[0].given[1]",
    ),
    (
        {"resourceType": "Bundle", "type": "batch", "entry": [{"resource": {"resourceType": "X"}}]},
        "value",
        "Bundle.entry[0].resource.resourceType",
    ),
]


@pytest.mark.parametrize("resource", GOOD)
def test_good_resources(resource: dict[str, Any]) -> None:
    assert [issue for issue in validate(resource) if issue.is_error] == []


@pytest.mark.parametrize(("resource", "code", "expression"), BAD)
def test_bad_resources(resource: dict[str, Any], code: str, expression: str) -> None:
    found = [(issue.code, issue.expression) for issue in validate(resource) if issue.is_error]
    assert found == [(code, expression)]


@pytest.mark.parametrize(
    ("value", "code", "expression"),
    [
        ([], "structure", ""),
        ("a", "structure", ""),
        (None, "structure", ""),
        ({}, "required", ""),
        ({"resourceType": "Resource"}, "value", "resourceType"),
        ({"resourceType": "DomainResource"}, "value", "resourceType"),
        ({"resourceType": "HumanName"}, "value", "resourceType"),
        ({"resourceType": ["Patient"]}, "value", "resourceType"),
    ],
)
def test_what_is_no_resource(value: object, code: str, expression: str) -> None:
    found = [(issue.code, issue.expression) for issue in validate(value)]
    assert found == [(code, expression)]


def test_every_finding_is_told_at_once() -> None:
    resource = PATIENT | {
        "active": 1,
        "name": [{"given": ["", "a", 5]}, {"family": " ", "x": 1}],
        "birthDate": "2020-13-01",
    }
    assert [issue.expression for issue in validate(resource)] == [
        "Patient.active",
        "Patient.name[0].given[0]",
        "Patient.name[0].given[2]",
        "Patient.name[1].x",
        "Patient.birthDate",
    ]


def test_a_finding_says_what_was_expected_and_found() -> None:
    (issue,) = validate(PATIENT | {"birthDate": "2020-13-01"})
    assert "YYYY-MM-DD" in issue.text
    assert "'2020-13-01'" in issue.text


@pytest.mark.parametrize(
    ("resource", "hint"),
    [
        (PATIENT | {"deceased": True}, "deceasedBoolean, deceasedDateTime"),
        (PATIENT | {"birthdate": "2020"}, "'birthDate'"),
    ],
)
def test_an_unknown_element_that_nearly_is_one_gets_a_hint(
    resource: dict[str, Any], hint: str
) -> None:
    (issue,) = validate(resource)
    assert hint in issue.text
