"""Adding a duration to a date or time.

https://hl7.org/fhirpath/N1/#datetime-arithmetic. A duration finer than the date's precision
is first turned into whole units of that precision; fractions count only in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Final

from fhirserver.fhirpath.errors import FhirPathExecutionError
from fhirserver.fhirpath.quantity import CALENDAR, UCUM, Quantity
from fhirserver.fhirpath.temporal import (
    DAY,
    HOUR,
    MINUTE,
    MONTH,
    SECOND,
    YEAR,
    Date,
    DateTime,
    Time,
)
from fhirserver.fhirpath.units import CALENDAR_WORDS

# The field that a unit counts in, and how many of that field make one unit.
_CALENDAR: Final[Mapping[str, tuple[int, Decimal]]] = {
    "year": (YEAR, Decimal(1)),
    "month": (MONTH, Decimal(1)),
    "week": (DAY, Decimal(7)),
    "day": (DAY, Decimal(1)),
    "hour": (HOUR, Decimal(1)),
    "minute": (MINUTE, Decimal(1)),
    "second": (SECOND, Decimal(1)),
    "millisecond": (SECOND, Decimal("0.001")),
}
_UCUM: Final[Mapping[str, tuple[int, Decimal]]] = {
    "wk": _CALENDAR["week"],
    "d": _CALENDAR["day"],
    "h": _CALENDAR["hour"],
    "min": _CALENDAR["minute"],
    "s": _CALENDAR["second"],
    "ms": _CALENDAR["millisecond"],
}
# How many of a field make one of the next coarser one.
_RATIOS: Final[Mapping[int, int]] = {SECOND: 60, MINUTE: 60, HOUR: 24, DAY: 30, MONTH: 12}
_DAYS_PER_YEAR = 365
_DAY_SECONDS = 86_400
_MAX_AMOUNT = Decimal(10) ** 15


def shift(moment: Date | DateTime | Time, by: Quantity, sign: int) -> Date | DateTime | Time:
    """`moment` plus or, with `sign` -1, minus a duration.

    Raises `FhirPathExecutionError` for a quantity that is no duration fit for the type, and
    where the result is outside the years 1 to 9999.
    """
    field, factor = _field(by)
    if abs(by.value) > _MAX_AMOUNT:
        raise FhirPathExecutionError(f"{by} is too long to add to a date or time.")
    amount = sign * by.value if field == SECOND else sign * Decimal(int(by.value))
    amount *= factor
    if isinstance(moment, Time):
        return _shift_time(moment, field, amount, by)
    finest = len(moment.fields) - 1 if moment.second is None else SECOND
    amount, field = _coarsened(amount, field, finest)
    try:
        return _shift_date(moment, field, amount)
    except (ValueError, OverflowError):
        raise FhirPathExecutionError(
            f"{moment} {'+' if sign > 0 else '-'} {by} is outside the years 1 to 9999."
        ) from None


def _field(by: Quantity) -> tuple[int, Decimal]:
    found = None
    if by.system == CALENDAR:
        found = _CALENDAR.get(by.unit)
    elif by.system == UCUM:
        found = _UCUM.get(by.unit) or _CALENDAR.get(CALENDAR_WORDS.get(by.unit, ""))
    if found is None:
        raise FhirPathExecutionError(
            f"{by} cannot be added to a date or time: use a calendar duration such as 4 days."
        )
    return found


def _coarsened(amount: Decimal, field: int, finest: int) -> tuple[Decimal, int]:
    while field > finest:
        if field == DAY and finest == YEAR:
            amount, field = amount / _DAYS_PER_YEAR, YEAR
        else:
            amount, field = amount / _RATIOS[field], field - 1
    return (amount if field == SECOND else Decimal(int(amount))), field


def _shift_date(moment: Date | DateTime, field: int, amount: Decimal) -> Date | DateTime:
    if field <= MONTH:
        months = int(amount) * (12 if field == YEAR else 1)
        return _rebuilt(moment, _shift_months(moment.fields, months), moment.second)
    year, month, day, *clock = moment.fields
    ordinal = date(year, month, day).toordinal()
    if field == DAY:
        ordinal += int(amount)
        return _rebuilt(moment, (*_day(ordinal), *clock), moment.second)
    hour, minute = (*clock, 0)[:2]
    days, hour, minute, second = _shift_clock(hour, minute, moment.second, field, amount)
    fields = (*_day(ordinal + days), *(hour, minute)[: len(clock)])
    return _rebuilt(moment, fields, second)


def _shift_time(moment: Time, field: int, amount: Decimal, by: Quantity) -> Time:
    if field <= DAY:
        raise FhirPathExecutionError(f"{by} cannot be added to a time of day.")
    finest = HOUR + len(moment.fields) - 1 if moment.second is None else SECOND
    amount, field = _coarsened(amount, field, finest)
    hour, minute = (*moment.fields, 0)[:2]
    _, hour, minute, second = _shift_clock(hour, minute, moment.second, field, amount)
    return Time((hour, minute)[: len(moment.fields)], second)


def _shift_clock(
    hour: int, minute: int, second: Decimal | None, field: int, amount: Decimal
) -> tuple[int, int, int, Decimal | None]:
    """Days carried over, hour, minute and second."""
    if field == SECOND:
        total = (Decimal(0) if second is None else second) + amount
        carried = int(total // 60) if total >= 0 or total % 60 == 0 else int(total // 60) - 1
        second, amount = total - 60 * carried, Decimal(carried)
    minutes = hour * 60 + minute + int(amount) * (60 if field == HOUR else 1)
    days, minutes = divmod(minutes, 24 * 60)
    return days, minutes // 60, minutes % 60, second


def _shift_months(fields: tuple[int, ...], months: int) -> tuple[int, ...]:
    if len(fields) == 1:
        years = int(Decimal(months) / 12)
        return (_year(fields[0] + years),)
    total = fields[0] * 12 + fields[1] - 1 + months
    year, month = _year(total // 12), total % 12 + 1
    if len(fields) == 2:
        return (year, month)
    return (year, month, min(fields[2], _last_day(year, month)), *fields[3:])


def _year(year: int) -> int:
    if not 1 <= year <= 9999:
        raise OverflowError
    return year


def _last_day(year: int, month: int) -> int:
    if month == 12:
        return 31
    return (date(year, month + 1, 1) - date(year, month, 1)).days


def _day(ordinal: int) -> tuple[int, int, int]:
    day = date.fromordinal(ordinal)
    return day.year, day.month, day.day


def _rebuilt(
    moment: Date | DateTime, fields: tuple[int, ...], second: Decimal | None
) -> Date | DateTime:
    return type(moment)(fields, second, moment.zone)
