from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.fhirpath.errors import FhirPathSyntaxError
from fhirserver.fhirpath.parser import MAX_DEPTH, parse
from fhirserver.fhirpath.printer import text
from fhirserver.fhirpath.quantity import CALENDAR, Quantity
from fhirserver.fhirpath.syntax import (
    Binary,
    Call,
    Literal,
    Member,
    Polarity,
    SortKey,
    TypeOperation,
    TypeSpecifier,
    Union,
)


@pytest.mark.parametrize(
    ("expression", "grouped"),
    [
        ("1 + 2 * 3", "1 + (2 * 3)"),
        ("a or b and c", "a or (b and c)"),
        ("a implies b or c", "a implies (b or c)"),
        ("1 > 2 is Boolean", "1 > (2 is Boolean)"),
        ("a = b | c", "a = (b | c)"),
        ("a | b is T", "a | (b is T)"),
        ("-a.b", "-(a.b)"),
        ("-1 + 2", "(-1) + 2"),
        ("a in b = c", "a in (b = c)"),
        ("a and b in c", "a and (b in c)"),
        ("a - b - c", "(a - b) - c"),
        ("a & b + c", "(a & b) + c"),
        ("-a * b", "(-a) * b"),
    ],
)
def test_precedence(expression: str, grouped: str) -> None:
    assert parse(expression) == parse(grouped)


def test_a_union_is_flat() -> None:
    assert parse("a | b | c") == Union((parse("a"), parse("b"), parse("c")))


def test_words_of_the_language_may_name_elements() -> None:
    assert parse("text.div") == Member(Member(None, "text"), "div")
    assert parse("is") == Member(None, "is")
    assert parse("a.contains('x')") == Call(Member(None, "a"), "contains", (Literal("x"),))


def test_quantities() -> None:
    assert parse("4.5 'mg'") == Literal(Quantity(Decimal("4.5"), "mg"))
    assert parse("2 years") == Literal(Quantity(Decimal(2), "year", CALENDAR))
    assert parse("1 div 2") == Binary("div", Literal(1), Literal(2))


def test_types_may_have_a_namespace() -> None:
    assert parse("a is FHIR.`Patient`") == TypeOperation(
        "is", Member(None, "a"), TypeSpecifier("FHIR", "Patient")
    )


def test_sort_keys_may_have_a_direction() -> None:
    assert parse("sort(a desc, b asc, -c)") == Call(
        None,
        "sort",
        (
            SortKey(Member(None, "a"), True),
            SortKey(Member(None, "b"), False),
            Polarity("-", Member(None, "c")),
        ),
    )


@pytest.mark.parametrize(
    ("expression", "line", "column"),
    [
        ("2 + 2 /", 1, 8),
        ("name.", 1, 6),
        ("name..given", 1, 6),
        ("where(a", 1, 8),
        ("(a", 1, 3),
        ("a b", 1, 3),
        ("a\n.where(,)", 2, 8),
        ("and a", 1, 1),
        ("name.$this", 1, 6),
        ("@2014-13-01", 1, 1),
        ("@T25:00", 1, 1),
        ("2147483648", 1, 1),
        ("{ a }", 1, 3),
        ("", 1, 1),
    ],
)
def test_a_syntax_error_tells_its_place(expression: str, line: int, column: int) -> None:
    with pytest.raises(FhirPathSyntaxError) as refused:
        parse(expression)
    assert (refused.value.line, refused.value.column) == (line, column)
    assert f"line {line}, column {column}" in refused.value.text


@pytest.mark.parametrize(
    "expression",
    [
        "(" * 5000 + "a" + ")" * 5000,
        "a" + ".where(a" * 3000 + ")" * 3000,
        "-" * 5000 + "1",
        "a" + ".not()" * 5000,
        "1" + " + 1" * 5000,
        "a[" * 5000 + "0" + "]" * 5000,
    ],
)
def test_deep_nesting_is_refused(expression: str) -> None:
    with pytest.raises(FhirPathSyntaxError, match=f"at most {MAX_DEPTH} levels"):
        parse(expression)


def test_wide_unions_are_no_nesting() -> None:
    assert parse(" | ".join(["a"] * 1000)) == Union((Member(None, "a"),) * 1000)


@given(st.text("ab.()[]{}'`|+-*/&=~!<>,%$@T0123456789: \n", max_size=40))
def test_any_text_parses_or_is_refused(expression: str) -> None:
    try:
        part = parse(expression)
    except FhirPathSyntaxError:
        return
    assert parse(text(part)) == part
