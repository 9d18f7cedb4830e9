from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from fhirserver.fhirpath import (
    FhirPathExecutionError,
    compile,  # noqa: A004 - as in re
)
from fhirserver.fhirpath.parser import parse
from fhirserver.fhirpath.paths import build, nowhere, steps
from fhirserver.fhirpath.shapes import shapes
from fhirserver.model.json import Resource


def values(resource: Resource, expression: str) -> list[Any]:
    return [node.value for node in compile(expression).select(resource)]


def found(resource: Resource, expression: str) -> list[tuple[Any, str]]:
    return [(node.value, node.type) for node in compile(expression).select(resource)]


def test_nodes_have_a_value_and_a_type(patient: Resource, observation: Resource) -> None:
    assert found(patient, "Patient.name.given")[:2] == [("Peter", "string"), ("James", "string")]
    assert found(patient, "name.use")[0] == ("official", "code")
    assert found(patient, "Patient.name[0].period | name.period") == [({"end": "2002"}, "Period")]
    assert [type_ for _, type_ in found(observation, "component")] == ["BackboneElement"] * 3
    assert found(patient, "contained.name") == [("Acme", "string")]
    assert found(patient, "Resource.id") == [("p1", "id")]


def test_a_choice_knows_which_it_is(observation: Resource, patient: Resource) -> None:
    quantity = observation["valueQuantity"]
    assert found(observation, "Observation.value") == [(quantity, "Quantity")]
    assert found(observation, "value.unit") == [("lbs", "string")]
    assert found(observation, "component.value") == [
        ("high", "string"),
        (None, "string"),
        ({"text": "low"}, "CodeableConcept"),
    ]
    assert found(observation, "(Observation.value as Quantity)") == [(quantity, "Quantity")]
    assert found(observation, "(Observation.value as string)") == []
    assert found(observation, "Observation.component.value.ofType(CodeableConcept).text") == [
        ("low", "string")
    ]
    assert found(patient, "deceased") == [(False, "boolean")]
    assert found(patient, "birthDate.extension.value") == [
        ("1974-12-25T14:35:45-05:00", "dateTime")
    ]


def test_as_keeps_what_fits_of_several(observation: Resource) -> None:
    assert found(observation, "(Observation.component.value as string)") == [
        ("high", "string"),
        (None, "string"),
    ]
    with pytest.raises(FhirPathExecutionError, match="one item at most"):
        compile("component.value as string").evaluate(observation)


def test_a_primitive_is_only_of_its_very_type() -> None:
    concept_map = {"resourceType": "ConceptMap", "sourceCanonical": "http://a"}
    assert values(concept_map, "(ConceptMap.source as uri)") == []
    assert values(concept_map, "(ConceptMap.source as canonical)") == ["http://a"]
    assert compile("source is uri").evaluate(concept_map) == [True]


def test_branches_of_other_types_disappear() -> None:
    walks = [
        build(steps(part, lenient=True)[1], shapes().of("Patient"))
        for part in parse("Patient.name | Person.name | Patient.nam | Resource.id").operands  # type: ignore[union-attr]
    ]
    assert [walk is nowhere for walk in walks] == [False, True, True, False]


def test_filters(patient: Resource, observation: Resource) -> None:
    assert values(patient, "Patient.telecom.where(system = 'phone').value") == ["(03) 5555 6473"]
    assert values(patient, "Patient.name.where(given = 'Jim').use") == ["usual"]
    assert values(patient, "Patient.name.where(nothing = 'x')") == []
    assert values(patient, "Patient.where(deceased = 'x')") == []
    assert values(observation, "component.where(value = 'high').code.text") == ["a"]
    assert values(observation, "Observation.subject.where(resolve() is Patient).reference") == [
        "Patient/p1"
    ]
    assert values(observation, "Observation.subject.where(resolve() is Group)") == []
    assert len(values(patient, "Patient.generalPractitioner.where(resolve() is Practitioner)")) == 1
    assert len(values(patient, "managingOrganization.where(resolve() is Organization)")) == 1
    extended = {**patient, "extension": [{"url": "http://a", "valueCode": "x"}, {"url": "b"}]}
    assert values(extended, "Patient.extension('http://a').value") == ["x"]


def test_unions_have_no_repetitions(patient: Resource) -> None:
    assert values(patient, "Patient.name.given | Person.name.given") == ["Peter", "James", "Jim"]
    assert values(patient, "name.given") == ["Peter", "James", "Jim", "Peter"]


def test_the_rest_is_evaluated(patient: Resource) -> None:
    assert found(patient, "Patient.deceased.exists() and Patient.deceased != false") == [
        (False, "System.Boolean")
    ]
    assert found(patient, "name[1].given | Person.name") == [("Jim", "string")]
    assert found(patient, "birthDate + 1 year") == [("1975-12-25", "System.Date")]


@pytest.mark.parametrize(
    "resource",
    [
        {"resourceType": "Patient", "name": "Peter"},
        {"resourceType": "Patient", "name": ["Peter"]},
        {"resourceType": "Patient", "name": [None]},
        {"resourceType": "Patient", "name": [[{"given": ["x"]}]]},
        {"resourceType": "Patient", "name": 5},
    ],
)
def test_json_of_the_wrong_kind_is_refused(resource: Resource) -> None:
    for expression in ("Patient.name.given", "name.given | name.family", "name.given.first()"):
        with pytest.raises(FhirPathExecutionError, match="wrong kind"):
            compile(expression).select(resource)


def test_odd_json_is_read_as_it_stands() -> None:
    resource = {
        "resourceType": "Patient",
        "name": {"given": "Peter"},
        "birthDate": "not a date",
        "active": "true",
        "multipleBirthInteger": Decimal("1.5"),
    }
    assert values(resource, "name.given") == ["Peter"]
    assert compile("birthDate = 'not a date'").evaluate(resource) == [True]
    assert compile("active = 'true'").evaluate(resource) == [True]
    assert compile("multipleBirth = 1.5").evaluate(resource) == [True]


def test_primitives_in_lists_keep_what_stands_beside_them() -> None:
    resource = {
        "resourceType": "Patient",
        "name": [
            {"given": ["a", None, "c"], "_given": [None, {"id": "2"}]},
            {"_given": [{"id": "3"}]},
            {"given": ["d"], "_given": [None, {"id": "4"}]},
        ],
    }
    given = compile("Patient.name.given").select(resource)
    assert [(node.value, node.extra) for node in given] == [
        ("a", None),
        (None, {"id": "2"}),
        ("c", None),
        (None, {"id": "3"}),
        ("d", None),
        (None, {"id": "4"}),
    ]
    assert values(resource, "Patient.name.given.id") == ["2", "3", "4"]
