"""What stores of concepts share: where a selection begins, and what a concept is made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

from fhirserver.definitions.value_set import Filter
from fhirserver.model.json import decode
from fhirserver.terminology.concept import Concept, SystemInfo
from fhirserver.terminology.condition import CONSTRAINT
from fhirserver.terminology.snomed.ecl import narrowest, read

LONGEST_VALUE: Final = 400
"""Characters of a property's value that are indexed."""

Way: TypeAlias = Literal["all", "below", "value"]

_CODES: Final = frozenset({"concept", "code"})


class Start(NamedTuple):
    """The concepts that a selection looks at, and the filters left to try on each.

    `way` is all, those below (or at) the code of `filter`, or those that have its value.
    """

    way: Way
    filter: Filter
    rest: Sequence[Filter]


def start_of(info: SystemInfo, filters: Sequence[Filter]) -> Start:
    """Where to begin, by the index of one of the filters."""
    for index, item in enumerate(filters):
        if item.property == CONSTRAINT and (focus := narrowest(read(item.value))):
            op = "is-a" if focus.operator != "<" else "descendent-of"
            return Start("below", Filter("concept", op, focus.code or ""), filters)
        if item.property in _CODES and item.op in ("is-a", "descendent-of"):
            return Start("below", item, (*filters[:index], *filters[index + 1 :]))
        if item.op == "=" and item.property in info.properties:
            return Start("value", item, filters)
    return Start("all", Filter("", "", ""), filters)


def stored_concept(code: str, display: str | None, data: bytes) -> Concept:
    """The concept of its stored element, which has the codes right above it as `parents`."""
    decoded = decode(data)
    parents = tuple(decoded.pop("parents", ()))
    shown = {} if display is None else {"display": display}
    return Concept(code, display, parents, {"code": code, **shown, **decoded})
