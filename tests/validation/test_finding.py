from decimal import Decimal

import pytest

from fhirserver.validation.finding import MOST, error, joined, place, shown, under


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("given", ".given"),
        ("_x1", "._x1"),
        ("div", ".`div`"),
        ("a b", ".`a b`"),
        ("a`b\\", ".`a\\`b\\\\`"),
        ("", ".``"),
        ("é", ".`é`"),
    ],
)
def test_a_place_is_a_fhirpath_step(name: str, expected: str) -> None:
    assert place(name) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "null"),
        (True, "true"),
        ("", "an empty string"),
        ("a", "'a'"),
        ("a" * 99, f"'{'a' * 60}…'"),
        (Decimal("1.50"), "the number 1.50"),
        ({}, "an object"),
        ([], "an array"),
    ],
)
def test_values_in_words(value: object, expected: str) -> None:
    assert shown(value) == expected


def test_places_grow_from_the_inside_out() -> None:
    inner = [error("value", "text", "[1]")]
    assert under(".name[0]", under(".given", inner))[0].expression == ".name[0].given[1]"


def test_findings_are_bounded() -> None:
    found = None
    for _ in range(5):
        found = joined(found, [error("value", "text")] * MOST)
    assert found is not None
    assert len(found) == MOST + 1
