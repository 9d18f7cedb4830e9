"""https://hl7.org/fhirpath/N1/#filtering-and-projection"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cmp_to_key
from typing import Final

from fhirserver.fhirpath.context import Code, Frame, Key, bounded
from fhirserver.fhirpath.equality import Seen, compare_values
from fhirserver.fhirpath.errors import FhirPathExecutionError
from fhirserver.fhirpath.functions.function import Function, Kind, compiled_apart
from fhirserver.fhirpath.functions.scope import each
from fhirserver.fhirpath.logic import this
from fhirserver.fhirpath.node import Collection, system
from fhirserver.fhirpath.operators import EMPTY
from fhirserver.fhirpath.singletons import boolean, describe, single
from fhirserver.fhirpath.values import SystemValue

_MOST_ROUNDS: Final = 10_000


def _where(frame: Frame, items: Collection, criteria: Code) -> Collection:
    return [item for item, result in each(frame, items, criteria) if boolean(result) is True]


def _select(frame: Frame, items: Collection, projection: Code) -> Collection:
    found: Collection = []
    for _, result in each(frame, items, projection):
        found.extend(result)
        bounded(found)
    return found


def _repeat(frame: Frame, items: Collection, projection: Code) -> Collection:
    known = Seen()
    found: Collection = []
    waiting = items
    for _ in range(_MOST_ROUNDS):
        waiting = [item for item in _select(frame, waiting, projection) if known.add(item)]
        if not waiting:
            return found
        found.extend(waiting)
        bounded(found)
    raise FhirPathExecutionError("repeat() does not come to an end.")


def _repeat_all(frame: Frame, items: Collection, projection: Code) -> Collection:
    found: Collection = []
    waiting = items
    for _ in range(_MOST_ROUNDS):
        waiting = _select(frame, waiting, projection)
        if not waiting:
            return found
        found.extend(waiting)
        bounded(found)
    raise FhirPathExecutionError("repeatAll() does not come to an end: select children only.")


def _sort(frame: Frame, items: Collection, *keys: Key) -> Collection:
    wanted = keys or (Key(this, False),)
    found = [[_key(result) for _, result in each(frame, items, key.code)] for key in wanted]

    def compare(left: int, right: int) -> int:
        for key, values in zip(wanted, found, strict=True):
            order = _order(values[left], values[right])
            if order:
                return -order if key.descending else order
        return 0

    return [items[index] for index in sorted(range(len(items)), key=cmp_to_key(compare))]


def _key(items: Collection) -> SystemValue | None:
    item = single(items)
    if item is None:
        return None
    value = system(item)
    if value is None:
        raise FhirPathExecutionError(f"A {describe(item)} has no order.")
    return value


def _order(left: SystemValue | None, right: SystemValue | None) -> int:
    """The order of two keys: what is empty comes first."""
    if left is None or right is None:
        return (left is not None) - (right is not None)
    return compare_values(left, right) or 0


def _coalesce(frame: Frame, items: Collection, *codes: Code) -> Collection:
    for code in codes:
        found = code(frame)
        if found:
            return found
    return EMPTY


FUNCTIONS: Final[Mapping[str, Function]] = {
    "where": Function(_where, 1, 1, Kind.CODES, gives="same", gives_many=None),
    "select": Function(_select, 1, 1, Kind.CODES, gives="argument", gives_many=True),
    "repeat": Function(_repeat, 1, 1, Kind.CODES, gives_many=True, unordered=True),
    "repeatAll": Function(_repeat_all, 1, 1, Kind.CODES, gives_many=True, unordered=True),
    "ofType": Function(compiled_apart, 1, 1, Kind.TYPE),
    "sort": Function(_sort, 0, None, Kind.KEYS, gives="same", gives_many=None),
    "coalesce": Function(_coalesce, 1, None, Kind.CODES, gives_many=True),
}
