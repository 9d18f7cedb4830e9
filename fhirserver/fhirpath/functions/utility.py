"""https://hl7.org/fhirpath/N1/#utility-functions, and those on trial about single values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import partial
from typing import Final

from fhirserver.fhirpath import boundaries, quantity
from fhirserver.fhirpath.context import Code, Frame
from fhirserver.fhirpath.decimals import QUOTIENT
from fhirserver.fhirpath.functions.function import Function, Kind
from fhirserver.fhirpath.functions.scope import each
from fhirserver.fhirpath.node import Collection, plain, system
from fhirserver.fhirpath.operators import EMPTY, answer
from fhirserver.fhirpath.singletons import integer, single, text
from fhirserver.fhirpath.singletons import quantity as one_quantity
from fhirserver.fhirpath.temporal import (
    DAY,
    HOUR,
    MINUTE,
    MONTH,
    YEAR,
    Date,
    DateTime,
    Time,
    of_datetime,
    zone_seconds,
)
from fhirserver.fhirpath.values import SystemValue
from fhirserver.fhirpath.variables import define


def _trace(
    frame: Frame, items: Collection, name: Code, projection: Code | None = None
) -> Collection:
    sink = frame.run.services.trace
    if sink is not None:
        shown = items
        if projection is not None:
            shown = [part for _, result in each(frame, items, projection) for part in result]
        sink(text(name(frame)) or "", [plain(item) for item in shown])
    return items


def _now(frame: Frame, items: Collection) -> Collection:
    return [of_datetime(frame.run.now)]


def _today(frame: Frame, items: Collection) -> Collection:
    return [Date(of_datetime(frame.run.now).fields[:3])]


def _time_of_day(frame: Frame, items: Collection) -> Collection:
    now = of_datetime(frame.run.now)
    return [Time(now.fields[3:], now.second)]


def _define_variable(
    frame: Frame, items: Collection, name: Code, value: Code | None = None
) -> Collection:
    found = items
    if value is not None:
        inner = frame.inner()
        inner.this = items
        found = value(inner)
    define(frame, text(name(frame)) or "", found)
    return items


def _boundary(
    high: bool, frame: Frame, items: Collection, precision: Collection | None = None
) -> Collection:
    digits = None if precision is None else integer(precision)
    item = single(items)
    value = None if item is None else system(item)
    if value is None:
        return EMPTY
    found = boundaries.boundary(value, digits, high=high)
    return EMPTY if found is None else [found]


def _precision(frame: Frame, items: Collection) -> Collection:
    item = single(items)
    value = None if item is None else system(item)
    found = None if value is None else boundaries.precision(value)
    return EMPTY if found is None else [found]


def _comparable(frame: Frame, items: Collection, other: Collection) -> Collection:
    ours, theirs = one_quantity(items), one_quantity(other)
    if ours is None or theirs is None:
        return EMPTY
    return answer(quantity.compare(ours, theirs) is not None)


def _component(
    read: Callable[[SystemValue], SystemValue | None], frame: Frame, items: Collection
) -> Collection:
    item = single(items)
    value = None if item is None else system(item)
    found = None if value is None else read(value)
    return EMPTY if found is None else [found]


def _date_field(field: int, value: SystemValue) -> int | None:
    if isinstance(value, Date | DateTime) and field < len(value.fields):
        return value.fields[field]
    return None


def _clock_field(field: int, value: SystemValue) -> int | None:
    if isinstance(value, Time):
        field -= HOUR
    elif not isinstance(value, DateTime):
        return None
    return value.fields[field] if field < len(value.fields) else None


def _second(value: SystemValue) -> int | None:
    if not isinstance(value, DateTime | Time) or value.second is None:
        return None
    return int(value.second)


def _millisecond(value: SystemValue) -> int | None:
    if not isinstance(value, DateTime | Time) or value.second is None:
        return None
    return int(value.second % 1 * 1000)


def _zone(value: SystemValue) -> Decimal | None:
    if not isinstance(value, DateTime) or not value.zone:
        return None
    return QUOTIENT.divide(Decimal(zone_seconds(value.zone)), Decimal(3600))


def _date(value: SystemValue) -> Date | None:
    return Date(value.fields[:HOUR]) if isinstance(value, Date | DateTime) else None


def _time(value: SystemValue) -> Time | None:
    if not isinstance(value, DateTime) or len(value.fields) <= HOUR:
        return None
    return Time(value.fields[HOUR:], value.second)


def _part(read: Callable[[SystemValue], SystemValue | None], gives: str = "Integer") -> Function:
    return Function(partial(_component, read), many=False, gives=gives)


FUNCTIONS: Final[Mapping[str, Function]] = {
    "trace": Function(_trace, 1, 2, Kind.CODES, gives="same", gives_many=None),
    "now": Function(_now, gives="DateTime"),
    "today": Function(_today, gives="Date"),
    "timeOfDay": Function(_time_of_day, gives="Time"),
    "defineVariable": Function(_define_variable, 1, 2, Kind.CODES, gives="same", gives_many=None),
    "lowBoundary": Function(partial(_boundary, False), 0, 1, many=False, gives="same"),
    "highBoundary": Function(partial(_boundary, True), 0, 1, many=False, gives="same"),
    "precision": Function(_precision, many=False, gives="Integer"),
    "comparable": Function(_comparable, 1, 1, takes="Quantity", many=False, gives="Boolean"),
    "yearOf": _part(partial(_date_field, YEAR)),
    "monthOf": _part(partial(_date_field, MONTH)),
    "dayOf": _part(partial(_date_field, DAY)),
    "hourOf": _part(partial(_clock_field, HOUR)),
    "minuteOf": _part(partial(_clock_field, MINUTE)),
    "secondOf": _part(_second),
    "millisecondOf": _part(_millisecond),
    "timezoneOffsetOf": _part(_zone, "Decimal"),
    "dateOf": _part(_date, "Date"),
    "timeOf": _part(_time, "Time"),
}
