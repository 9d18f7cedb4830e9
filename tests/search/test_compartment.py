"""Compartments as expressions."""

from __future__ import annotations

import pytest

from fhirserver.definitions.registry import Definitions
from fhirserver.search.compartment import compartment_expression, compartment_types
from fhirserver.search.expression import NOTHING, IdIs, Or, ReferenceIs, Target
from fhirserver.search.index import Indexer

_PATIENT = (Target("Patient", "1"),)


def test_what_belongs_refers_to_the_resource_by_one_of_the_parameters(
    definitions: Definitions,
) -> None:
    assert compartment_expression(definitions, "Patient", "1", "Observation") == Or(
        (ReferenceIs("subject", _PATIENT), ReferenceIs("performer", _PATIENT))
    )


def test_the_resource_itself_belongs(definitions: Definitions) -> None:
    expression = compartment_expression(definitions, "Patient", "1", "Patient")
    assert expression == Or((ReferenceIs("link", _PATIENT), IdIs(("1",))))
    assert compartment_expression(definitions, "Device", "1", "Device") == IdIs(("1",))
    assert compartment_expression(definitions, "Encounter", "1", "Encounter") == IdIs(("1",))


def test_a_type_that_never_belongs_has_nothing(definitions: Definitions) -> None:
    assert compartment_expression(definitions, "Patient", "1", "Medication") == NOTHING
    assert compartment_expression(definitions, "Foo", "1", "Observation") == NOTHING


@pytest.mark.parametrize(
    "code", ["Patient", "Encounter", "RelatedPerson", "Practitioner", "Device"]
)
def test_every_parameter_of_a_compartment_is_a_reference_that_is_indexed(
    code: str, definitions: Definitions, indexer: Indexer
) -> None:
    for type_ in compartment_types(definitions, code):
        expression = compartment_expression(definitions, code, "1", type_)
        parts = expression.parts if isinstance(expression, Or) else (expression,)
        for part in parts:
            if isinstance(part, ReferenceIs):
                assert indexer.parameters(type_)[part.param or ""].type == "reference"
