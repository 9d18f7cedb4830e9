"""FHIRPath Patch on a resource.

https://hl7.org/fhir/R4/fhirpatch.html: add, insert, delete, replace and move, in the order of
the Parameters resource that holds them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from fhirserver.definitions.registry import Definitions
from fhirserver.errors import FhirError, Invalid, TooCostly, Unprocessable
from fhirserver.fhirpath.expression import Expression
from fhirserver.fhirpath.node import Located
from fhirserver.interactions.patch_value import Field, Slot, field_of, slot_of
from fhirserver.model.json import Json, Resource

MAX_OPERATIONS: Final = 1000
_LONGEST_PATH = 2000
_LAST_MEMBER = re.compile(r"(.+)\.([A-Za-z][A-Za-z0-9]*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Operation:
    """An operation: `parts` are those of its Parameters by name."""

    type: str
    path: str
    expression: Expression
    parts: Mapping[str, Resource]

    def name(self) -> str:
        """The name of the element to add."""
        found = self.parts.get("name", {}).get("valueString")
        if not isinstance(found, str):
            raise Invalid(f"'{self.type}' needs a part 'name' with a valueString.")
        return found

    def value(self) -> Resource:
        """The part that gives the value."""
        if "value" not in self.parts:
            raise Invalid(f"'{self.type}' needs a part 'value'.")
        return self.parts["value"]

    def number(self, name: str) -> int:
        """The valueInteger of a part."""
        found = self.parts.get(name, {}).get("valueInteger")
        if type(found) is not int or found < 0:
            raise Invalid(f"'{self.type}' needs a part '{name}' with a valueInteger from 0 up.")
        return found


class FhirPathPatch:
    """The operations of a Parameters resource, checked. Raises `Invalid` for what is none."""

    def __init__(self, document: Json, definitions: Definitions) -> None:
        if not isinstance(document, dict) or document.get("resourceType") != "Parameters":
            raise Invalid(
                "A patch is a list of JSON Patch operations (application/json-patch+json) or a "
                "Parameters resource with FHIRPath Patch operations."
            )
        given = document.get("parameter", [])
        if not isinstance(given, list):
            raise Invalid("Parameters.parameter is a list.", expression="Parameters.parameter")
        if len(given) > MAX_OPERATIONS:
            raise TooCostly(f"A patch may have {MAX_OPERATIONS} operations.")
        self._definitions = definitions
        self._operations = []
        for number, item in enumerate(given):
            try:
                self._operations.append(_operation(item))
            except FhirError as error:
                raise _within(error, number) from None

    def apply(self, document: Json) -> Json:
        """The patched resource; the given one is changed and not to be used again.

        Raises `Unprocessable` where a path does not lead to what its operation needs.
        """
        for number, operation in enumerate(self._operations):
            try:
                _OPERATIONS[operation.type](self._definitions, document, operation)
            except FhirError as error:
                raise _within(error, number) from None
        return document


def _operation(item: Json) -> _Operation:
    if not isinstance(item, dict) or item.get("name") != "operation":
        raise Invalid("Every parameter of a patch is named 'operation'.")
    given = item.get("part")
    parts: dict[str, Resource] = {}
    for part in given if isinstance(given, list) else ():
        name = part.get("name") if isinstance(part, dict) else None
        if not isinstance(name, str) or name in parts:
            raise Invalid("Every part of an operation has a name of its own.")
        parts[name] = part
    type = _text(parts.get("type", {}), "valueCode", "valueString")
    if type is None or type not in _OPERATIONS:
        raise Invalid(f"The part 'type' is one of {', '.join(_OPERATIONS)}.")
    path = _text(parts.get("path", {}), "valueString")
    if path is None or len(path) > _LONGEST_PATH:
        raise Invalid("The part 'path' is a FHIRPath expression as valueString.")
    operation = _Operation(type, path, Expression(path), parts)
    for needed in _NEEDED[type]:
        needed(operation)
    return operation


def _text(part: Resource, *names: str) -> str | None:
    return next((part[name] for name in names if isinstance(part.get(name), str)), None)


def _within(error: FhirError, number: int) -> FhirError:
    kind = Invalid if error.status == Invalid.status else Unprocessable
    return kind(
        f"Operation {number} of the patch: {error.text}",
        expression=f"Parameters.parameter[{number}]",
    )


# --- the five operations -------------------------------------------------------------------


def _add(definitions: Definitions, resource: Resource, operation: _Operation) -> None:
    node = _one(resource, operation)
    name, part = operation.name(), operation.value()
    if node.shape.is_primitive and node.extra is None:
        node = _extended(definitions, node)
    field = field_of(definitions, _content(node), _path(node), name, part)
    slots = field.read()
    others = definitions.choices(_path(node)).get(field.child.element.name, ())
    taken = slots or any(
        field_of(definitions, field.holder, _path(node), other).read() for other in others
    )
    if taken and not field.repeats:
        raise Unprocessable(f"'{operation.path}' has an element '{name}' already: replace it.")
    field.write([*slots, slot_of(definitions, field.child, part)])


def _insert(definitions: Definitions, resource: Resource, operation: _Operation) -> None:
    field = _list(definitions, resource, operation)
    slots, index = field.read(), operation.number("index")
    if index > len(slots):
        raise Unprocessable(f"'{operation.path}' has {len(slots)} items: {index} is beyond them.")
    slots.insert(index, slot_of(definitions, field.child, operation.value()))
    field.write(slots)


def _delete(definitions: Definitions, resource: Resource, operation: _Operation) -> None:
    nodes = operation.expression.locate(resource)
    if not nodes:
        return
    if len(nodes) > 1:
        raise Unprocessable(f"'{operation.path}' selects {len(nodes)} elements: delete one.")
    field = _field(definitions, nodes[0])
    slots = field.read()
    del slots[nodes[0].index or 0]
    field.write(slots)


def _replace(definitions: Definitions, resource: Resource, operation: _Operation) -> None:
    node = _one(resource, operation)
    part = operation.value()
    old = _field(definitions, node)
    new = field_of(definitions, old.holder, _path(node.parent), node.property, part)
    slot = slot_of(definitions, new.child, part)
    if new.name != old.name:
        old.write([])  # a choice of another type
        new.write([slot])
    else:
        slots = old.read()
        slots[node.index or 0] = slot
        old.write(slots)


def _move(definitions: Definitions, resource: Resource, operation: _Operation) -> None:
    field = _list(definitions, resource, operation)
    slots = field.read()
    source, destination = operation.number("source"), operation.number("destination")
    if max(source, destination) >= len(slots):
        raise Unprocessable(f"'{operation.path}' has {len(slots)} items: stay within them.")
    slots.insert(destination, slots.pop(source))
    field.write(slots)


_OPERATIONS: Final[Mapping[str, Callable[[Definitions, Resource, _Operation], None]]] = {
    "add": _add,
    "insert": _insert,
    "delete": _delete,
    "replace": _replace,
    "move": _move,
}
_NEEDED: Final[Mapping[str, tuple[Callable[[_Operation], object], ...]]] = {
    "add": (_Operation.name, _Operation.value),
    "insert": (_Operation.value, lambda operation: operation.number("index")),
    "delete": (),
    "replace": (_Operation.value,),
    "move": (
        lambda operation: operation.number("source"),
        lambda operation: operation.number("destination"),
    ),
}


# --- places --------------------------------------------------------------------------------


def _one(resource: Resource, operation: _Operation) -> Located:
    nodes = operation.expression.locate(resource)
    if len(nodes) != 1:
        found = f"{len(nodes)} elements" if nodes else "nothing"
        raise Unprocessable(f"'{operation.path}' selects {found}: it must select one element.")
    return nodes[0]


def _list(definitions: Definitions, resource: Resource, operation: _Operation) -> Field:
    """The list that a path selects, which may be empty if its last step is its name."""
    nodes = operation.expression.locate(resource)
    if nodes:
        field = _field(definitions, nodes[0])
        others = (_field(definitions, node) for node in nodes[1:])
        if any(item.holder is not field.holder or item.name != field.name for item in others):
            raise Unprocessable(f"'{operation.path}' selects more than one list.")
    else:
        last = _LAST_MEMBER.fullmatch(operation.path)
        holders = Expression(last[1]).locate(resource) if last else []
        if last is None or len(holders) != 1:
            raise Unprocessable(f"'{operation.path}' selects no list.")
        field = field_of(definitions, _content(holders[0]), _path(holders[0]), last[2])
    if not field.repeats:
        raise Unprocessable(f"'{operation.path}' is not a list.")
    return field


def _field(definitions: Definitions, node: Located) -> Field:
    """Where a node stands."""
    if node.parent is None:
        raise Unprocessable("A patch cannot replace the resource itself: update it instead.")
    return field_of(definitions, _content(node.parent), _path(node.parent), node.property)


def _content(node: Located) -> Resource:
    """The object that holds a node's children: a primitive's stands beside its value."""
    content = node.extra if node.shape.is_primitive else node.value
    if isinstance(content, dict):
        return content
    raise Unprocessable(f"'{node.path}' has no content to change.")


def _extended(definitions: Definitions, node: Located) -> Located:
    """The primitive with an object for its extensions beside its value."""
    field = _field(definitions, node)
    slots = field.read()
    slots[node.index or 0] = Slot(node.value, {})
    field.write(slots)
    extra = field.read()[node.index or 0].extra
    return Located(node.value, node.shape, extra, node.parent, node.property, node.index)


def _path(node: Located | None) -> str:
    """Where the children of a node are defined."""
    if node is None:
        return ""
    return "Element" if node.shape.is_primitive else node.shape.path
