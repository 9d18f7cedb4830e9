"""Quantity parameters: a number with or without a unit.

https://hl7.org/fhir/R4/search.html#quantity. A quantity whose unit is one of UCUM also
stands, in base units, under the name `code:canonical`: `5.4|http://unitsofmeasure.org|mg` finds
5400 ug. Other units, and units of a value without a system, are compared as they are coded.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from math import inf, nextafter
from typing import Any

from fhirserver.errors import Invalid
from fhirserver.search.entry import Quantity
from fhirserver.search.escape import split, unescape
from fhirserver.search.expression import Expression, Or, QuantityIs
from fhirserver.search.parameter import Convert, Knowledge, Parameter, ParameterType, Values
from fhirserver.search.params.number import as_float, asked_number, written_number
from fhirserver.search.prefix import COMPARATORS, split_prefix
from fhirserver.terminology.ucum import UCUM, canonical

CURRENCY = "urn:iso:std:iso:4217"
"""The system of the currency of Money."""

_LARGEST = 200  # digits before or behind the point of a number that is converted


def _string(value: Any, name: str) -> str:
    found = value.get(name)
    return found if isinstance(found, str) else ""


def _made(low: float, high: float, unit: Any) -> Quantity:
    return Quantity(
        low, high, _string(unit, "system"), _string(unit, "code"), _string(unit, "unit")
    )


def _quantity(value: Any) -> Iterable[Quantity]:
    number = as_float(value.get("value"))
    if number is None:
        return ()
    comparator = value.get("comparator", "")
    low = -inf if comparator in ("<", "<=") else number
    high = inf if comparator in (">", ">=") else number
    return (_made(low, high, value),)


def _money(value: Any) -> Iterable[Quantity]:
    number = as_float(value.get("value"))
    if number is None:
        return ()
    currency = _string(value, "currency")
    return (Quantity(number, number, CURRENCY if currency else "", currency, currency),)


def _range(value: Any) -> Iterable[Quantity]:
    low, high = value.get("low") or {}, value.get("high") or {}
    first, last = as_float(low.get("value")), as_float(high.get("value"))
    if first is None and last is None:
        return ()
    first = -inf if first is None else first
    return (_made(first, max(first, inf if last is None else last), low or high),)


def _sampled(value: Any) -> Iterable[Quantity]:
    """The bounds of sampled data: https://hl7.org/fhir/R4/datatypes.html#SampledData"""
    origin = value.get("origin") or {}
    zero = as_float(origin.get("value")) or 0.0
    factor = as_float(value.get("factor", 1)) or 1.0
    limits = {"L": as_float(value.get("lowerLimit")), "U": as_float(value.get("upperLimit"))}
    samples: list[float] = []
    for sample in _string(value, "data").split():
        limit = limits.get(sample)
        if limit is not None:
            samples.append(limit)
        elif sample not in ("E", "L", "U"):
            samples.append(zero + factor * float(sample))
    return (_made(min(samples), max(samples), origin),) if samples else ()


_CONVERT: dict[str, Convert] = {
    "Quantity": _quantity,
    "Age": _quantity,
    "Count": _quantity,
    "Distance": _quantity,
    "Duration": _quantity,
    "SimpleQuantity": _quantity,
    "MoneyQuantity": _quantity,
    "Money": _money,
    "Range": _range,
    "SampledData": _sampled,
}


# --- in base units -------------------------------------------------------------------------


def _in_base_units(value: Any) -> tuple[float, str] | None:
    """The number of a quantity in base units and their dimension; None if they are not known."""
    number = value.get("value")
    if value.get("system") != UCUM or number.__class__ is bool:
        return None
    return _converted(number, _string(value, "code")) if isinstance(number, int | Decimal) else None


@lru_cache(maxsize=8192)
def _converted(number: int | Decimal, code: str) -> tuple[float, str] | None:
    """A quantity stands under several parameters, so what was computed last is kept."""
    unit = canonical(code)
    if unit is None or abs(Decimal(number).adjusted()) > _LARGEST:
        return None
    return float(Fraction(number) * unit.factor + unit.offset), unit.dimension


def _canonical_quantity(value: Any) -> Iterable[Quantity]:
    found = _in_base_units(value)
    if found is None:
        return ()
    number, dimension = found
    comparator = value.get("comparator", "")
    low = -inf if comparator in ("<", "<=") else number
    high = inf if comparator in (">", ">=") else number
    return (Quantity(low, high, UCUM, dimension, ""),)


def _canonical_range(value: Any) -> Iterable[Quantity]:
    bounds: list[float] = []
    dimensions: set[str] = set()
    for name, open_end in (("low", -inf), ("high", inf)):
        end = value.get(name)
        if not end or "value" not in end:
            bounds.append(open_end)
            continue
        found = _in_base_units(end)
        if found is None:
            return ()
        dimensions.add(found[1])
        bounds.append(found[0])
    if len(dimensions) != 1:
        return ()
    return (Quantity(bounds[0], max(bounds), UCUM, dimensions.pop(), ""),)


_DERIVED: dict[str, dict[str, Convert]] = {
    "canonical": dict.fromkeys(
        ("Quantity", "Age", "Count", "Distance", "Duration", "SimpleQuantity"), _canonical_quantity
    )
    | {"Range": _canonical_range}
}


def quantity_search(parameter: Parameter, _: str, values: Values, __: Knowledge) -> Expression:
    """What finds the quantities that compare with one of the values, each with its own prefix."""
    found = tuple(_compared(parameter, value) for value in values)
    return found[0] if len(found) == 1 else Or(found)


def _compared(parameter: Parameter, text: str) -> QuantityIs:
    found = canonical_quantity(parameter, text)
    if found is None:
        return coded_quantity(parameter, text)
    return replace(found, param=f"{parameter.code}:canonical")


def coded_quantity(parameter: Parameter, text: str) -> QuantityIs:
    """What a value means for quantities as they are coded. Raises `Invalid`."""
    number, system, code = _asked(text)
    comparator, rest = split_prefix(parameter, number)
    return QuantityIs(
        parameter.code, comparator, *asked_number(rest, comparator), system or None, code or None
    )


def canonical_quantity(parameter: Parameter, text: str) -> QuantityIs | None:
    """What a value means for quantities in base units; None if its unit is not one of UCUM."""
    number, system, code = _asked(text)
    known = canonical(code) if system == UCUM else None
    if known is None:
        return None
    comparator, rest = split_prefix(parameter, number)
    *bounds, closed = written_number(rest, comparator)
    value, low, high = (float(Fraction(bound) * known.factor + known.offset) for bound in bounds)
    if closed:
        high = nextafter(high, inf)
    return QuantityIs(parameter.code, comparator, value, low, high, UCUM, known.dimension)


def _asked(text: str) -> tuple[str, str, str]:
    number, *unit = (unescape(part) for part in split(text, "|"))
    if len(unit) not in (0, 2):
        raise Invalid(
            f"'{text}' is not a quantity: write number, number|system|code or number||code."
        )
    system, code = unit or ("", "")
    return number, system, code


QUANTITY = ParameterType(
    convert=_CONVERT,
    derived=_DERIVED,
    modifiers={"": quantity_search},
    comparators=COMPARATORS,
)
