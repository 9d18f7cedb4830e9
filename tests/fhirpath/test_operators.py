from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.fhirpath import FhirPathError, evaluate
from fhirserver.fhirpath.decimals import MAX_INTEGER, MIN_INTEGER

INTEGERS = st.sampled_from([MIN_INTEGER + 1, -7, -1, 0, 1, 2, 7, 46341, MAX_INTEGER])
DECIMALS = st.decimals("-1e6", "1e6", allow_nan=False, places=3)
LOGIC = st.sampled_from(["true", "false", "{}"])
PYTHON = {"true": True, "false": False, "{}": None}


def three_valued(operator: str, left: bool | None, right: bool | None) -> bool | None:
    """The truth tables of the specification, computed from all that an empty may stand for."""
    table = {
        "and": lambda a, b: a and b,
        "or": lambda a, b: a or b,
        "xor": lambda a, b: a is not b,
        "implies": lambda a, b: not a or b,
    }[operator]
    ours = [True, False] if left is None else [left]
    theirs = [True, False] if right is None else [right]
    found = {table(a, b) for a in ours for b in theirs}
    return found.pop() if len(found) == 1 else None


@given(st.sampled_from(["and", "or", "xor", "implies"]), LOGIC, LOGIC)
def test_logic_is_three_valued(operator: str, left: str, right: str) -> None:
    expected = three_valued(operator, PYTHON[left], PYTHON[right])
    assert evaluate({}, f"{left} {operator} {right}") == ([] if expected is None else [expected])


def test_a_single_item_is_true_where_a_boolean_is_wanted() -> None:
    assert evaluate({}, "'x' and 0") == [True]
    assert evaluate({}, "(0).not()") == [False]
    with pytest.raises(FhirPathError, match="one item at most"):
        evaluate({}, "(1 | 2) and true")


def test_the_second_operand_is_left_alone_where_it_cannot_matter() -> None:
    assert evaluate({}, "false and (1 | 2)") == [False]
    assert evaluate({}, "true or (1 | 2)") == [True]
    assert evaluate({}, "false implies (1 | 2)") == [True]


@given(INTEGERS, INTEGERS)
def test_integers_compute_as_in_python_or_overflow_to_nothing(left: int, right: int) -> None:
    for operator, result in (("+", left + right), ("-", left - right), ("*", left * right)):
        found = evaluate({}, f"%a {operator} %b", {"a": left, "b": right})
        assert found == ([result] if MIN_INTEGER <= result <= MAX_INTEGER else [])


@given(INTEGERS, INTEGERS)
def test_div_and_mod_truncate(left: int, right: int) -> None:
    values = {"a": left, "b": right}
    if right == 0:
        assert evaluate({}, "%a div %b", values) == evaluate({}, "%a mod %b", values) == []
        return
    quotient = evaluate({}, "%a div %b", values)
    if quotient:  # -2147483648 div -1 overflows
        assert quotient[0] * right + evaluate({}, "%a mod %b", values)[0] == left
        assert quotient == [int(Decimal(left) / Decimal(right))]


@given(DECIMALS, DECIMALS)
def test_decimals_are_exact(left: Decimal, right: Decimal) -> None:
    values = {"a": left, "b": right}
    assert evaluate({}, "%a + %b", values) == [left + right]
    assert evaluate({}, "%a * %b", values) == [left * right]
    assert evaluate({}, "(%a + %b) - %b = %a", values) == [True]


def test_digits_are_kept() -> None:
    assert str(evaluate({}, "1.50 + 1")[0]) == "2.50"
    assert str(evaluate({}, "12345678901234567890.123456 + 0.000001")[0]) == (
        "12345678901234567890.123457"
    )
    assert evaluate({}, "0.1 + 0.2 = 0.3") == [True]


@pytest.mark.parametrize(
    "expression",
    ["'a' - 'b'", "'a' + 1", "true + 1", "1 + true", "@2012 + @2012", "'a' * 2", "1 & 'a'",
     "-'a'", "-true", "+'a'", "1 div 'a'", "true mod 2", "%x"],
)  # fmt: skip
def test_wrong_operands_are_refused_with_their_place(expression: str) -> None:
    with pytest.raises(FhirPathError) as refused:
        evaluate({}, expression)
    assert refused.value.line == 1
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("1 / 0", []),
        ("1 / 4", [Decimal("0.25")]),
        ("'a' & {} & 'b'", ["ab"]),
        ("'a' + {}", []),
        ("5 in (1 | 5)", [True]),
        ("{} in (1 | 5)", []),
        ("(1 | 5) contains 5", [True]),
        ("{} contains 5", [False]),
        ("-(1.50)", [Decimal("-1.50")]),
        ("2.2 mod 1.8", [Decimal("0.4")]),
        ("-5 mod 2", [-1]),
        ("-5 div 2", [-2]),
    ],
)
def test_examples(expression: str, result: list[object]) -> None:
    assert evaluate({}, expression) == result
