"""The values of one element of an object, however its JSON writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from fhirserver.definitions.element import Child
from fhirserver.validation.finding import place


class Item(NamedTuple):
    """One value: `value` None for a primitive that has only what is beside it, `extra`.

    `step` is the FHIRPath step to the element, `number` that of the value where it repeats;
    `child` tells its type and where its content is defined.
    """

    step: str
    number: int | None
    child: Child
    value: Any
    extra: Any

    @property
    def place(self) -> str:
        """The FHIRPath step to the value."""
        return self.step if self.number is None else f"{self.step}[{self.number}]"

    @property
    def content(self) -> Any:
        """The object in which its own elements are."""
        return self.value if isinstance(self.value, dict) else self.extra


_Way: TypeAlias = tuple[str, str, Child, str]  # a property, what is beside it, its type, the step


class Member:
    """An element by its properties, of which a choice has several."""

    def __init__(self, properties: Mapping[str, Child]) -> None:
        self._ways: dict[str, _Way] = {}
        for name, child in properties.items():
            way = (name, f"_{name}", child, _step(child))
            self._ways[name] = self._ways[f"_{name}"] = way
        self._only = way if len(properties) == 1 else None

    def items(self, value: Any) -> Sequence[Item]:
        """The values in an object."""
        if self._only is not None:
            name, hidden, child, step = self._only
            if name not in value and hidden not in value:
                return ()
            return _items(value.get(name), value.get(hidden), child, step)
        found: Sequence[Item] = ()
        for name in value:  # an object has few properties, a choice may have fifty
            way = self._ways.get(name)
            if way is not None and (name == way[0] or way[0] not in value):
                own, hidden, child, step = way
                found = [*found, *_items(value.get(own), value.get(hidden), child, step)]
        return found


def _step(child: Child) -> str:
    step = place(child.element.name)
    return f"{step}.ofType({child.type})" if child.element.choice else step


def _items(value: Any, extra: Any, child: Child, step: str) -> list[Item]:
    if child.element.max == 1:
        return [Item(step, None, child, value, extra)]
    values = value if isinstance(value, list) else ()
    if extra is None:
        return [Item(step, number, child, one, None) for number, one in enumerate(values)]
    extras = extra if isinstance(extra, list) else ()
    return [
        Item(
            step,
            number,
            child,
            values[number] if number < len(values) else None,
            extras[number] if number < len(extras) else None,
        )
        for number in range(max(len(values), len(extras)))
    ]
