"""The least and greatest values that a partial or rounded value may stand for; precision.

https://hl7.org/fhirpath/#lowboundary-precision-integer-decimal-date-datetime-time (trial use).
Precision counts digits: of a decimal those after the point, of `@2014-01` six.
"""

from __future__ import annotations

from datetime import date
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Final

from fhirserver.fhirpath.decimals import ARITHMETIC, places
from fhirserver.fhirpath.quantity import Quantity
from fhirserver.fhirpath.temporal import DAY, HOUR, Date, DateTime, Time
from fhirserver.fhirpath.values import SystemValue

_MOST_PLACES: Final = 28
_LEAST_PLACES: Final = 8

# The zones in which a local time comes first and last.
_FIRST_ZONE, _LAST_ZONE = "+14:00", "-12:00"

# By number of digits: how many fields, and whether with seconds.
_DATE_DIGITS: Final = {4: 1, 6: 2, 8: 3}
_DATE_TIME_DIGITS: Final = {4: 1, 6: 2, 8: 3, 10: 4, 12: 5, 14: 6, 17: 6}
_TIME_DIGITS: Final = {2: 1, 4: 2, 6: 3, 9: 3}
_LOW_CLOCK: Final = (0, 0)
_HIGH_CLOCK: Final = (23, 59)
_MILLISECONDS = Decimal("0.001")


def boundary(value: SystemValue, precision: int | None, *, high: bool) -> SystemValue | None:
    """The least (or with `high` the greatest) value that `value` may mean, to a precision.

    None for a precision that the type does not have, and for types without boundaries.
    """
    match value:
        case bool() | str():
            return None
        case int() | Decimal():
            return _of_decimal(Decimal(value), precision, high=high)
        case Quantity(number, unit, system):
            found = _of_decimal(number, precision, high=high)
            return None if found is None else Quantity(found, unit, system)
        case Date():
            return _of_date(value, precision, high=high)
        case DateTime():
            return _of_date_time(value, precision, high=high)
        case Time():
            return _of_time(value, precision, high=high)


def precision(value: SystemValue) -> int | None:
    """The number of digits that a value states."""
    match value:
        case bool() | str() | Quantity():
            return None
        case int():
            return 0
        case Decimal():
            return places(value)
        case Date() | DateTime():
            return 2 + 2 * len(value.fields) + _second_digits(value.second)
        case Time():
            return 2 * len(value.fields) + _second_digits(value.second)


def _second_digits(second: Decimal | None) -> int:
    return 0 if second is None else 2 + places(second)


def _of_decimal(value: Decimal, digits: int | None, *, high: bool) -> Decimal | None:
    if not value.is_finite() or value.adjusted() > _MOST_PLACES:
        return None
    scale = places(value)
    wanted = max(_LEAST_PLACES, scale + 1) if digits is None else digits
    if not 0 <= wanted <= _MOST_PLACES:
        return None
    half = Decimal(5).scaleb(-scale - 1)
    edge = ARITHMETIC.add(value, half if high else -half)
    rounding = ROUND_CEILING if high else ROUND_FLOOR
    return edge.quantize(Decimal(1).scaleb(-wanted), rounding, ARITHMETIC)


def _of_date(value: Date, digits: int | None, *, high: bool) -> Date | None:
    count = _DATE_DIGITS.get(8 if digits is None else digits)
    return None if count is None else Date(_day(value.fields, high=high)[:count])


def _of_date_time(value: DateTime, digits: int | None, *, high: bool) -> DateTime | None:
    wanted = 17 if digits is None else digits
    count = _DATE_TIME_DIGITS.get(wanted)
    if count is None:
        return None
    fields = _day(value.fields[:3], high=high)
    if count <= HOUR:
        return DateTime(fields[:count])
    clock = value.fields[HOUR:]
    clock += (_HIGH_CLOCK if high else _LOW_CLOCK)[len(clock) :]
    second = _second(value.second, high=high, milliseconds=wanted == 17) if count == 6 else None
    zone = value.zone or (_LAST_ZONE if high else _FIRST_ZONE)
    return DateTime((fields + clock)[:count], second, zone)


def _of_time(value: Time, digits: int | None, *, high: bool) -> Time | None:
    wanted = 9 if digits is None else digits
    count = _TIME_DIGITS.get(wanted)
    if count is None:
        return None
    clock = value.fields + (_HIGH_CLOCK if high else _LOW_CLOCK)[len(value.fields) :]
    second = _second(value.second, high=high, milliseconds=wanted == 9) if count == 3 else None
    return Time(clock[:count], second)


def _second(second: Decimal | None, *, high: bool, milliseconds: bool) -> Decimal:
    if second is None:
        edge = Decimal("59.999") if high else Decimal(0)
    elif high and not places(second):
        edge = second + Decimal("0.999")
    else:
        edge = second
    return edge.quantize(_MILLISECONDS if milliseconds else Decimal(1), ROUND_FLOOR)


def _day(fields: tuple[int, ...], *, high: bool) -> tuple[int, ...]:
    if len(fields) > DAY:
        return fields
    year, month = fields if len(fields) == 2 else (fields[0], 12 if high else 1)
    if not high:
        return (year, month, 1)
    if month == 12:
        return (year, month, 31)
    return (year, month, (date(year, month + 1, 1) - date(year, month, 1)).days)
