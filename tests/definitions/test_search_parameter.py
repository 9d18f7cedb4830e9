import pytest

from fhirserver.definitions import packaged
from fhirserver.definitions.search_parameter import search_parameter


def test_a_reference_parameter_and_its_targets() -> None:
    found = packaged().search_parameters("Observation")["subject"]
    assert found.type == "reference"
    assert set(found.target) == {"Group", "Device", "Patient", "Location"}


def test_a_target_that_is_any_resource_is_empty() -> None:
    assert packaged().search_parameters("Composition")["entry"].target == ()


def test_a_composite_and_its_components() -> None:
    found = packaged().search_parameters("Observation")["code-value-quantity"]
    assert found.type == "composite"
    assert [item.expression for item in found.components] == ["code", "value.as(Quantity)"]
    assert found.multiple_or is False


@pytest.mark.parametrize("code", ["_text", "_content", "_query", "_filter"])
def test_parameters_without_an_expression_are_special(code: str) -> None:
    found = packaged().search_parameters("Patient")[code]
    assert (found.type, found.expression) == ("special", None)


def test_what_is_not_stated_is_not_restricted() -> None:
    found = search_parameter(
        {"code": "c", "url": "u", "base": ["Patient"], "type": "token", "expression": "e"}
    )
    assert found.multiple_or
    assert found.multiple_and
    assert found.modifiers == found.comparators == found.target == found.components == ()
