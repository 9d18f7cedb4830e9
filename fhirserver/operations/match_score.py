"""How well two patients match, and why: the same data give the same score.

The weights are those of `match_weights`. Names are compared without regard to case, accents
and punctuation. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final, Literal, NamedTuple, TypeAlias

from fhirserver.model.json import Json, Resource
from fhirserver.operations.match_weights import ENOUGH, GRADES, WEIGHTS
from fhirserver.search.params.string import fold

Level: TypeAlias = Literal["agrees", "nearly", "differs"]

_CENTS = Decimal("0.0001")
_FULL_DATE = 10  # characters


class Score(NamedTuple):
    """From 0 to 1, its grade ('' for no match), and what was found of each property."""

    value: Decimal
    grade: str
    levels: Mapping[str, Level]

    @property
    def reason(self) -> str:
        """The score in words: which properties agree, and what each counts."""
        parts = [
            f"{name} {level} ({getattr(WEIGHTS[name], level):+})"
            for name, level in self.levels.items()
        ]
        return f"{self.value} {self.grade}: {', '.join(parts)}"


def score(wanted: Resource, candidate: Resource) -> Score:
    """How well a candidate matches the patient that is looked for."""
    levels: dict[str, Level] = {}
    possible = got = Decimal(0)
    for name, compare in _COMPARISONS.items():
        mine, theirs = _VALUES[name](wanted), _VALUES[name](candidate)
        if not mine:
            continue
        possible += WEIGHTS[name].agrees
        if theirs and (level := compare(mine, theirs)) is not None:
            levels[name] = level
            got += getattr(WEIGHTS[name], level)
    value = min(max(got / max(possible, ENOUGH), Decimal(0)), Decimal(1))
    value = value.quantize(_CENTS, ROUND_HALF_EVEN)
    grade = next((name for least, name in GRADES if value >= least), "")
    return Score(value, grade, levels)


# --- what is compared -----------------------------------------------------------------------


def _items(holder: Mapping[str, Json], name: str) -> list[Mapping[str, Json]]:
    found = holder.get(name)
    items = found if isinstance(found, list) else []
    return [item for item in items if isinstance(item, dict)]


def _identifiers(patient: Resource) -> frozenset[str]:
    return frozenset(
        f"{item.get('system', '')}|{item['value']}"
        for item in _items(patient, "identifier")
        if isinstance(item.get("value"), str)
    )


def _names(part: str) -> Callable[[Resource], frozenset[str]]:
    def of(patient: Resource) -> frozenset[str]:
        found: list[Json] = []
        for name in _items(patient, "name"):
            value = name.get(part)
            found += value if isinstance(value, list) else [value]
        return _folded(found)

    return of


def _telecoms(*systems: str) -> Callable[[Resource], frozenset[str]]:
    def of(patient: Resource) -> frozenset[str]:
        values = [
            item.get("value")
            for item in _items(patient, "telecom")
            if item.get("system") in systems
        ]
        return frozenset(
            "".join(char for char in value.casefold() if char.isalnum() or char == "@")
            for value in values
            if isinstance(value, str)
        )

    return of


def _text(name: str) -> Callable[[Resource], frozenset[str]]:
    def of(patient: Resource) -> frozenset[str]:
        value = patient.get(name)
        return frozenset((value,)) if isinstance(value, str) else frozenset()

    return of


def _postal_codes(patient: Resource) -> frozenset[str]:
    return _folded(item.get("postalCode") for item in _items(patient, "address"))


def _folded(values: Iterable[Json]) -> frozenset[str]:
    return frozenset(fold(value) for value in values if isinstance(value, str) and value)


_VALUES: Final[Mapping[str, Callable[[Resource], frozenset[str]]]] = {
    "identifier": _identifiers,
    "birthDate": _text("birthDate"),
    "family": _names("family"),
    "given": _names("given"),
    "phone": _telecoms("phone", "sms"),
    "email": _telecoms("email"),
    "gender": _text("gender"),
    "postalCode": _postal_codes,
}


# --- how it is compared ---------------------------------------------------------------------


def _same(mine: frozenset[str], theirs: frozenset[str]) -> Level | None:
    return "agrees" if mine & theirs else "differs"


def _same_system(mine: frozenset[str], theirs: frozenset[str]) -> Level | None:
    """Identifiers differ only where both have one of the same system."""
    if mine & theirs:
        return "agrees"
    systems = {item.partition("|")[0] for item in mine} & {
        item.partition("|")[0] for item in theirs
    }
    return "differs" if systems - {""} else None


def _alike(mine: frozenset[str], theirs: frozenset[str]) -> Level | None:
    """Names: nearly the same is one letter more, less or other, or an initial."""
    if mine & theirs:
        return "agrees"
    near = any(_is_near(one, other) for one in mine for other in theirs)
    return "nearly" if near else "differs"


def _is_near(one: str, other: str) -> bool:
    short, long = sorted((one, other), key=len)
    if len(short) == 1:
        return long.startswith(short)
    if len(long) - len(short) > 1:
        return False
    start = 0
    while start < len(short) and short[start] == long[start]:
        start += 1
    rest = start if len(long) > len(short) else start + 1
    return short[rest:] == long[start + 1 :]


def _dates(mine: frozenset[str], theirs: frozenset[str]) -> Level | None:
    (one,), (other,) = mine, theirs
    if one == other:
        return "agrees"
    if one.startswith(f"{other}-") or other.startswith(f"{one}-"):
        return "nearly"
    if len(one) == len(other) == _FULL_DATE:
        if sum(a != b for a, b in zip(one, other, strict=True)) == 1:
            return "nearly"
        year, month, day = one.split("-") if one.count("-") == 2 else ("", "", "")
        if other == f"{year}-{day}-{month}":
            return "nearly"
    return "differs"


_COMPARISONS: Final[Mapping[str, Callable[[frozenset[str], frozenset[str]], Level | None]]] = {
    "identifier": _same_system,
    "birthDate": _dates,
    "family": _alike,
    "given": _alike,
    "phone": _same,
    "email": _same,
    "gender": _same,
    "postalCode": _same,
}
