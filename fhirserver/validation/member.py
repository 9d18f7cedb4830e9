"""The values of one element of an object, however its JSON writes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from fhirserver.definitions.element import Child
from fhirserver.validation.finding import place


class Item(NamedTuple):
    """One value: `value` None for a primitive that has only what is beside it, `extra`.

    `place` is the FHIRPath step to it, `child` tells its type and where its content is defined.
    """

    place: str
    child: Child
    value: Any
    extra: Any

    @property
    def content(self) -> Any:
        """The object in which its own elements are."""
        return self.value if isinstance(self.value, dict) else self.extra


class Member:
    """An element by its properties, of which a choice has several."""

    def __init__(self, properties: Mapping[str, Child]) -> None:
        self._ways: Sequence[tuple[str, str, Child, str]] = [
            (name, f"_{name}", child, _step(child)) for name, child in properties.items()
        ]

    def items(self, value: Any) -> list[Item]:
        """The values in an object."""
        found: list[Item] = []
        for name, hidden, child, step in self._ways:
            if name in value or hidden in value:
                found.extend(_items(value.get(name), value.get(hidden), child, step))
        return found


def _step(child: Child) -> str:
    step = place(child.element.name)
    return f"{step}.ofType({child.type})" if child.element.choice else step


def _items(value: Any, extra: Any, child: Child, step: str) -> Iterator[Item]:
    if child.element.max == 1:
        yield Item(step, child, value, extra)
        return
    values = value if isinstance(value, list) else ()
    extras = extra if isinstance(extra, list) else ()
    for index in range(max(len(values), len(extras))):
        one = values[index] if index < len(values) else None
        beside = extras[index] if index < len(extras) else None
        yield Item(f"{step}[{index}]", child, one, beside)
