"""What a collection holds: elements of a resource, and values of FHIRPath's own types."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, time
from typing import Any, TypeAlias

from fhirserver.fhirpath.errors import FhirPathExecutionError
from fhirserver.fhirpath.quantity import Quantity
from fhirserver.fhirpath.shapes import Element, Shape, scalar
from fhirserver.fhirpath.temporal import Date, DateTime, Time, of_python
from fhirserver.fhirpath.values import SYSTEM_TYPES, SystemValue
from fhirserver.model.json import Json


class Node:
    """An element: its JSON `value`, its `shape`, and what a primitive has beside its value.

    A primitive that has only extensions has `value` None; `extra` is the object of its
    underscore property.
    """

    __slots__ = ("extra", "shape", "value")

    def __init__(self, value: Any, shape: Shape, extra: Any = None) -> None:
        self.value = value
        self.shape = shape
        self.extra = extra

    @property
    def type(self) -> str:
        """The name of the FHIR type: `HumanName`, `code`; '' for JSON of no known type."""
        return self.shape.name

    @property
    def path(self) -> str:
        """The FHIRPath location; '' unless the node was found by `Expression.locate`."""
        return ""

    def __repr__(self) -> str:
        return f"Node({self.type}: {self.value!r})"


class Located(Node):
    """A node that knows where it is: the property and index in its parent."""

    __slots__ = ("index", "parent", "property")

    def __init__(
        self,
        value: Any,
        shape: Shape,
        extra: Any = None,
        parent: Located | None = None,
        property: str = "",
        index: int | None = None,
    ) -> None:
        super().__init__(value, shape, extra)
        self.parent = parent
        self.property = property
        self.index = index

    @property
    def path(self) -> str:
        if self.parent is None:
            return self.shape.name
        own = f"{self.parent.path}.{self.property}"
        return own if self.index is None else f"{own}[{self.index}]"


Item: TypeAlias = Node | SystemValue
Collection: TypeAlias = list[Item]
"""Never changed once made: a function that changes something makes a new list."""


def system(item: Item) -> SystemValue | None:
    """The value of FHIRPath's own types that an item is or stands for; None if there is none."""
    if isinstance(item, Node):
        convert = item.shape.convert
        if convert is None or item.value is None:
            return None
        return convert(item.value)
    return item


def plain(item: Item) -> Json:
    """The item as JSON: dates and times as FHIR writes them, quantities as FHIR's Quantity.

    A primitive without a value is the object that holds its extensions.
    """
    match item:
        case Node():
            return item.extra if item.value is None else item.value
        case Date() | DateTime() | Time():
            return str(item)
        case Quantity():
            return item.to_fhir()
        case _:
            return item


def type_of(item: Item) -> tuple[str, str]:
    """The namespace and name of an item's type."""
    if isinstance(item, Node):
        return ("FHIR", item.shape.name)
    return ("System", SYSTEM_TYPES[type(item)])


def wrap(value: Any, shape: Shape) -> Collection:
    """The items of a value without a definition: `shape` is the untyped one.

    Raises `FhirPathExecutionError` for what is neither JSON nor a date or time.
    """
    match value:
        case None:
            return []
        case list() | tuple():
            return [item for part in value for item in wrap(part, shape)]
        case dict():
            return [Node(value, shape.shapes.of_value(value))]
        case Date() | DateTime() | Time() | Quantity() | Node():
            return [value]
        case date() | time():
            return [of_python(value)]
    plain_value = scalar(value)
    if plain_value is None:
        raise FhirPathExecutionError(f"A {type(value).__name__} is not a value of FHIRPath.")
    return [plain_value]


def content(node: Node) -> Any:
    """The JSON object in which a node's members are: a primitive's are beside its value."""
    return node.extra if node.shape.is_primitive else node.value


def members(node: Node, name: str, element: Element) -> Iterator[Node]:
    """The nodes of one member, with their places if the node has one."""
    holder = content(node)
    if not isinstance(holder, dict):
        return
    for property_, extra_name, shape in element.alternatives:
        value = holder.get(property_)
        extra = holder.get(extra_name) if extra_name else None
        if value is None and extra is None:
            continue
        if isinstance(value, list) or (value is None and isinstance(extra, list)):
            yield from _repeated(node, name, value, extra, shape)
        else:
            yield _made(node, name, None, value, extra, shape)


def members_in_order(node: Node) -> Iterator[Node]:
    """The nodes of all members in the order of the JSON."""
    holder = content(node)
    if not isinstance(holder, dict):
        return
    by_property = node.shape.by_property
    done: set[str] = set()
    for key in holder:
        name = by_property.get(key)
        if name is not None and name not in done:
            done.add(name)
            yield from members(node, name, node.shape.members[name])


def _repeated(
    node: Node, name: str, values: Any, extras: Any, shape: Shape | None
) -> Iterator[Node]:
    values = values if isinstance(values, list) else []
    extras = extras if isinstance(extras, list) else []
    for index in range(max(len(values), len(extras))):
        value = values[index] if index < len(values) else None
        extra = extras[index] if index < len(extras) else None
        if value is not None or extra is not None:
            yield _made(node, name, index, value, extra, shape)


def _made(
    node: Node, name: str, index: int | None, value: Any, extra: Any, shape: Shape | None
) -> Node:
    made = node.shape.shapes.of_value(value) if shape is None else shape
    if isinstance(node, Located):
        return Located(value, made, extra, node, name, index)
    return Node(value, made, extra)
