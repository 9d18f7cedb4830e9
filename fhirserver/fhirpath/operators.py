"""The operators on values.

https://hl7.org/fhirpath/N1/#operations. An operand that is empty makes the result empty,
except in the logic of three values, in `&`, and in what is about collections.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final, TypeAlias

from fhirserver.fhirpath import quantity
from fhirserver.fhirpath.context import check_length
from fhirserver.fhirpath.date_arithmetic import shift
from fhirserver.fhirpath.decimals import ARITHMETIC, QUOTIENT, finite, integer
from fhirserver.fhirpath.equality import (
    as_quantity,
    compare_values,
    equal,
    equal_items,
    equivalent,
)
from fhirserver.fhirpath.errors import FhirPathExecutionError
from fhirserver.fhirpath.node import Collection, Node, system
from fhirserver.fhirpath.quantity import Quantity
from fhirserver.fhirpath.singletons import describe, single, text
from fhirserver.fhirpath.temporal import Date, DateTime, Time
from fhirserver.fhirpath.values import SystemValue

TRUE: Final[Collection] = [True]
FALSE: Final[Collection] = [False]
EMPTY: Final[Collection] = []

Operator: TypeAlias = Callable[[Collection, Collection], Collection]
Number: TypeAlias = int | Decimal


def answer(value: bool | None) -> Collection:
    """The collection of a Boolean; None is the empty one."""
    if value is None:
        return EMPTY
    return TRUE if value else FALSE


# --- equality ---------------------------------------------------------------------------------


def _equals(left: Collection, right: Collection) -> Collection:
    return answer(equal(left, right))


def _differs(left: Collection, right: Collection) -> Collection:
    found = equal(left, right)
    return EMPTY if found is None else answer(not found)


def _is_equivalent(left: Collection, right: Collection) -> Collection:
    return answer(equivalent(left, right))


def _is_not_equivalent(left: Collection, right: Collection) -> Collection:
    return answer(not equivalent(left, right))


def _in(left: Collection, right: Collection) -> Collection:
    item = single(left)
    if item is None:
        return EMPTY
    return answer(any(equal_items(item, other) is True for other in right))


def _contains(left: Collection, right: Collection) -> Collection:
    return _in(right, left)


# --- order ------------------------------------------------------------------------------------


def _comparison(test: Callable[[int], bool]) -> Operator:
    def compared(left: Collection, right: Collection) -> Collection:
        pair = _values(left, right)
        if pair is None:
            return EMPTY
        found = compare_values(*pair)
        return EMPTY if found is None else answer(test(found))

    return compared


def _values(left: Collection, right: Collection) -> tuple[SystemValue, SystemValue] | None:
    """Both operands as values; None if one is empty."""
    ours, theirs = single(left), single(right)
    if ours is None or theirs is None:
        return None
    first, second = system(ours), system(theirs)
    for item in (ours, theirs):
        if isinstance(item, Node) and item.shape.convert is None:
            raise FhirPathExecutionError(f"A {describe(item)} is not a single value.")
    return None if first is None or second is None else (first, second)


# --- arithmetic -------------------------------------------------------------------------------


def _arithmetic(name: str, compute: Callable[[SystemValue, SystemValue], object]) -> Operator:
    def computed(left: Collection, right: Collection) -> Collection:
        pair = _values(left, right)
        if pair is None:
            return EMPTY
        found = compute(*pair)
        if found is NotImplemented:
            ours, theirs = describe(pair[0]), describe(pair[1])
            raise FhirPathExecutionError(f"'{name}' is not defined for {ours} and {theirs}.")
        return EMPTY if found is None else [found]  # type: ignore[list-item]

    return computed


def _is_number(value: SystemValue) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def _add(left: SystemValue, right: SystemValue) -> object:
    match left, right:
        case (str(), str()):
            check_length(len(left) + len(right))
            return left + right
        case (Date() | DateTime() | Time(), Quantity()):
            return shift(left, right, 1)
        case _:
            return _sum(left, right, 1)


def _subtract(left: SystemValue, right: SystemValue) -> object:
    if isinstance(left, Date | DateTime | Time) and isinstance(right, Quantity):
        return shift(left, right, -1)
    return _sum(left, right, -1)


def _sum(left: SystemValue, right: SystemValue, sign: int) -> object:
    match left, right:
        case (bool(), _) | (_, bool()):
            return NotImplemented
        case (int(), int()):
            return integer(left + sign * right)
        case (int() | Decimal(), int() | Decimal()):
            return finite(ARITHMETIC.add(Decimal(left), sign * Decimal(right)))
        case (Quantity() | int() | Decimal(), Quantity() | int() | Decimal()):
            return quantity.add(as_quantity(left), as_quantity(right), sign)
        case _:
            return NotImplemented


def _multiply(left: SystemValue, right: SystemValue) -> object:
    match left, right:
        case (bool(), _) | (_, bool()):
            return NotImplemented
        case (int(), int()):
            return integer(left * right)
        case (int() | Decimal(), int() | Decimal()):
            return finite(ARITHMETIC.multiply(Decimal(left), Decimal(right)))
        case (Quantity() | int() | Decimal(), Quantity() | int() | Decimal()):
            return quantity.multiply(as_quantity(left), as_quantity(right))
        case _:
            return NotImplemented


def _divide(left: SystemValue, right: SystemValue) -> object:
    match left, right:
        case (bool(), _) | (_, bool()):
            return NotImplemented
        case (int() | Decimal(), int() | Decimal()):
            return finite(QUOTIENT.divide(Decimal(left), Decimal(right))) if right else None
        case (Quantity() | int() | Decimal(), Quantity() | int() | Decimal()):
            return quantity.divide(as_quantity(left), as_quantity(right))
        case _:
            return NotImplemented


def _div(left: SystemValue, right: SystemValue) -> object:
    if not _is_number(left) or not _is_number(right):
        return NotImplemented
    return _whole_quotient(left, right)  # type: ignore[arg-type]


def _whole_quotient(left: Number, right: Number) -> Number | None:
    if not right:
        return None
    found = ARITHMETIC.divide_int(Decimal(left), Decimal(right))
    if isinstance(left, int) and isinstance(right, int):
        return integer(int(found))
    return finite(found)


def _mod(left: SystemValue, right: SystemValue) -> object:
    if not _is_number(left) or not _is_number(right):
        return NotImplemented
    if not right:
        return None
    found = ARITHMETIC.remainder(Decimal(left), Decimal(right))  # type: ignore[arg-type]
    if isinstance(left, int) and isinstance(right, int):
        return int(found)
    return finite(found)


def _concatenate(left: Collection, right: Collection) -> Collection:
    ours, theirs = text(left) or "", text(right) or ""
    check_length(len(ours) + len(theirs))
    return [ours + theirs]


def negate(items: Collection) -> Collection:
    """`-items`"""
    item = single(items)
    if item is None:
        return EMPTY
    match system(item):
        case bool() | None:
            pass
        case int() as number:
            negated = integer(-number)
            return EMPTY if negated is None else [negated]
        case Decimal() as number:
            return [number.copy_negate() if number else number]
        case Quantity(number, unit, system_):
            return [Quantity(-number, unit, system_)]
        case _:
            pass
    raise FhirPathExecutionError(f"A {describe(item)} has no sign.")


def affirm(items: Collection) -> Collection:
    """`+items`"""
    negate(items)
    return items


# The binary operators whose operands are both evaluated; the logic is in the compiler.
OPERATORS: Final[Mapping[str, Operator]] = {
    "=": _equals,
    "!=": _differs,
    "~": _is_equivalent,
    "!~": _is_not_equivalent,
    "in": _in,
    "contains": _contains,
    "<": _comparison(lambda found: found < 0),
    "<=": _comparison(lambda found: found <= 0),
    ">": _comparison(lambda found: found > 0),
    ">=": _comparison(lambda found: found >= 0),
    "+": _arithmetic("+", _add),
    "-": _arithmetic("-", _subtract),
    "*": _arithmetic("*", _multiply),
    "/": _arithmetic("/", _divide),
    "div": _arithmetic("div", _div),
    "mod": _arithmetic("mod", _mod),
    "&": _concatenate,
}
