"""Units of UCUM, and what they are in base units.

https://ucum.org/ucum. `canonical` is exact: factors are fractions. Of the units that are no
multiple of another only the scales of temperature are known; logarithmic and other special
ones are not, nor are units that UCUM does not define.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache
from typing import NamedTuple
from xml.etree import ElementTree as Xml

from fhirserver.definitions.packaged import ucum_table

UCUM = "http://unitsofmeasure.org"

_LONGEST = 100  # characters of a unit
_DEEPEST = 8  # parentheses
_GREATEST = 40  # exponent
_NAMESPACE = "{http://unitsofmeasure.org/ucum-essence}"

# A value on a scale is (value * factor + offset) K.
_SCALES = {
    "Cel": (Fraction(1), Fraction("273.15")),
    "degF": (Fraction(5, 9), Fraction("459.67") * 5 / 9),
    "degRe": (Fraction(5, 4), Fraction("273.15")),
}
_SYMBOL = re.compile(r"10[*^]|(?:\[[^\]]*\]|[^\s./(){}\[\]\d+\-])+")
_EXPONENT = re.compile(r"[+-]?\d{1,3}")
_INTEGER = re.compile(r"\d{1,12}(?![\d*^])")
_ANNOTATION = re.compile(r"\{[^{}]*\}")


class _Unknown(Exception):
    """Not a unit, or not one with a factor."""


@dataclass(frozen=True, slots=True)
class Canonical:
    """A unit as `value * factor + offset` of base units; equal dimensions can be compared."""

    factor: Fraction
    offset: Fraction
    dimension: str


class _Unit(NamedTuple):
    """`powers` are the exponents of base units, sorted by their names."""

    factor: Fraction
    powers: tuple[tuple[str, int], ...] = ()
    offset: Fraction = Fraction(0)

    def times(self, other: _Unit, sign: int = 1) -> _Unit:
        if self.offset or other.offset:
            raise _Unknown
        powers = dict(self.powers)
        for name, power in other.powers:
            powers[name] = powers.get(name, 0) + sign * power
        kept = tuple(sorted((name, power) for name, power in powers.items() if power))
        return _Unit(self.factor * other.factor**sign, kept)

    def to(self, exponent: int) -> _Unit:
        if exponent == 1:
            return self
        if self.offset or abs(exponent) > _GREATEST:
            raise _Unknown
        return _Unit(
            self.factor**exponent,
            tuple((name, power * exponent) for name, power in self.powers if exponent),
        )


_ONE = _Unit(Fraction(1))


@lru_cache(maxsize=4096)
def canonical(code: str) -> Canonical | None:
    """What a unit is in base units; None for one that is not known or has no factor."""
    if not code or len(code) > _LONGEST or not code.isascii():
        return None
    try:
        unit = _Reader(code).whole()
    except (_Unknown, ZeroDivisionError, RecursionError):
        return None
    dimension = ".".join(f"{name}{power if power != 1 else ''}" for name, power in unit.powers)
    return Canonical(unit.factor, unit.offset, dimension or "1")


@lru_cache(maxsize=4096)
def is_unit(code: str) -> bool:
    """Whether a code is a unit of UCUM, also one that is no multiple of others (`[pH]`)."""
    if not code or len(code) > _LONGEST or not code.isascii():
        return False
    try:
        _Reader(code, _named).whole()
    except (_Unknown, ZeroDivisionError, RecursionError):
        return False
    return True


class _Reader:
    """Reads a term; `atom` tells what a unit without exponent is."""

    def __init__(self, text: str, atom: Callable[[str], _Unit] | None = None) -> None:
        self._text = text
        self._at = 0
        self._atom = atom or _atom

    def whole(self) -> _Unit:
        found = self._term(0)
        if self._at < len(self._text):
            raise _Unknown
        return found

    def _term(self, depth: int) -> _Unit:
        if depth > _DEEPEST:
            raise _Unknown
        found = _ONE if self._text.startswith("/", self._at) else self._component(depth)
        while self._text[self._at : self._at + 1] in (".", "/"):
            sign = 1 if self._text[self._at] == "." else -1
            self._at += 1
            other = self._component(depth)
            found = other if found == _ONE and sign == 1 else found.times(other, sign)
        return found

    def _component(self, depth: int) -> _Unit:
        if self._text.startswith("(", self._at):
            self._at += 1
            found = self._term(depth + 1)
            if not self._text.startswith(")", self._at):
                raise _Unknown
            self._at += 1
        elif self._text.startswith("{", self._at):
            found = _ONE
        elif number := self._taken(_INTEGER):
            found = _Unit(Fraction(int(number)))
        else:
            symbol = self._taken(_SYMBOL)
            if not symbol:
                raise _Unknown
            found = self._atom(symbol).to(int(self._taken(_EXPONENT) or 1))
        self._taken(_ANNOTATION)
        return found

    def _taken(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._text, self._at)
        if found is None:
            return ""
        self._at = found.end()
        return found.group()


class _Row(NamedTuple):
    """A unit as the table has it; `scale` names the function of a special one."""

    unit: str
    value: str
    is_metric: bool
    is_special: bool = False
    scale: str = ""
    is_base: bool = False


@cache
def _table() -> tuple[dict[str, str], dict[str, _Row]]:
    """The prefixes and units of the official table."""
    root = Xml.fromstring(ucum_table())  # noqa: S314  our own file
    prefixes = {
        item.attrib["Code"]: item.find(f"{_NAMESPACE}value").attrib["value"]  # type: ignore[union-attr]
        for item in root.iter(f"{_NAMESPACE}prefix")
    }
    rows: dict[str, _Row] = {}
    for item in root.iter(f"{_NAMESPACE}base-unit"):
        rows[item.attrib["Code"]] = _Row("", "1", is_metric=True, is_base=True)
    for item in root.iter(f"{_NAMESPACE}unit"):
        value = item.find(f"{_NAMESPACE}value")
        assert value is not None
        function = value.find(f"{_NAMESPACE}function")
        rows[item.attrib["Code"]] = _Row(
            value.get("Unit", ""),
            value.get("value", "1"),
            is_metric=item.get("isMetric") == "yes",
            is_special=item.get("isSpecial") == "yes",
            scale="" if function is None else function.get("name", ""),
            is_base=item.get("isArbitrary") == "yes",
        )
    return prefixes, rows


def _atom(symbol: str) -> _Unit:
    """A unit with or without a prefix."""
    prefix, name = _parted(symbol)
    unit = _defined(name)
    return _Unit(unit.factor * prefix, unit.powers, unit.offset)


def _named(symbol: str) -> _Unit:
    """A unit of the table as a dimension of its own."""
    return _Unit(Fraction(1), ((_parted(symbol)[1], 1),))


def _parted(symbol: str) -> tuple[Fraction, str]:
    """The factor of the prefix, and the unit of the table."""
    prefixes, rows = _table()
    if symbol in rows:
        return Fraction(1), symbol
    for length in (2, 1):
        prefix, rest = symbol[:length], symbol[length:]
        if prefix in prefixes and rest in rows and rows[rest].is_metric:
            return Fraction(prefixes[prefix]), rest
    raise _Unknown


@cache
def _defined(symbol: str) -> _Unit:
    row = _table()[1][symbol]
    if row.is_base:
        return _Unit(Fraction(1), ((symbol, 1),))
    if row.is_special:
        if row.scale not in _SCALES:
            raise _Unknown
        factor, offset = _SCALES[row.scale]
        return _Unit(factor, (("K", 1),), offset)
    unit = _Reader(row.unit).whole()
    return _Unit(unit.factor * Fraction(row.value), unit.powers)
