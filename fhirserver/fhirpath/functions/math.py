"""https://hl7.org/fhirpath/N1/#math. Roots, powers and logarithms are to 28 digits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_UP, Context, Decimal
from functools import partial
from typing import Final

from fhirserver.fhirpath.context import Frame
from fhirserver.fhirpath.decimals import ARITHMETIC, QUOTIENT, finite, integer, is_moderate, whole
from fhirserver.fhirpath.errors import FhirPathExecutionError
from fhirserver.fhirpath.functions.function import Function
from fhirserver.fhirpath.node import Collection, Item
from fhirserver.fhirpath.operators import EMPTY
from fhirserver.fhirpath.quantity import Quantity
from fhirserver.fhirpath.singletons import amount, number
from fhirserver.fhirpath.singletons import integer as one_integer

_MOST_PLACES: Final = 28
_WORKING: Final = Context(prec=40, rounding=ROUND_HALF_UP, traps=[], Emax=999_999, Emin=-999_999)
"""More digits than are given, so that log(100, 10) is 2."""


def _result(value: Item | None) -> Collection:
    return EMPTY if value is None else [value]


def _abs(frame: Frame, items: Collection) -> Collection:
    match amount(items):
        case None:
            return EMPTY
        case Quantity(value, unit, system):
            return [Quantity(abs(value), unit, system)]
        case int() as value:
            return _result(integer(abs(value)))
        case value:
            return [abs(value)]


def _rounded_to_whole(rounding: str, frame: Frame, items: Collection) -> Collection:
    match amount(items):
        case None:
            return EMPTY
        case int() as value:
            return [value]
        case Quantity(value, unit, system):
            found = whole(value.to_integral_value(rounding))
            return EMPTY if found is None else [Quantity(Decimal(found), unit, system)]
        case value:
            return _result(whole(value.to_integral_value(rounding)))


def _round(frame: Frame, items: Collection, precision: Collection | None = None) -> Collection:
    value = amount(items)
    digits = 0 if precision is None else one_integer(precision)
    if value is None or digits is None:
        return EMPTY
    if not 0 <= digits <= _MOST_PLACES:
        raise FhirPathExecutionError(f"round() takes a precision of 0 to {_MOST_PLACES}.")
    plain = Decimal(value.value if isinstance(value, Quantity) else value)
    rounded = finite(plain.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP, ARITHMETIC))
    if rounded is None:
        return EMPTY
    if isinstance(value, Quantity):
        return [Quantity(rounded, value.unit, value.system)]
    return [rounded]


def _function(
    compute: Callable[..., Decimal | None], frame: Frame, *inputs: Collection
) -> Collection:
    """What `compute` gives for numbers as Decimals; nothing if one is empty or out of reach."""
    values = [number(items) for items in inputs]
    if any(value is None or not is_moderate(Decimal(value)) for value in values):
        return EMPTY
    found = compute(*(Decimal(value) for value in values if value is not None))
    found = None if found is None else finite(QUOTIENT.plus(found))
    return _result(found)


def _exp(value: Decimal) -> Decimal | None:
    return _WORKING.exp(value)


def _ln(value: Decimal) -> Decimal | None:
    return _WORKING.ln(value) if value > 0 else None


def _log(value: Decimal, base: Decimal) -> Decimal | None:
    if value <= 0 or base <= 0 or base == 1:
        return None
    return _WORKING.divide(_WORKING.ln(value), _WORKING.ln(base))


def _sqrt(value: Decimal) -> Decimal | None:
    return _WORKING.sqrt(value) if value >= 0 else None


def _power(frame: Frame, items: Collection, exponent: Collection) -> Collection:
    base, power = number(items), number(exponent)
    found = _function(_raised, frame, items, exponent)
    if found and isinstance(base, int) and isinstance(power, int) and power >= 0:
        raised = found[0]
        assert isinstance(raised, Decimal)
        return _result(whole(raised))
    return found


def _raised(base: Decimal, exponent: Decimal) -> Decimal | None:
    if not base and exponent < 0:
        return None
    if not base and not exponent:
        return Decimal(1)
    return _WORKING.power(base, exponent)


def _row(compute: Callable[..., Decimal | None], count: int = 0) -> Function:
    run = partial(_function, compute)
    return Function(run, count, count, takes="Decimal", many=False, gives="Decimal")


def _whole(rounding: str) -> Function:
    run = partial(_rounded_to_whole, rounding)
    return Function(run, takes="Quantity", many=False, gives="Integer")


FUNCTIONS: Final[Mapping[str, Function]] = {
    "abs": Function(_abs, takes="Quantity", many=False, gives="same"),
    "ceiling": _whole(ROUND_CEILING),
    "floor": _whole(ROUND_FLOOR),
    "truncate": _whole(ROUND_DOWN),
    "round": Function(_round, 0, 1, takes="Quantity", many=False),
    "exp": _row(_exp),
    "ln": _row(_ln),
    "log": _row(_log, 1),
    "sqrt": _row(_sqrt),
    "power": Function(_power, 1, 1, takes="Decimal", many=False),
}
