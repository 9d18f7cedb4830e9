from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.fhirpath import FhirPathExecutionError, evaluate
from fhirserver.fhirpath.equality import Seen, distinct, equal_items
from fhirserver.fhirpath.node import Item
from fhirserver.fhirpath.quantity import Quantity
from fhirserver.fhirpath.temporal import Date, DateTime, Time
from fhirserver.model.json import Resource

# Awkward neighbours: equal values of different types and spellings.
ITEMS: st.SearchStrategy[Item] = st.sampled_from(
    [
        True,
        False,
        0,
        1,
        Decimal("1.0"),
        Decimal("1.00"),
        Decimal("0.0"),
        "",
        "1",
        "true",
        "A",
        "a",
        Date((2012,)),
        Date((2012, 1)),
        DateTime((2012,)),
        Time((10,)),
        Quantity(Decimal(1), "m"),
        Quantity(Decimal(100), "cm"),
        Quantity(Decimal(1), "s"),
    ]
)


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("1 = 1.0", True),
        ("true = 1", False),
        ("'1' = 1", False),
        ("'a' = 'A'", False),
        ("'a' ~ 'A'", True),
        ("'a b' ~ 'A\tB'", True),
        ("'a' !~ 'b'", True),
        ("1.10 ~ 1.1", True),
        ("1.2 / 1.8 ~ 0.67", True),
        ("@2012 ~ @2012-01", False),
        ("@2012 = @2012T", True),
        ("@2012 = 'x'", False),
        ("(1 | 2) = (2 | 1)", False),
        ("(1 | 2) ~ (2 | 1)", True),
        ("(1 | 2) = (1 | 2 | 3)", False),
        ("{} ~ {}", True),
        ("1 ~ {}", False),
        ("name = name", True),
        ("name[0] = name[1]", False),
        ("name ~ name.skip(1).union(name.take(1))", True),
        ("name[0] ~ telecom[0]", False),
        ("id = 'p1'", True),
        ("active = true", True),
        ("active ~ true", True),
        ("birthDate = @1974-12-25", True),
        ("birthDate = '1974-12-25'", False),
        ("name[0] = 'Chalmers'", False),
        ("telecom[0].rank = 1.0", True),
    ],
)
def test_equality(patient: Resource, expression: str, result: bool) -> None:
    assert evaluate(patient, expression) == [result]


@pytest.mark.parametrize("expression", ["{} = {}", "1 = {}", "{} != 1", "@2012 = @2012-01"])
def test_the_unknown_is_empty(expression: str) -> None:
    assert evaluate({}, expression) == []


def test_elements_are_equal_by_meaning_not_by_spelling() -> None:
    first = {"start": "2012-01-01T10:00:00Z", "end": "2013"}
    second = {"start": "2012-01-01T12:00:00+02:00", "end": "2013"}
    third = {"start": "2012-01-01T12:00:00Z", "end": "2013"}
    resource = {
        "resourceType": "Patient",
        "name": [{"period": first}, {"period": second}, {"period": third}],
    }
    assert evaluate(resource, "name[0] = name[1]") == [True]
    assert evaluate(resource, "name[0] = name[2]") == [False]
    assert evaluate(resource, "name.distinct().count()") == [2]
    assert evaluate(resource, "name.isDistinct()") == [False]


def test_what_a_primitive_has_beside_its_value_does_not_matter_to_values() -> None:
    resource = {
        "resourceType": "Patient",
        "name": [
            {
                "given": ["a", "a", None, None],
                "_given": [None, {"id": "1"}, {"id": "2"}, {"id": "2"}],
            }
        ],
    }
    assert evaluate(resource, "name.given.count()") == [4]
    assert evaluate(resource, "name.given.distinct()") == ["a", {"id": "2"}]


@pytest.mark.parametrize(
    "expression",
    ["1 < 'a'", "true < false", "name[0] < name[1]", "(1 | 2) < 3", "@2012 < 3", "@T10 < @2012"],
)
def test_what_has_no_order_is_refused(patient: Resource, expression: str) -> None:
    with pytest.raises(FhirPathExecutionError):
        evaluate(patient, expression)


@given(ITEMS, ITEMS)
def test_equality_is_symmetric(left: Item, right: Item) -> None:
    assert equal_items(left, right) == equal_items(right, left)


@given(st.lists(ITEMS, max_size=8))
def test_distinct_keeps_the_first_of_equal_items(items: list[Item]) -> None:
    expected: list[Item] = []
    for item in items:
        if not any(equal_items(item, other) is True for other in expected):
            expected.append(item)
    assert [repr(item) for item in distinct(items)] == [repr(item) for item in expected]


@given(st.lists(ITEMS, max_size=8), ITEMS)
def test_a_set_holds_what_is_equal_to_something_added(items: list[Item], item: Item) -> None:
    known = Seen()
    for one in items:
        known.add(one)
    assert (item in known) == any(equal_items(item, one) is True for one in items)
