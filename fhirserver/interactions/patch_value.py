"""Elements as FHIRPath Patch handles them: a value with its extensions, alone or in a list.

https://hl7.org/fhir/R4/json.html#primitive: the extensions of a primitive stand in a property
beside it, whose name begins with an underscore; in a list both are lists of equal length.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Final, NamedTuple

from fhirserver.definitions.element import Child
from fhirserver.definitions.registry import Definitions
from fhirserver.errors import Invalid, Unprocessable
from fhirserver.model.json import Json, Resource

_EMPTY: Final[tuple[Json, ...]] = ({}, [])


class Slot(NamedTuple):
    """One occurrence of an element: its JSON value, and the extras of a primitive."""

    value: Json
    extra: Json = None


class Field(NamedTuple):
    """The occurrences of an element, in the JSON property `name` of `holder`."""

    holder: Resource
    name: str
    child: Child

    @property
    def repeats(self) -> bool:
        return self.child.element.max != 1

    def read(self) -> list[Slot]:
        """What is there, in order."""
        value, extra = self.holder.get(self.name), self.holder.get(f"_{self.name}")
        if not self.repeats:
            return [] if value is None and extra is None else [Slot(value, extra)]
        values = value if isinstance(value, list) else []
        extras = extra if isinstance(extra, list) else []
        return [
            Slot(
                values[index] if index < len(values) else None,
                extras[index] if index < len(extras) else None,
            )
            for index in range(max(len(values), len(extras)))
        ]

    def write(self, slots: Sequence[Slot]) -> None:
        """Puts these in place of what is there."""
        values = [slot.value for slot in slots]
        extras = [slot.extra for slot in slots]
        for name, items in ((self.name, values), (f"_{self.name}", extras)):
            if all(item is None for item in items):
                self.holder.pop(name, None)
            else:
                self.holder[name] = items if self.repeats else items[0]


def field_of(
    definitions: Definitions, holder: Resource, path: str, name: str, part: Resource | None = None
) -> Field:
    """The element `name` of an object whose children are defined at `path`.

    Which property a choice (`value`) has is told by the type of the value that a `part` of
    the patch gives, or, without a part, by what the object has. Raises `Unprocessable` for an
    element that there is not.
    """
    children = definitions.children(path)
    if name in children:
        return Field(holder, name, children[name])
    ways = definitions.choices(path).get(name.removesuffix("[x]"), ())
    if not ways:
        raise Unprocessable(f"A {path} has no element '{name}'.")
    if part is None:
        here = [way for way in ways if way in holder or f"_{way}" in holder]
    else:
        base = children[ways[0]].element.name
        here = [way for way in ways if way == f"{base}{_type_suffix(part)}"]
    if not here:
        raise Unprocessable(f"The element '{name}' of a {path} cannot be of that type.")
    return Field(holder, here[0], children[here[0]])


def slot_of(definitions: Definitions, child: Child, part: Resource) -> Slot:
    """The value that a part of the patch gives; an object where it has parts itself.

    It is a copy, so that what happens to it does not change the patch. Raises `Invalid` for
    a part without a value.
    """
    nested = part.get("part")
    if isinstance(nested, list):
        return Slot(_object(definitions, child.path, nested))
    if "resource" in part:
        return Slot(deepcopy(part["resource"]))
    name = f"value{_type_suffix(part)}"
    return Slot(deepcopy(part.get(name)), deepcopy(part.get(f"_{name}")))


def without_empty(value: Json, is_extra: bool = False) -> Json:
    """The value without empty objects and arrays, and what these leave empty in turn.

    Among the extras of primitives (`_given`) a null keeps the place of an empty one.
    """
    if isinstance(value, dict):
        found = {name: without_empty(item, name[:1] == "_") for name, item in value.items()}
        return {name: item for name, item in found.items() if item not in _EMPTY}
    if isinstance(value, list):
        items = [without_empty(item) for item in value]
        if is_extra:
            items = [None if item in _EMPTY else item for item in items]
            return items if any(item is not None for item in items) else []
        return [item for item in items if item not in _EMPTY]
    return value


def _object(definitions: Definitions, path: str, parts: Sequence[Json]) -> Resource:
    out: Resource = {}
    for part in parts:
        if not isinstance(part, dict) or not isinstance(part.get("name"), str):
            raise Invalid("Every part of a value in the patch has a name.")
        field = field_of(definitions, out, path, part["name"], part)
        slots = field.read()
        if slots and not field.repeats:
            raise Unprocessable(f"The element '{field.name}' of a {path} can be given once.")
        field.write([*slots, slot_of(definitions, field.child, part)])
    return out


def _type_suffix(part: Resource) -> str:
    """`Quantity` of a part with a `valueQuantity`."""
    for name in part:
        bare = name.removeprefix("_")
        if bare.startswith("value") and bare[5:6].isupper():
            return bare[5:]
    raise Invalid(f"The part '{part.get('name')}' of the patch has no value.")
