"""https://hl7.org/fhirpath/N1/#combining"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fhirserver.fhirpath.context import Frame, bounded
from fhirserver.fhirpath.equality import distinct
from fhirserver.fhirpath.functions.function import Function
from fhirserver.fhirpath.node import Collection


def _union(frame: Frame, items: Collection, other: Collection) -> Collection:
    return bounded(distinct(items + other))


def _combine(
    frame: Frame, items: Collection, other: Collection, preserve_order: Collection | None = None
) -> Collection:
    return bounded(items + other)  # the order is always that of the input, then of the other


FUNCTIONS: Final[Mapping[str, Function]] = {
    "union": Function(_union, 1, 1, gives_many=True),
    "combine": Function(_combine, 1, 2, gives_many=True),
}
