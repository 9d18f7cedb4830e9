"""Quantities: a number with a unit of UCUM or of the calendar.

https://hl7.org/fhirpath/N1/#quantity. Units are compared, converted and multiplied by
`fhirserver.fhirpath.units`; a unit that is not known there equals only itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final

from fhirserver.fhirpath import decimals, units
from fhirserver.fhirpath.decimals import ARITHMETIC, QUOTIENT, finite, is_moderate, of_fraction
from fhirserver.model.json import Resource

UCUM: Final = "http://unitsofmeasure.org"
CALENDAR: Final = "http://hl7.org/fhirpath/CodeSystem/calendar-units"

# https://hl7.org/fhir/R4/fhirpath.html#quantity
_CALENDAR_OF_UCUM = {
    "a": "year",
    "mo": "month",
    "d": "day",
    "h": "hour",
    "min": "minute",
    "s": "second",
}


@dataclass(frozen=True, slots=True)
class Quantity:
    """`unit` is a code of `system`; calendar units are in the singular."""

    value: Decimal
    unit: str = "1"
    system: str = UCUM

    def __str__(self) -> str:
        if self.system == CALENDAR:
            return f"{self.value:f} {self.unit}{'' if self.value == 1 else 's'}"
        return f"{self.value:f} '{self.unit}'"

    def to_fhir(self) -> Resource:
        """The quantity as FHIR's Quantity."""
        return {"value": self.value, "unit": self.unit, "system": self.system, "code": self.unit}


def of_fhir(value: Resource) -> Quantity | None:
    """The quantity that a FHIR Quantity states; None without a value or with a comparator.

    Time units of UCUM become those of the calendar, as R4 says. Of another system, or of none,
    the unit equals only itself.
    """
    number = value.get("value")
    if number is None or "comparator" in value or isinstance(number, bool | str):
        return None
    amount = number if isinstance(number, Decimal) else Decimal(str(number))
    system, code = value.get("system"), value.get("code")
    if system == UCUM and code:
        calendar = _CALENDAR_OF_UCUM.get(code)
        return Quantity(amount, calendar, CALENDAR) if calendar else Quantity(amount, code)
    unit = code or value.get("unit")
    return Quantity(amount, unit, system or "") if unit else Quantity(amount)


def compare(left: Quantity, right: Quantity) -> int | None:
    """-1, 0 or 1 as `left` is less than, equal to or greater than `right`; None if unknown."""
    ratio = _ratio(left, right)
    if ratio is None:
        return None
    if ratio == 1:
        return (left.value > right.value) - (left.value < right.value)
    ours, theirs = _times(left.value, ratio), _times(right.value, Fraction(1))
    return None if ours is None or theirs is None else (ours > theirs) - (ours < theirs)


def equivalent(left: Quantity, right: Quantity) -> bool | None:
    """Whether both are the same at the precision of the less precise; None if unknown."""
    if left.system != right.system and units.is_indefinite(left.unit, right.unit):
        left, right = _definite(left), _definite(right)
    ratio = _ratio(left, right)
    if ratio is None:
        return None
    if ratio > 1:
        left, right, ratio = right, left, 1 / ratio
    ours = _times(left.value, ratio)
    return None if ours is None else decimals.equivalent(of_fraction(ours), right.value)


def convert(quantity: Quantity, unit: str, system: str) -> Quantity | None:
    """The same quantity in another unit, if there is a ratio between the two."""
    ratio = _ratio(quantity, Quantity(Decimal(1), unit, system))
    amount = None if ratio is None else _times(quantity.value, ratio)
    return None if amount is None else Quantity(of_fraction(amount), unit, system)


def add(left: Quantity, right: Quantity, sign: int = 1) -> Quantity | None:
    """The sum in the unit of `left`, or with `sign` -1 the difference."""
    if left.unit != right.unit and units.is_indefinite(left.unit, right.unit):
        return None
    other = convert(right, left.unit, left.system)
    if other is None:
        return None
    total = finite(ARITHMETIC.add(left.value, sign * other.value))
    return None if total is None else Quantity(total, left.unit, left.system)


def multiply(left: Quantity, right: Quantity) -> Quantity | None:
    """The product, with the product of the units."""
    return _scaled(left, right, ARITHMETIC.multiply(left.value, right.value), 1)


def divide(left: Quantity, right: Quantity) -> Quantity | None:
    """The quotient, with the quotient of the units; None when dividing by zero."""
    if not right.value:
        return None
    return _scaled(left, right, QUOTIENT.divide(left.value, right.value), -1)


def _scaled(left: Quantity, right: Quantity, value: Decimal, power: int) -> Quantity | None:
    if not value.is_finite():
        return None
    if right.unit == "1":
        return Quantity(value, left.unit, left.system)
    if left.unit == "1" and power == 1:
        return Quantity(value, right.unit, right.system)
    if not left.system == right.system == UCUM:
        return None
    unit = units.product(left.unit, right.unit, power)
    return None if unit is None else Quantity(value, unit)


def _times(value: Decimal, ratio: Fraction) -> Fraction | None:
    return Fraction(value) * ratio if is_moderate(value) else None


def _ratio(left: Quantity, right: Quantity) -> Fraction | None:
    if left.unit == right.unit and left.system == right.system:
        return Fraction(1)
    if {left.system, right.system} <= {UCUM, CALENDAR}:
        return units.ratio(_unit(left), _unit(right))
    return None


def _unit(quantity: Quantity) -> str:
    """The unit as a name in the table of units, where calendar ones have their own."""
    return f"@{quantity.unit}" if quantity.system == CALENDAR else quantity.unit


def _definite(quantity: Quantity) -> Quantity:
    if quantity.system != CALENDAR:
        return quantity
    unit = next(code for code, name in _UCUM_OF_CALENDAR if name == quantity.unit)
    return Quantity(quantity.value, unit)


_UCUM_OF_CALENDAR = [*_CALENDAR_OF_UCUM.items(), ("wk", "week"), ("ms", "millisecond")]
