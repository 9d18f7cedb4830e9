"""https://hl7.org/fhirpath/N1/#conversion"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import partial
from typing import Final, TypeAlias

from fhirserver.fhirpath import quantity
from fhirserver.fhirpath.context import Code, Frame
from fhirserver.fhirpath.decimals import integer, written
from fhirserver.fhirpath.functions.function import Function, Kind
from fhirserver.fhirpath.node import Collection, system
from fhirserver.fhirpath.operators import EMPTY, FALSE, answer
from fhirserver.fhirpath.quantity import CALENDAR, UCUM, Quantity
from fhirserver.fhirpath.singletons import boolean, single, text
from fhirserver.fhirpath.temporal import (
    Date,
    DateTime,
    Time,
    parse_date,
    parse_date_time,
    parse_time,
)
from fhirserver.fhirpath.units import CALENDAR_WORDS
from fhirserver.fhirpath.values import SystemValue

Converter: TypeAlias = Callable[[SystemValue], SystemValue | None]

_INTEGER = re.compile(r"[+-]?\d{1,20}", re.ASCII)
_DECIMAL = re.compile(r"[+-]?\d{1,400}(?:\.\d{1,400})?", re.ASCII)
_QUANTITY = re.compile(
    r"(?P<value>[+-]?\d{1,400}(?:\.\d{1,400})?)\s*(?:'(?P<unit>[^']+)'|(?P<time>[a-zA-Z]+))?",
    re.ASCII,
)

_BOOLEANS: Final[Mapping[str, bool]] = {
    "true": True,
    "t": True,
    "yes": True,
    "y": True,
    "1": True,
    "1.0": True,
    "false": False,
    "f": False,
    "no": False,
    "n": False,
    "0": False,
    "0.0": False,
}


def _iif(
    frame: Frame,
    items: Collection,
    criterion: Code,
    result: Code,
    otherwise: Code | None = None,
) -> Collection:
    single(items)
    inner = frame.inner()
    inner.this = items
    if boolean(criterion(inner)) is True:
        return result(inner)
    return EMPTY if otherwise is None else otherwise(inner)


def to_boolean(value: SystemValue) -> bool | None:
    """The Boolean that a value writes."""
    match value:
        case bool():
            return value
        case int() | Decimal():
            return bool(value) if value in (0, 1) else None
        case str():
            return _BOOLEANS.get(value.lower())
        case _:
            return None


def to_integer(value: SystemValue) -> int | None:
    """The Integer that a value writes."""
    match value:
        case bool() | int():
            return int(value)
        case str() if _INTEGER.fullmatch(value):
            return integer(int(value))
        case _:
            return None


def to_decimal(value: SystemValue) -> Decimal | None:
    """The Decimal that a value writes."""
    match value:
        case bool() | int():
            return Decimal(int(value))
        case Decimal():
            return value
        case str() if _DECIMAL.fullmatch(value):
            return Decimal(value)
        case _:
            return None


def to_quantity(value: SystemValue) -> Quantity | None:
    """The Quantity that a value writes."""
    match value:
        case bool() | int() | Decimal():
            return Quantity(Decimal(value))
        case Quantity():
            return value
        case str():
            found = _QUANTITY.fullmatch(value)
        case _:
            found = None
    if found is None:
        return None
    number = Decimal(found["value"])
    if found["time"]:
        unit = CALENDAR_WORDS.get(found["time"])
        return None if unit is None else Quantity(number, unit, CALENDAR)
    return Quantity(number, found["unit"] or "1")


def to_string(value: SystemValue) -> str | None:
    """A value as text."""
    match value:
        case bool():
            return "true" if value else "false"
        case Decimal():
            return written(value)
        case Quantity(number):
            return None if written(number) is None else str(value)
        case _:
            return str(value)


def to_date(value: SystemValue) -> Date | None:
    """The Date of a DateTime, or that a text writes."""
    match value:
        case Date():
            return value
        case DateTime(fields):
            return Date(fields[:3])
        case str():
            return parse_date(value)
        case _:
            return None


def to_date_time(value: SystemValue) -> DateTime | None:
    """A Date as DateTime, or the DateTime that a text writes."""
    match value:
        case DateTime():
            return value
        case Date(fields):
            return DateTime(fields)
        case str():
            return parse_date_time(value)
        case _:
            return None


def to_time(value: SystemValue) -> Time | None:
    """The Time that a text writes."""
    match value:
        case Time():
            return value
        case str():
            return parse_time(value)
        case _:
            return None


def _to(convert: Converter, frame: Frame, items: Collection) -> Collection:
    item = single(items)
    value = None if item is None else system(item)
    found = None if value is None else convert(value)
    return EMPTY if found is None else [found]


def _converts_to(convert: Converter, frame: Frame, items: Collection) -> Collection:
    item = single(items)
    if item is None:
        return EMPTY
    value = system(item)
    return FALSE if value is None else answer(convert(value) is not None)


def _to_quantity(frame: Frame, items: Collection, unit: Collection | None = None) -> Collection:
    found = _to(to_quantity, frame, items)
    wanted = None if unit is None else text(unit)
    if wanted is None or not found:
        return EMPTY if unit is not None else found
    amount = found[0]
    assert isinstance(amount, Quantity)
    calendar = CALENDAR_WORDS.get(wanted)
    target = (calendar, CALENDAR) if calendar else (wanted, UCUM)
    if amount.unit == "1":
        return [Quantity(amount.value, *target)]
    converted = quantity.convert(amount, *target)
    return EMPTY if converted is None else [converted]


def _converts_to_quantity(
    frame: Frame, items: Collection, unit: Collection | None = None
) -> Collection:
    if single(items) is None:
        return EMPTY
    return answer(bool(_to_quantity(frame, items, unit)))


_CONVERTERS: Final[Mapping[str, Converter]] = {
    "Boolean": to_boolean,
    "Integer": to_integer,
    "Decimal": to_decimal,
    "String": to_string,
    "Date": to_date,
    "DateTime": to_date_time,
    "Time": to_time,
}

FUNCTIONS: Final[Mapping[str, Function]] = {
    "iif": Function(_iif, 2, 3, Kind.CODES, many=False, gives="choice", gives_many=True),
    **{
        f"to{type_}": Function(partial(_to, convert), many=False, gives=type_)
        for type_, convert in _CONVERTERS.items()
    },
    **{
        f"convertsTo{type_}": Function(partial(_converts_to, convert), many=False, gives="Boolean")
        for type_, convert in _CONVERTERS.items()
    },
    "toQuantity": Function(_to_quantity, 0, 1, many=False, gives="Quantity"),
    "convertsToQuantity": Function(_converts_to_quantity, 0, 1, many=False, gives="Boolean"),
}
