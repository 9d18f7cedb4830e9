"""Codes of UCUM in quantities."""

from __future__ import annotations

import pytest

from fhirserver.validation import validate


@pytest.mark.parametrize("type", ["Quantity", "Age", "Duration"])
@pytest.mark.parametrize(("code", "is_unit"), [("mm[Hg]", True), ("a", True), ("fmm[Hg]", False)])
def test_a_code_that_is_no_unit_is_told(type: str, code: str, is_unit: bool) -> None:
    value = {"value": 1, "system": "http://unitsofmeasure.org", "code": code}
    extension = {"url": "http://example.org/e", f"value{type}": value}
    issues = validate({"resourceType": "Basic", "extension": [extension], "code": {"text": "c"}})
    place = f"Basic.extension[0].value.ofType({type}).code"
    told = [item.severity for item in issues if item.expression == place]
    assert told == ([] if is_unit else ["warning"])


def test_a_code_of_another_system_is_not_judged() -> None:
    value = {"value": 1, "system": "http://example.org/units", "code": "fmm[Hg]"}
    extension = {"url": "http://example.org/e", "valueQuantity": value}
    issues = validate({"resourceType": "Basic", "extension": [extension], "code": {"text": "c"}})
    assert not any(item.code == "code-invalid" for item in issues)
