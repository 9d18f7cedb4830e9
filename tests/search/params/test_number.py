"""The implicit precision of numbers: the table of https://hl7.org/fhir/R4/search.html#number."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.errors import Invalid
from fhirserver.search.params.number import asked_number


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("100", 99.5, 100.5),
        ("100.00", 99.995, 100.005),
        ("1e2", 95.0, 105.0),
        ("1E2", 95.0, 105.0),
        ("5.4", 5.35, 5.45),
        ("5.40e-3", 0.0053995, 0.0054005),
        ("0", -0.5, 0.5),
        ("-2", -2.5, -1.5),
        ("+2", 1.5, 2.5),
    ],
)
def test_a_number_stands_for_a_range(text: str, low: float, high: float) -> None:
    assert asked_number(text, "eq") == (float(text), low, high)


@pytest.mark.parametrize(("text", "low", "high"), [("100", 90.0, 110.0), ("-100", -110.0, -90.0)])
def test_approximately_is_a_tenth(text: str, low: float, high: float) -> None:
    asked = asked_number(text, "ap")
    assert asked.low == low
    assert high < asked.high == pytest.approx(high)


def test_approximately_is_never_narrower_than_equal() -> None:
    assert asked_number("1", "ap")[1:] == (0.5, 1.5)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**9)))
def test_a_number_lies_within_its_range(number: Decimal) -> None:
    text = format(number, "f")
    if len(text) < 40:
        value, low, high = asked_number(text, "eq")
        assert low < value < high or abs(value) > 1e12


@pytest.mark.parametrize(
    "text", ["", "abc", "1,5", ".5", "5.", "NaN", "inf", "1e1000", "9" * 41, "1_000", "٣", "0x1"]
)
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="not a number"):
        asked_number(text, "eq")
