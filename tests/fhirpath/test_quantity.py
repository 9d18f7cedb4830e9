from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.fhirpath import evaluate
from fhirserver.fhirpath.quantity import CALENDAR, UCUM, Quantity, compare, of_fhir
from fhirserver.fhirpath.units import product, ratio

UNITS = st.sampled_from(
    ["m", "cm", "km", "[in_i]", "g", "kg", "[lb_av]", "s", "min", "h", "d", "1"]
)
VALUES = st.decimals("-1e6", "1e6", allow_nan=False, places=2)
QUANTITIES = st.builds(Quantity, VALUES, UNITS)


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("4.0000 'g' = 4000.0 'mg'", True),
        ("1 'cm' = 1 'm'", False),
        ("1 'cm' = 1 's'", None),
        ("1 '[in_i]' = 2.54 'cm'", True),
        ("1 'h' = 3600 's'", True),
        ("1 hour = 3600 's'", True),
        ("1 year = 12 months", True),
        ("1 year = 1 'a'", None),
        ("1 year ~ 1 'a'", True),
        ("1 year = 12 'mo'", None),
        ("7 days = 1 'wk'", True),
        ("23 = 23 '1'", True),
        ("2.1 'cm' ~ 21 'mm'", True),
        ("21 'mm' ~ 2 'cm'", True),
        ("4 'g' ~ 4040 'mg'", True),
        ("4 'g' ~ 4600 'mg'", False),
        ("6 months > 1 year", False),
        ("10 seconds > 1 's'", True),
        ("1 year > 1 'a'", None),
        ("1 'foo' = 1 'foo'", True),
        ("1 'foo' = 1 'bar'", None),
        ("1 'm'.comparable(20 'cm')", True),
        ("1 year.comparable(1 'a')", False),
        ("2 '1'.comparable(3)", True),
    ],
)
def test_comparison(expression: str, result: bool | None) -> None:
    assert evaluate({}, expression) == ([] if result is None else [result])


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("12 'cm' * 3 'cm'", "36 'cm2'"),
        ("10 'm/s' * 10 's'", "100 'm'"),
        ("3 * 2 'cm'", "6 'cm'"),
        ("12 'cm2' / 3 'cm'", "4 'cm'"),
        ("120 'm' / 60 's'", "2 'm/s'"),
        ("60 / 1 's'", "60 '/s'"),
        ("3 'm' + 3 'cm'", "3.03 'm'"),
        ("3 'cm' - 3 'm'", "-297 'cm'"),
        ("1 minute - 30 's'", "0.5 minutes"),
        ("1 week + 14 days", "3 weeks"),
        ("(-5.5 'mg').abs()", "5.5 'mg'"),
        ("-(5 'mg')", "-5 'mg'"),
        ("52 'cm'.toQuantity('m')", "0.52 'm'"),
        ("45.toQuantity('m')", "45 'm'"),
        ("1 'a'.toQuantity('d')", "365.25 'd'"),
        ("1.6 'mg'.round()", "2 'mg'"),
    ],
)
def test_arithmetic(expression: str, result: str) -> None:
    assert evaluate({}, f"({expression}).toString()") == [result]


@pytest.mark.parametrize(
    "expression",
    ["12 day * 45 'm'", "1 year + 12 months", "1 'kg' + 1 'm'", "1 'm' / 0 'm'", "1 'foo' * 1 'm'",
     "24 'm'.toQuantity('kg')"],
)  # fmt: skip
def test_what_cannot_be_computed_gives_nothing(expression: str) -> None:
    assert evaluate({}, expression) == []


@given(QUANTITIES, QUANTITIES)
def test_order_is_antisymmetric(left: Quantity, right: Quantity) -> None:
    there, back = compare(left, right), compare(right, left)
    assert there == (None if back is None else -back)


@given(QUANTITIES, UNITS)
def test_a_product_is_undone_by_a_quotient(quantity: Quantity, unit: str) -> None:
    made = product(quantity.unit, unit, 1)
    assert made is not None
    undone = product(made, unit, -1)
    assert undone is not None
    assert ratio(undone, quantity.unit) == 1


@pytest.mark.parametrize("unit", ["", ".m", "m.", "m//s", "m s", "@year", "m0", "2m", "furlong"])
def test_what_is_no_unit_of_the_table_has_no_ratio(unit: str) -> None:
    assert ratio(unit, "m") is None


def test_quantities_of_fhir() -> None:
    kilogram = {"value": Decimal("1.50"), "unit": "kilo", "system": UCUM, "code": "kg"}
    assert of_fhir(kilogram) == Quantity(Decimal("1.50"), "kg")
    assert of_fhir({**kilogram, "code": "a"}) == Quantity(Decimal("1.50"), "year", CALENDAR)
    assert of_fhir({**kilogram, "comparator": "<"}) is None
    assert of_fhir({"unit": "kg"}) is None
    assert of_fhir({"value": 1}) == Quantity(Decimal(1))
    tablet = of_fhir({"value": 2, "unit": "tablet"})
    assert tablet is not None
    assert compare(tablet, Quantity(Decimal(1), "tablet", "")) == 1
    assert compare(tablet, Quantity(Decimal(1), "tablet")) is None


def test_an_elements_quantity_is_compared_with_its_unit(observation: dict[str, object]) -> None:
    assert evaluate(observation, "value > 80 'kg'") == [True]
    assert evaluate(observation, "value = 185 '[lb_av]'") == [True]
    assert evaluate(observation, "value < 1 's'") == []


def test_numbers_of_hundreds_of_digits_cost_nothing() -> None:
    huge = {"resourceType": "Observation", "valueQuantity": {"value": Decimal("1E+999999"),
            "system": UCUM, "code": "kg"}}  # fmt: skip
    assert evaluate(huge, "value > 1 'g'") == []
    assert evaluate(huge, "value > 1 'kg'") == [True]
    assert evaluate(huge, "value.value.toString()") == []
    assert evaluate(huge, "value.value.round(2)") == []
    assert evaluate(huge, "value.value + 1") == []
    assert evaluate(huge, "value.value.truncate()") == []
    assert evaluate(huge, "value.value.exp()") == []
    assert evaluate(huge, "value.value ~ 1.0") == [False]
