"""https://hl7.org/fhirpath/N1/#aggregates"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fhirserver.fhirpath.context import Code, Frame, bounded
from fhirserver.fhirpath.functions.function import Function, Kind
from fhirserver.fhirpath.node import Collection
from fhirserver.fhirpath.operators import EMPTY


def _aggregate(
    frame: Frame, items: Collection, aggregator: Code, initial: Code | None = None
) -> Collection:
    frame.run.spend(len(items))
    inner = frame.inner()
    total = EMPTY if initial is None else initial(frame)
    for index, item in enumerate(items):
        inner.this = [item]
        inner.index = [index]
        inner.total = total
        total = bounded(aggregator(inner))
    return total


FUNCTIONS: Final[Mapping[str, Function]] = {
    "aggregate": Function(_aggregate, 1, 2, Kind.CODES, gives_many=True),
}
