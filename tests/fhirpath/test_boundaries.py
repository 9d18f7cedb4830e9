from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.fhirpath import evaluate
from fhirserver.fhirpath.boundaries import boundary


@pytest.mark.parametrize(
    ("expression", "low", "high"),
    [
        ("1.587", "1.58650000", "1.58750000"),
        ("(-1.587)", "-1.58750000", "-1.58650000"),
        ("1.123456789", "1.1234567885", "1.1234567895"),
        ("@2014", "2014-01-01", "2014-12-31"),
        ("@2012-02", "2012-02-01", "2012-02-29"),
        ("@2014T", "2014-01-01T00:00:00.000+14:00", "2014-12-31T23:59:59.999-12:00"),
        ("@2014-01-01T08Z", "2014-01-01T08:00:00.000Z", "2014-01-01T08:59:59.999Z"),
        ("@2014-01-01T08:05:06Z", "2014-01-01T08:05:06.000Z", "2014-01-01T08:05:06.999Z"),
        ("@2014-01-01T08:05:06.5Z", "2014-01-01T08:05:06.500Z", "2014-01-01T08:05:06.500Z"),
        ("@T10", "10:00:00.000", "10:59:59.999"),
    ],
)
def test_the_greatest_precision_is_the_default(expression: str, low: str, high: str) -> None:
    found = evaluate({}, f"{expression}.lowBoundary() | {expression}.highBoundary()")
    assert [str(one) for one in found] == list(dict.fromkeys([low, high]))


@pytest.mark.parametrize(
    "expression",
    ["'a'.lowBoundary()", "true.lowBoundary()", "1.5.lowBoundary(29)", "@2014.lowBoundary(5)",
     "@T10.lowBoundary(17)", "{}.lowBoundary()", "1.5.lowBoundary({})[1]"],
)  # fmt: skip
def test_what_has_no_boundary_gives_nothing(expression: str) -> None:
    assert evaluate({}, expression) == []


@given(st.decimals("-1e9", "1e9", allow_nan=False, places=3), st.integers(0, 12))
def test_a_number_lies_between_its_boundaries(value: Decimal, digits: int) -> None:
    low = boundary(value, digits, high=False)
    high = boundary(value, digits, high=True)
    assert isinstance(low, Decimal)
    assert isinstance(high, Decimal)
    assert low <= value - Decimal("0.0005")
    assert high >= value + Decimal("0.0005")
    assert high - low <= Decimal("0.001") + 2 * Decimal(1).scaleb(-digits)


@pytest.mark.parametrize(
    ("expression", "digits"),
    [("1.58700", 5), ("100", 0), ("@2014", 4), ("@2014-01-05T10:30:00.000", 17), ("@T10:30", 4)],
)
def test_precision_counts_digits(expression: str, digits: int) -> None:
    assert evaluate({}, f"{expression}.precision()") == [digits]
