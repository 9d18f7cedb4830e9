from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.fhirpath import evaluate
from fhirserver.model.json import Resource

TYPES = st.sampled_from(
    ["Boolean", "Integer", "Decimal", "Quantity", "String", "Date", "DateTime", "Time"]
)
LITERALS = st.sampled_from(
    ["true", "'true'", "'T'", "'no'", "1", "0", "2", "1.0", "'1'", "'-1'", "'1.0'", "'x'", "''",
     "@2012", "@2012-02-03T10:30Z", "@T10:30", "'2012-02'", "'10:30'", "'2012-02-30'", "4 days",
     "'4 days'", "'4 wk'", "'4 \\'wk\\''", "1 'm'", "name", "id", "birthDate", "'2147483648'"]
)  # fmt: skip


@given(LITERALS, TYPES)
def test_converts_to_tells_whether_the_conversion_gives_something(literal: str, type_: str) -> None:
    patient = {"resourceType": "Patient", "id": "1", "name": [{}], "birthDate": "2012-02-03"}
    found = evaluate(patient, f"({literal}).to{type_}()")
    assert evaluate(patient, f"({literal}).convertsTo{type_}()") == [bool(found)]


@given(LITERALS, TYPES)
def test_conversion_is_idempotent(literal: str, type_: str) -> None:
    patient = {"resourceType": "Patient", "id": "1", "name": [{}], "birthDate": "2012-02-03"}
    once = evaluate(patient, f"({literal}).to{type_}()")
    assert evaluate(patient, f"({literal}).to{type_}().to{type_}()") == once


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("'Yes'.toBoolean()", [True]),
        ("0.0.toBoolean()", [False]),
        ("2.toBoolean()", []),
        ("'+7'.toInteger()", [7]),
        ("'2147483648'.toInteger()", []),
        ("true.toInteger()", [1]),
        ("1.5.toInteger()", []),
        ("'1.50'.toDecimal()", [Decimal("1.50")]),
        ("'1e3'.toDecimal()", []),
        ("(1.50).toString()", ["1.50"]),
        ("(4 days).toString()", ["4 days"]),
        ("(1 week).toString()", ["1 week"]),
        ("@2012-02-03T10:30Z.toDate()", ["2012-02-03"]),
        ("@2012-02.toDateTime()", ["2012-02"]),
        ("'10'.toTime()", ["10"]),
        ("@T10:30.toString()", ["10:30"]),
        ("birthDate.toString()", ["1974-12-25"]),
        ("active.toString()", ["true"]),
        ("name[0].toString()", []),
        ("name[0].convertsToString()", [False]),
        ("gender.convertsToString()", []),
    ],
)
def test_examples(patient: Resource, expression: str, result: list[object]) -> None:
    assert evaluate(patient, expression) == result
