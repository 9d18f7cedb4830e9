"""What fields are selected of: an element or a resource, and what its fields lead to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from fhirserver.definitions.element import Child
from fhirserver.definitions.registry import Definitions
from fhirserver.errors import Invalid
from fhirserver.model.json import Json, Resource


class Element(NamedTuple):
    """`path` says where its children are defined; `resource` is the one that it is of.

    `type` is the name of its FHIR type.
    """

    value: Json
    type: str
    path: str
    resource: Resource

    @property
    def is_resource(self) -> bool:
        return self.value is self.resource


class Elements(NamedTuple):
    """What a field leads to. `many`: FHIR allows several."""

    items: list[Element]
    many: bool


def of_resource(resource: Resource) -> Element:
    """A whole resource."""
    type = resource["resourceType"]
    return Element(resource, type, type, resource)


def children(definitions: Definitions, element: Element, name: str) -> Elements:
    """The elements of a field: a property of FHIR's JSON, or a choice by its name (`value`).

    Raises `Invalid` for a field that the element's type does not have.
    """
    plain = name.removeprefix("_")
    known = definitions.children(element.path)
    if plain != name and plain in known:
        many = known[plain].element.max != 1
        return Elements(list(_listed(element, element.value.get(name), "Element", "Element")), many)
    child = known.get(name)
    if child is not None:
        return Elements(list(_elements(definitions, element, name, child)), child.element.max != 1)
    properties = definitions.choices(element.path).get(name)
    if properties is None:
        raise Invalid(f"{element.path} has no field '{name}'.")
    there = [item for item in properties if item in element.value]
    found = [
        item
        for property in there
        for item in _elements(definitions, element, property, known[property])
    ]
    return Elements(found, many=False)


def is_object(element: Element) -> bool:
    """Whether the element has fields of its own."""
    return isinstance(element.value, dict)


def _elements(
    definitions: Definitions, element: Element, name: str, child: Child
) -> Iterator[Element]:
    for found in _listed(element, element.value.get(name), child.type, child.path):
        value = found.value
        if isinstance(value, dict) and child.type == "Resource" and "resourceType" in value:
            yield of_resource(value)
        else:
            yield found


def _listed(element: Element, value: Json, type: str, path: str) -> Iterator[Element]:
    for item in value if isinstance(value, list) else (value,):
        if item is not None:
            yield Element(item, type, path, element.resource)
