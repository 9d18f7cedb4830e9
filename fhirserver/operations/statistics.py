"""Statistics of measurements, by the codes of FHIR.

https://hl7.org/fhir/R4/valueset-observation-statistics.html. Variance and standard deviation
are those of a sample; percentiles lie between the nearest values (linear interpolation);
skewness and kurtosis are the standardised moments. Pure, in decimal arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, localcontext
from typing import Final, Literal, NamedTuple, TypeAlias

Unit: TypeAlias = Literal["same", "squared", "none"]
Values: TypeAlias = Sequence[Decimal]

_WORKING = 40  # digits
_TOLD = 12


class Statistic(NamedTuple):
    """How many values it needs, the unit of its result by theirs, and how it is computed.

    `of` gets the values in ascending order.
    """

    at_least: int
    unit: Unit
    of: Callable[[Values], Decimal]


def compute(statistic: Statistic, values: Values) -> Decimal | None:
    """The statistic, to twelve digits; None where it is not defined for so few values."""
    if len(values) < statistic.at_least:
        return None
    with localcontext() as context:
        context.prec = _WORKING
        found = statistic.of(sorted(values))
        if not found.is_finite():
            return None
        context.prec = _TOLD
        return Decimal(format((+found).normalize(), "f"))


def _mean(values: Values) -> Decimal:
    return sum(values, Decimal(0)) / len(values)


def _moment(values: Values, power: int) -> Decimal:
    mean = _mean(values)
    return sum(((value - mean) ** power for value in values), Decimal(0)) / len(values)


def _variance(values: Values) -> Decimal:
    return _moment(values, 2) * len(values) / (len(values) - 1)


def _quantile(part: Decimal) -> Callable[[Values], Decimal]:
    def of(values: Values) -> Decimal:
        place = part * (len(values) - 1)
        below = int(place)
        above = min(below + 1, len(values) - 1)
        return values[below] + (values[above] - values[below]) * (place - below)

    return of


def _standardised(power: int) -> Callable[[Values], Decimal]:
    def of(values: Values) -> Decimal:
        spread = _moment(values, 2)
        if not spread:
            return Decimal("NaN")
        return _moment(values, power) / spread.sqrt() ** power

    return of


_LOWER, _UPPER = _quantile(Decimal("0.25")), _quantile(Decimal("0.75"))

STATISTICS: Final[Mapping[str, Statistic]] = {
    "average": Statistic(1, "same", _mean),
    "maximum": Statistic(1, "same", lambda values: values[-1]),
    "minimum": Statistic(1, "same", lambda values: values[0]),
    "count": Statistic(0, "none", lambda values: Decimal(len(values))),
    "median": Statistic(1, "same", _quantile(Decimal("0.5"))),
    "std-dev": Statistic(2, "same", lambda values: _variance(values).sqrt()),
    "sum": Statistic(1, "same", lambda values: sum(values, Decimal(0))),
    "variance": Statistic(2, "squared", _variance),
    "20-percent": Statistic(1, "same", _quantile(Decimal("0.2"))),
    "80-percent": Statistic(1, "same", _quantile(Decimal("0.8"))),
    "4-lower": Statistic(1, "same", _LOWER),
    "4-upper": Statistic(1, "same", _UPPER),
    "4-dev": Statistic(1, "same", lambda values: (_UPPER(values) - _LOWER(values)) / 2),
    "5-1": Statistic(1, "same", _quantile(Decimal("0.2"))),
    "5-2": Statistic(1, "same", _quantile(Decimal("0.4"))),
    "5-3": Statistic(1, "same", _quantile(Decimal("0.6"))),
    "5-4": Statistic(1, "same", _quantile(Decimal("0.8"))),
    "skew": Statistic(1, "none", _standardised(3)),
    "kurtosis": Statistic(1, "none", _standardised(4)),
}
"""By code. `total-count`, of the observations, is beside them; `regression` is not offered."""
