from decimal import Decimal

import pytest

from fhirserver.validation.finding import (
    KEPT,
    MOST,
    Finding,
    error,
    is_full,
    joined,
    place,
    shown,
    told,
    under,
    warning,
)


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


def test_what_is_more_than_can_be_kept_is_an_error() -> None:
    found = None
    while found is None or not is_full(found):
        found = joined(found, [warning("value", "text")] * MOST)
    found = joined(found, [warning("value", "text")])
    assert len(found) == KEPT
    assert [item.is_error for item in found[-2:]] == [False, True]


def test_many_findings_at_a_deep_place_are_cut_off() -> None:
    many: list[Finding] = [warning("value", "text", "." + "x" * 500)] * (MOST + 1)
    carried = under(".name", many)
    assert len(carried) == MOST
    assert carried[-1].is_error


def test_errors_are_told_before_others() -> None:
    issues = [warning("value", "text")] * MOST + [error("value", "last")]
    shown = told(issues)
    assert len(shown) == MOST + 1
    assert shown[0].text == "last"
    assert shown[-1].severity == "information"
