"""The units of measure that are converted exactly: metric ones, times, inch and pound.

This is a small table of what FHIRPath itself needs (https://ucum.org/ucum has the whole).
A unit that is not here is valid, but equals only itself. Products, quotients and exponents
of units of the table are known too (`g/m`, `cm2`, `kg.m/s2`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Final, NamedTuple

CALENDAR_UNITS: Final = frozenset(
    {"year", "month", "week", "day", "hour", "minute", "second", "millisecond"}
)
CALENDAR_WORDS: Final[Mapping[str, str]] = {
    word: unit for unit in CALENDAR_UNITS for word in (unit, f"{unit}s")
}
"""`year` and `years` to `year`, and so on."""


class Unit(NamedTuple):
    """`factor` times base units to the powers of `dimension`."""

    factor: Fraction
    dimension: tuple[tuple[str, int], ...]


def _unit(factor: str, base: str = "", power: int = 1) -> Unit:
    return Unit(Fraction(factor), ((base, power),) if base else ())


# Atoms that take a prefix.
_METRIC: Final = {
    "m": _unit("1", "m"),
    "g": _unit("1", "g"),
    "s": _unit("1", "s"),
    "mol": _unit("1", "mol"),
    "L": _unit("0.001", "m", 3),
    "l": _unit("0.001", "m", 3),
}
_PREFIXES: Final = {
    "G": Fraction(10**9),
    "M": Fraction(10**6),
    "k": Fraction(1000),
    "h": Fraction(100),
    "da": Fraction(10),
    "d": Fraction(1, 10),
    "c": Fraction(1, 100),
    "m": Fraction(1, 1000),
    "u": Fraction(1, 10**6),
    "n": Fraction(1, 10**9),
    "p": Fraction(1, 10**12),
}
# Years and months of the calendar have no fixed length, so they are a dimension of their own.
_OTHER: Final = {
    "1": _unit("1"),
    "%": _unit("0.01"),
    "min": _unit("60", "s"),
    "h": _unit("3600", "s"),
    "d": _unit("86400", "s"),
    "wk": _unit("604800", "s"),
    "mo": _unit("2629800", "s"),
    "a": _unit("31557600", "s"),
    "[in_i]": _unit("0.0254", "m"),
    "[ft_i]": _unit("0.3048", "m"),
    "[lb_av]": _unit("453.59237", "g"),
    "[oz_av]": _unit("28.349523125", "g"),
    "@year": _unit("12", "@month"),
    "@month": _unit("1", "@month"),
    "@week": _unit("604800", "s"),
    "@day": _unit("86400", "s"),
    "@hour": _unit("3600", "s"),
    "@minute": _unit("60", "s"),
    "@second": _unit("1", "s"),
    "@millisecond": _unit("0.001", "s"),
}
_ATOMS: Final[Mapping[str, Unit]] = {
    **{
        prefix + atom: Unit(factor * unit.factor, unit.dimension)
        for prefix, factor in _PREFIXES.items()
        for atom, unit in _METRIC.items()
    },
    **_METRIC,
    **_OTHER,
}
_INDEFINITE: Final = frozenset({"year", "month", "a", "mo"})

_COMPONENT = re.compile(r"([./]?)((?:\[[^\]]*\]|[A-Za-z%]|1(?![0-9]))+)([+-]?[1-9])?", re.ASCII)


def ratio(unit: str, other: str) -> Fraction | None:
    """How many `other` make one `unit`; None where that is not known or they do not compare."""
    ours, theirs = _parsed(unit), _parsed(other)
    if ours is None or theirs is None or ours.dimension != theirs.dimension:
        return None
    return ours.factor / theirs.factor


def product(unit: str, other: str, power: int) -> str | None:
    """The unit of `unit` times `other` to the power of 1 or -1; None if one is not known."""
    ours, theirs = _components(unit), _components(other)
    if ours is None or theirs is None:
        return None
    powers = dict(ours)
    for atom, exponent in theirs.items():
        powers[atom] = powers.get(atom, 0) + power * exponent
    above = [_written(atom, exponent) for atom, exponent in powers.items() if exponent > 0]
    below = ["/" + _written(atom, -exponent) for atom, exponent in powers.items() if exponent < 0]
    return ".".join(above) + "".join(below) or "1"


def is_indefinite(*names: str) -> bool:
    """Whether one is a year or month, whose length depends on where it stands."""
    return not _INDEFINITE.isdisjoint(names)


def _written(atom: str, exponent: int) -> str:
    return atom if exponent == 1 else f"{atom}{exponent}"


@lru_cache(256)
def _components(unit: str) -> Mapping[str, int] | None:
    """The atoms of a unit with their exponents, `1` left out."""
    found: dict[str, int] = {}
    at = 0
    while at < len(unit):
        match = _COMPONENT.match(unit, at)
        if match is None or match[2] not in _ATOMS:
            return None
        if match[1] == "." if at == 0 else not match[1]:
            return None
        sign = -1 if match[1] == "/" else 1
        if match[2] != "1":
            found[match[2]] = found.get(match[2], 0) + sign * int(match[3] or 1)
        at = match.end()
    return found if unit else None


@lru_cache(256)
def _parsed(unit: str) -> Unit | None:
    if unit in _ATOMS:
        return _ATOMS[unit]
    components = _components(unit)
    if components is None:
        return None
    factor = Fraction(1)
    powers: dict[str, int] = {}
    for atom, exponent in components.items():
        part = _ATOMS[atom]
        factor *= part.factor**exponent
        for base, power in part.dimension:
            powers[base] = powers.get(base, 0) + power * exponent
    return Unit(factor, tuple(sorted((base, power) for base, power in powers.items() if power)))
