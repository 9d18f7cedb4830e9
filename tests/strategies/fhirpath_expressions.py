"""Hypothesis strategies for parsed expressions."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import strategies as st

from fhirserver.fhirpath.parser import PRECEDENCE
from fhirserver.fhirpath.quantity import CALENDAR, Quantity
from fhirserver.fhirpath.syntax import (
    Binary,
    Call,
    Empty,
    Expr,
    External,
    Indexer,
    Literal,
    Member,
    Polarity,
    Special,
    TypeOperation,
    TypeSpecifier,
    Union,
)
from fhirserver.fhirpath.temporal import Date, DateTime, Time

NAMES = st.sampled_from(["name", "div", "is", "in", "and", "true", "a b", "it's", "`", "é", "x\\"])
OPERATORS = st.sampled_from(sorted(set(PRECEDENCE) - {"|", "is", "as"}))
DECIMALS = st.decimals("0", "1e12", allow_nan=False, places=3)
DAYS = st.sampled_from([(2014,), (2014, 2), (2014, 2, 28), (1, 1, 1)])
CLOCKS = st.sampled_from([((10,), None), ((10, 30), None), ((23, 59), Decimal("59.999"))])
ZONES = st.sampled_from(["", "Z", "+05:30", "-12:00"])

VALUES = st.one_of(
    st.booleans(),
    st.integers(0, 2**31 - 1),
    DECIMALS,
    st.text(max_size=8),
    DAYS.map(Date),
    DAYS.map(DateTime),
    st.builds(
        lambda clock, zone: DateTime((2014, 2, 28, *clock[0]), clock[1], zone), CLOCKS, ZONES
    ),
    CLOCKS.map(lambda clock: Time(*clock)),
    st.builds(Quantity, DECIMALS, st.text(min_size=1, max_size=4)),
    st.builds(Quantity, DECIMALS, st.sampled_from(["year", "day"]), st.just(CALENDAR)),
)
LEAVES: st.SearchStrategy[Expr] = st.one_of(
    st.just(Empty()),
    st.builds(Literal, VALUES),
    st.builds(Special, st.sampled_from(["this", "index", "total"])),
    st.builds(External, NAMES),
    st.builds(Member, st.none(), NAMES),
)
TYPES = st.builds(TypeSpecifier, st.none() | NAMES, NAMES)


def _union(parts: list[Expr]) -> Expr:
    """A union as the parser makes it: one that begins with a union goes on with its operands."""
    first, *others = parts
    head = first.operands if isinstance(first, Union) else (first,)
    return Union((*head, *others))


def _larger(inner: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
    arguments = st.lists(inner, max_size=2).map(tuple)
    return st.one_of(
        st.builds(Member, inner, NAMES),
        st.builds(Call, st.none() | inner, NAMES, arguments),
        st.builds(Indexer, inner, inner),
        st.builds(Polarity, st.sampled_from("+-"), inner),
        st.builds(Binary, OPERATORS, inner, inner),
        st.lists(inner, min_size=2, max_size=3).map(_union),
        st.builds(TypeOperation, st.sampled_from(["is", "as"]), inner, TYPES),
    )


EXPRESSIONS = st.recursive(LEAVES, _larger, max_leaves=12)
