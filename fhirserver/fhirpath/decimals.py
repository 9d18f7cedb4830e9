"""Exact decimals, and Integers within their range.

https://hl7.org/fhirpath/N1/#decimal asks for 28 digits. What cannot be represented (overflow)
is None, which becomes the empty collection.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Context, Decimal
from fractions import Fraction
from typing import Final

MIN_INTEGER: Final = -(2**31)
MAX_INTEGER: Final = 2**31 - 1

MAX_DIGITS: Final = 400
"""No number is written out or made a fraction above this; FHIR allows `1E+999999`."""

ARITHMETIC: Final = Context(prec=50, rounding=ROUND_HALF_UP, traps=[], Emax=999_999, Emin=-999_999)
"""For sums and products."""

QUOTIENT: Final = Context(prec=28, rounding=ROUND_HALF_UP, traps=[], Emax=999_999, Emin=-999_999)
"""For quotients, roots and logarithms, which rarely end."""


def integer(value: int) -> int | None:
    """`value` where it is in the range of Integer."""
    return value if MIN_INTEGER <= value <= MAX_INTEGER else None


def whole(value: Decimal) -> int | None:
    """A decimal as an Integer without its fraction, where it is in range."""
    return integer(int(value)) if value.is_finite() and value.adjusted() < 10 else None


def is_moderate(value: Decimal) -> bool:
    """Whether a number has less than hundreds of digits when written out."""
    if not value.is_finite():
        return False
    exponent = value.as_tuple().exponent
    return abs(value.adjusted()) <= MAX_DIGITS and abs(int(exponent)) <= MAX_DIGITS


def finite(value: Decimal) -> Decimal | None:
    """The result of a computation where it is a number within reach."""
    return value if is_moderate(value) else None


def written(value: Decimal) -> str | None:
    """A decimal in digits, without an exponent; None for one of hundreds of digits."""
    return format(value, "f") if is_moderate(value) else None


def places(value: Decimal) -> int:
    """The number of digits after the point."""
    exponent = value.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def of_fraction(value: Fraction) -> Decimal:
    """A fraction as a decimal: exact if it ends, else to 28 digits."""
    numerator, denominator = Decimal(value.numerator), Decimal(value.denominator)
    exact = ARITHMETIC.divide(numerator, denominator)
    return exact if Fraction(exact) == value else QUOTIENT.divide(numerator, denominator)


def equivalent(left: Decimal, right: Decimal) -> bool:
    """Whether both round to the same at the precision of the less precise."""
    digits = min(places(left.normalize(ARITHMETIC)), places(right.normalize(ARITHMETIC)))
    if not is_moderate(left) or not is_moderate(right):
        return left == right
    step = Decimal(1).scaleb(-digits)
    return _rounded(left, step) == _rounded(right, step)


def _rounded(value: Decimal, step: Decimal) -> Decimal:
    rounded = value.quantize(step, context=ARITHMETIC)
    return rounded if rounded.is_finite() else value
