"""Number parameters, and the implicit precision of a number.

https://hl7.org/fhir/R4/search.html#number: `100` means [99.5, 100.5), `100.00` means
[99.995, 100.005), and `1e2`, by R4's own table, [95, 105): of a number with an exponent the
last digit counts a tenth.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from math import inf, nextafter
from typing import Any, NamedTuple

from fhirserver.errors import Invalid
from fhirserver.search.entry import Number
from fhirserver.search.escape import unescape
from fhirserver.search.expression import Comparator, Expression, NumberIs, Or
from fhirserver.search.parameter import Convert, Knowledge, Parameter, ParameterType, Values
from fhirserver.search.prefix import COMPARATORS, split_prefix

_NUMBER = re.compile(r"[+-]?\d{1,40}(?:\.\d{1,40})?(e[+-]?\d{1,3})?", re.ASCII | re.IGNORECASE)


class Range(NamedTuple):
    """A number that was asked for, and the range [low, high) that it stands for."""

    value: float
    low: float
    high: float


class Written(NamedTuple):
    """The same with all its digits; `closed`: `high` itself belongs to the range."""

    value: Decimal
    low: Decimal
    high: Decimal
    closed: bool = False


def written_number(text: str, comparator: Comparator) -> Written:
    """The range that a written number stands for; for `ap` a tenth of it to both sides.

    Raises `Invalid` for what is not a number.
    """
    found = _NUMBER.fullmatch(text)
    if not found:
        raise Invalid(f"'{text}' is not a number: write it as 5, -5.40 or 5.4e-3.")
    value = Decimal(text)
    exponent = value.as_tuple().exponent
    assert isinstance(exponent, int)
    half = Decimal(5).scaleb(exponent - (2 if found.group(1) else 1))
    low, high = value - half, value + half
    if comparator == "ap":
        tenth = abs(value) / 10
        return Written(
            value, min(low, value - tenth), max(high, value + tenth), value + tenth >= high
        )
    return Written(value, low, high)


def asked_number(text: str, comparator: Comparator) -> Range:
    """The range that a written number stands for, as the index compares it.

    Raises `Invalid` for what is not a number.
    """
    *bounds, closed = written_number(text, comparator)
    value, low, high = map(float, bounds)
    return Range(value, low, nextafter(high, inf) if closed else high)


def as_float(value: Any) -> float | None:
    """A JSON number as the index keeps it; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    try:
        return float(value)
    except OverflowError:
        return inf if value > 0 else -inf


def _number(value: Any) -> Iterable[Number]:
    found = as_float(value)
    return () if found is None else (Number(found, found),)


def _range(value: Any) -> Iterable[Number]:
    low = as_float((value.get("low") or {}).get("value"))
    high = as_float((value.get("high") or {}).get("value"))
    if low is None and high is None:
        return ()
    low = -inf if low is None else low
    return (Number(low, max(low, inf if high is None else high)),)


_CONVERT: dict[str, Convert] = {
    "integer": _number,
    "positiveInt": _number,
    "unsignedInt": _number,
    "decimal": _number,
    "Range": _range,
}


def number_search(parameter: Parameter, _: str, values: Values, __: Knowledge) -> Expression:
    """What finds the numbers that compare with one of the values, each with its own prefix."""
    found = tuple(_compared(parameter, unescape(value)) for value in values)
    return found[0] if len(found) == 1 else Or(found)


def _compared(parameter: Parameter, text: str) -> NumberIs:
    comparator, rest = split_prefix(parameter, text)
    return NumberIs(parameter.code, comparator, *asked_number(rest, comparator))


NUMBER = ParameterType(convert=_CONVERT, modifiers={"": number_search}, comparators=COMPARATORS)
