"""What is evaluated as FHIRPath where a search parameter is no plain path."""

from __future__ import annotations

from typing import Any

import pytest

from fhirserver.definitions.packaged import packaged
from fhirserver.definitions.search_parameter import search_parameter
from fhirserver.errors import TooCostly
from fhirserver.model.json import Resource
from fhirserver.search.contained import CONTAINED
from fhirserver.search.entry import Composite, Reference, Token
from fhirserver.search.index import Indexer

URL = "http://example.org/SearchParameter/own"
COSTLY = "Patient.name.given.where(%resource.name.given.where($this = %resource.id).empty())"


def indexer(type: str, expression: str, **more: Any) -> Indexer:
    """By the parameters of the standard and a custom one with the code `own`."""
    base = expression.partition(".")[0]
    parameter = {"code": "own", "url": URL, "base": [base], "type": type} | more
    found = search_parameter(parameter | {"expression": expression}, custom=True)
    return Indexer(packaged().with_search_parameters([found]))


def named(count: int) -> Resource:
    return {
        "resourceType": "Patient",
        "id": "p",
        "name": [{"given": [f"n{number}" for number in range(count)]}],
        "generalPractitioner": [{"reference": "Practitioner/d"}],
    }


def test_the_resource_of_a_component_is_the_resource() -> None:
    of_status = "value.ofType(CodeableConcept).where(%resource.status = 'final')"
    made = indexer(
        "composite",
        "Observation.component",
        component=[
            {
                "definition": "http://hl7.org/fhir/SearchParameter/clinical-code",
                "expression": "code",
            },
            {
                "definition": "http://hl7.org/fhir/SearchParameter/Observation-value-concept",
                "expression": of_status,
            },
        ],
    )
    component = {
        "code": {"coding": [{"code": "a"}]},
        "valueCodeableConcept": {"coding": [{"code": "b"}]},
    }
    final = {"resourceType": "Observation", "status": "final", "component": [component]}
    assert made.entries(final)["own"] == (Composite((Token("", "a"), Token("", "b"))),)
    assert "own" not in made.entries(final | {"status": "preliminary"})


def test_the_root_of_what_is_contained_is_its_container() -> None:
    made = indexer("token", "Patient.gender.where(%rootResource.id = 'o' and %resource.id = 'p')")
    inside = {"resourceType": "Patient", "id": "p", "gender": "male"}
    outside = {"resourceType": "Observation", "id": "o", "contained": [inside]}
    (part,) = made.entries(outside)[CONTAINED]
    assert "own" in part.entries
    assert "own" not in made.entries(inside)


def test_what_costs_too_much_is_refused_by_its_name() -> None:
    made = indexer("string", COSTLY)
    assert len(made.entries(named(20))["own"]) == 20
    with pytest.raises(TooCostly, match=URL):
        made.entries(named(400))


def test_it_is_passed_over_where_that_is_noted() -> None:
    over: set[str] = set()
    entries = indexer("string", COSTLY).entries(named(400), over=over)
    assert over == {URL}
    assert "own" not in entries
    assert len(entries["given"]) == 400


def test_it_is_passed_over_in_what_is_read() -> None:
    expression = f"Patient.generalPractitioner.where(%resource.{COSTLY[8:]}.exists())"
    made = indexer("reference", expression)
    found = made.references(named(20), "*")
    assert found == made.references(named(400), "*") == (Reference("Practitioner", "d"),)
    assert made.references(named(20), "own") == found
    assert made.references(named(400), "own") == ()


def test_odd_data_is_no_error() -> None:
    made = indexer("string", "Patient.name.given.where($this.toInteger() > 'a')")
    assert "own" not in made.entries(named(3) | {"name": [{"given": ["1"]}]})


def test_the_standard_s_own_are_evaluated_for_whatever_fits_into_a_resource() -> None:
    items = [{"linkId": str(number)} for number in range(40_000)]
    subject = {"url": "http://hl7.org/fhir/StructureDefinition/questionnaireresponse-isSubject"}
    items[-1]["extension"] = [subject | {"valueBoolean": True}]  # type: ignore[assignment]
    items[-1]["answer"] = [{"valueReference": {"reference": "Patient/p"}}]  # type: ignore[assignment]
    found = Indexer(packaged()).entries({"resourceType": "QuestionnaireResponse", "item": items})
    assert found["item-subject"] == (Reference("Patient", "p"),)
