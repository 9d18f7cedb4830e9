"""https://hl7.org/fhirpath/N1/#subsetting"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fhirserver.fhirpath.context import Frame
from fhirserver.fhirpath.equality import Seen, seen
from fhirserver.fhirpath.functions.function import Function
from fhirserver.fhirpath.node import Collection
from fhirserver.fhirpath.operators import EMPTY
from fhirserver.fhirpath.singletons import integer, single


def _single(frame: Frame, items: Collection) -> Collection:
    single(items)
    return items


def _first(frame: Frame, items: Collection) -> Collection:
    return items[:1]


def _last(frame: Frame, items: Collection) -> Collection:
    return items[-1:]


def _tail(frame: Frame, items: Collection) -> Collection:
    return items[1:]


def _skip(frame: Frame, items: Collection, count: Collection) -> Collection:
    number = integer(count)
    return EMPTY if number is None else items[max(0, number) :]


def _take(frame: Frame, items: Collection, count: Collection) -> Collection:
    number = integer(count)
    return EMPTY if number is None else items[: max(0, number)]


def _intersect(frame: Frame, items: Collection, other: Collection) -> Collection:
    theirs = seen(other)
    ours = Seen()
    return [item for item in items if item in theirs and ours.add(item)]


def _exclude(frame: Frame, items: Collection, other: Collection) -> Collection:
    theirs = seen(other)
    return [item for item in items if item not in theirs]


FUNCTIONS: Final[Mapping[str, Function]] = {
    "single": Function(_single, gives="same"),
    "first": Function(_first, gives="same", ordered=True),
    "last": Function(_last, gives="same", ordered=True),
    "tail": Function(_tail, gives="same", gives_many=None, ordered=True),
    "skip": Function(_skip, 1, 1, gives="same", gives_many=None, ordered=True),
    "take": Function(_take, 1, 1, gives="same", gives_many=None, ordered=True),
    "intersect": Function(_intersect, 1, 1, gives="same", gives_many=None),
    "exclude": Function(_exclude, 1, 1, gives="same", gives_many=None),
}
