"""https://hl7.org/fhirpath/N1/#tree-navigation"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from fhirserver.fhirpath.context import Frame, bounded
from fhirserver.fhirpath.functions.function import Function
from fhirserver.fhirpath.node import Collection, Item, Node, content, members_in_order, wrap


def children(item: Item) -> Iterator[Item]:
    """The items directly below one, in the order of the JSON."""
    if not isinstance(item, Node):
        return
    if item.shape.is_typed:
        yield from members_in_order(item)
        return
    inside = content(item)
    if isinstance(inside, dict):
        for name, value in inside.items():
            if name != "resourceType":
                yield from wrap(value, item.shape)


def _children(frame: Frame, items: Collection) -> Collection:
    found: Collection = [child for item in items for child in children(item)]
    frame.run.spend(len(found))
    return bounded(found)


def _descendants(frame: Frame, items: Collection) -> Collection:
    found: Collection = []
    level = items
    while level:
        level = [child for item in level for child in children(item)]
        found.extend(level)
        frame.run.spend(len(level))
        bounded(found)
    return found


FUNCTIONS: Final[Mapping[str, Function]] = {
    "children": Function(_children, gives_many=True, unordered=True),
    "descendants": Function(_descendants, gives_many=True, unordered=True),
}
