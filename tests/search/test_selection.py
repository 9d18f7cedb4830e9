"""What expressions select, told from the definitions."""

from __future__ import annotations

import pytest

from fhirserver.definitions.packaged import packaged
from fhirserver.definitions.registry import Definitions
from fhirserver.search.parameter import kind_of, parameter
from fhirserver.search.params import PARAMETER_TYPES
from fhirserver.search.selection import branches, parsed, selection


@pytest.mark.parametrize(
    ("type", "expression", "types"),
    [
        ("Patient", "Patient.name", ["HumanName"]),
        ("Patient", "Patient.name | Practitioner.name", ["HumanName"]),
        ("Patient", "Practitioner.name", []),
        ("Patient", "Resource.meta.tag", ["Coding"]),
        ("Patient", "Patient.telecom.where(system='phone')", ["ContactPoint"]),
        ("Patient", "Patient.extension('http://a')", ["Extension"]),
        ("Patient", "Patient.deceased.exists() and Patient.deceased != false", ["boolean"]),
        ("Observation", "(Observation.value as Quantity)", ["Quantity"]),
        ("Observation", "Observation.value.as(DateTime)", ["dateTime"]),
        ("Observation", "(Observation.value as CodeableConcept).text", ["string"]),
        ("ConceptMap", "(ConceptMap.source as uri)", ["uri"]),
        ("Bundle", "Bundle.entry[0].resource", ["Resource"]),
    ],
)
def test_the_types_of_what_is_selected(
    type: str, expression: str, types: list[str], definitions: Definitions
) -> None:
    assert [item.type for item in selection(definitions, type, expression)] == types


def test_a_reference_that_is_resolved_has_one_type(definitions: Definitions) -> None:
    (subject,) = selection(
        definitions, "Observation", "Observation.subject.where(resolve() is Patient)"
    )
    assert subject.only == "Patient"
    found = parameter(definitions, "Observation", "patient")
    assert found is not None
    assert found.targets == ("Patient",)


def test_a_code_has_a_binding(definitions: Definitions) -> None:
    found = parameter(definitions, "Patient", "gender")
    assert found is not None
    assert [binding.strength for binding in found.bindings] == ["required"]


def test_only_the_branches_of_a_type_are_its_own(definitions: Definitions) -> None:
    expression = parsed("Patient.name | Person.name | name")
    assert len(branches(definitions, "Patient", expression)) == 2


@pytest.mark.parametrize("type", sorted(packaged().resource_types))
def test_every_parameter_selects_something(type: str, definitions: Definitions) -> None:
    for code, definition in definitions.search_parameters(type).items():
        found = parameter(definitions, type, code)
        if kind_of(definition) is None:
            assert found is None
            continue
        assert found is not None
        assert found.elements, code
        assert len(found.components) == len(definition.components), code
        for component in found.components:
            convert = PARAMETER_TYPES[component.kind].convert
            assert component.types & convert.keys(), (code, component.types)
