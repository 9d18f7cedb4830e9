"""https://hl7.org/fhirpath/N1/#existence"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fhirserver.fhirpath.context import Code, Frame
from fhirserver.fhirpath.equality import distinct, seen
from fhirserver.fhirpath.errors import FhirPathExecutionError
from fhirserver.fhirpath.functions.function import Function, Kind
from fhirserver.fhirpath.functions.scope import each
from fhirserver.fhirpath.node import Collection, system
from fhirserver.fhirpath.operators import EMPTY, FALSE, TRUE, answer
from fhirserver.fhirpath.singletons import boolean, describe


def _empty(frame: Frame, items: Collection) -> Collection:
    return FALSE if items else TRUE


def _exists(frame: Frame, items: Collection, criteria: Code | None = None) -> Collection:
    if criteria is None:
        return TRUE if items else FALSE
    found = any(boolean(result) is True for _, result in each(frame, items, criteria))
    return answer(found)


def _not(frame: Frame, items: Collection) -> Collection:
    value = boolean(items)
    return EMPTY if value is None else answer(not value)


def _all(frame: Frame, items: Collection, criteria: Code) -> Collection:
    found = all(boolean(result) is True for _, result in each(frame, items, criteria))
    return answer(found)


def _booleans(items: Collection) -> list[bool]:
    found: list[bool] = []
    for item in items:
        value = system(item)
        if not isinstance(value, bool):
            raise FhirPathExecutionError(f"Here should be Booleans only, not a {describe(item)}.")
        found.append(value)
    return found


def _all_true(frame: Frame, items: Collection) -> Collection:
    return answer(all(_booleans(items)))


def _any_true(frame: Frame, items: Collection) -> Collection:
    return answer(any(_booleans(items)))


def _all_false(frame: Frame, items: Collection) -> Collection:
    return answer(not any(_booleans(items)))


def _any_false(frame: Frame, items: Collection) -> Collection:
    return answer(not all(_booleans(items)))


def _subset_of(frame: Frame, items: Collection, other: Collection) -> Collection:
    known = seen(other)
    return answer(all(item in known for item in items))


def _superset_of(frame: Frame, items: Collection, other: Collection) -> Collection:
    return _subset_of(frame, other, items)


def _count(frame: Frame, items: Collection) -> Collection:
    return [len(items)]


def _distinct(frame: Frame, items: Collection) -> Collection:
    return distinct(items)


def _is_distinct(frame: Frame, items: Collection) -> Collection:
    return answer(len(distinct(items)) == len(items))


FUNCTIONS: Final[Mapping[str, Function]] = {
    "empty": Function(_empty, gives="Boolean"),
    "exists": Function(_exists, 0, 1, Kind.CODES, gives="Boolean"),
    "not": Function(_not, many=False, gives="Boolean"),
    "all": Function(_all, 1, 1, Kind.CODES, gives="Boolean"),
    "allTrue": Function(_all_true, takes="Boolean", gives="Boolean"),
    "anyTrue": Function(_any_true, takes="Boolean", gives="Boolean"),
    "allFalse": Function(_all_false, takes="Boolean", gives="Boolean"),
    "anyFalse": Function(_any_false, takes="Boolean", gives="Boolean"),
    "subsetOf": Function(_subset_of, 1, 1, gives="Boolean"),
    "supersetOf": Function(_superset_of, 1, 1, gives="Boolean"),
    "count": Function(_count, gives="Integer"),
    "distinct": Function(_distinct, gives="same", gives_many=None),
    "isDistinct": Function(_is_distinct, gives="Boolean"),
}
