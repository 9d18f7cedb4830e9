from __future__ import annotations

import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.fhirpath import FhirPathExecutionError, evaluate

NUMBERS = st.decimals("-1e6", "1e6", allow_nan=False, places=3)


@given(NUMBERS)
def test_rounding(value: Decimal) -> None:
    values = {"v": value}
    assert evaluate({}, "%v.floor()", values) == [math.floor(value)]
    assert evaluate({}, "%v.ceiling()", values) == [math.ceil(value)]
    assert evaluate({}, "%v.truncate()", values) == [math.trunc(value)]
    assert evaluate({}, "%v.abs()", values) == [abs(value)]
    (rounded,) = evaluate({}, "%v.round(1)", values)
    assert abs(rounded - value) <= Decimal("0.05")
    assert evaluate({}, "%v.round() = -(-%v).round()", values) == [True]


@given(st.decimals("0.001", "1e6", allow_nan=False, places=3))
def test_roots_and_logarithms(value: Decimal) -> None:
    values = {"v": value}
    assert evaluate({}, "%v.sqrt()", values)[0] ** 2 == pytest.approx(value)
    assert evaluate({}, "%v.ln().exp()", values)[0] == pytest.approx(value)
    assert float(evaluate({}, "%v.log(10)", values)[0]) == pytest.approx(math.log10(value))


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("2.power(3)", [8]),
        ("2.power(-1)", [Decimal("0.5")]),
        ("0.power(0)", [1]),
        ("0.power(-1)", []),
        ("(-1).power(0.5)", []),
        ("(-8).power(2)", [64]),
        ("2.power(31)", []),
        ("2.5.power(2)", [Decimal("6.25")]),
        ("10.power(1000000000)", []),
        ("16.log(2)", [4]),
        ("1000.log(10)", [3]),
        ("0.log(2)", []),
        ("5.log(1)", []),
        ("(-1).ln()", []),
        ("(-1).sqrt()", []),
        ("81.sqrt()", [9]),
        ("2.5.round()", [3]),
        ("(-2.5).round()", [-3]),
        ("1000000.exp()", []),
        ("{}.sqrt()", []),
        ("2147483647.5.ceiling()", []),
        ("1.round({})", []),
    ],
)
def test_examples(expression: str, result: list[object]) -> None:
    assert evaluate({}, expression) == result


@pytest.mark.parametrize(
    "expression", ["'a'.abs()", "(1 | 2).sqrt()", "1.round(-1)", "1.round(99)", "true.floor()"]
)
def test_refusals(expression: str) -> None:
    with pytest.raises(FhirPathExecutionError):
        evaluate({}, expression)
