"""Type specifiers: what `is`, `as` and `ofType` ask.

https://hl7.org/fhirpath/N1/#types and https://hl7.org/fhir/R4/fhirpath.html#types. A name alone
is one of FHIR, else of FHIRPath's own; Quantity is both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from fhirserver.fhirpath.errors import FhirPathTypeError
from fhirserver.fhirpath.node import Item, Node
from fhirserver.fhirpath.paths import is_of
from fhirserver.fhirpath.shapes import Shapes
from fhirserver.fhirpath.syntax import TypeSpecifier
from fhirserver.fhirpath.values import SYSTEM_TYPE_NAMES, SYSTEM_TYPES

Test: TypeAlias = Callable[[Item], bool]


def known(shapes: Shapes, type_: TypeSpecifier) -> None:
    """Raises `FhirPathTypeError` if there is no such type."""
    if shapes.resolve_type(type_) is None:
        name = type_.name if type_.namespace is None else f"{type_.namespace}.{type_.name}"
        raise FhirPathTypeError(f"There is no type '{name}'.")


def is_test(shapes: Shapes, type_: TypeSpecifier) -> Test:
    """Whether an item is of a type or of one that specialises it."""
    return _test(shapes, type_, lambda item: type_.name in item.shape.line)


def as_test(shapes: Shapes, type_: TypeSpecifier) -> Test:
    """Whether `as` and `ofType` keep an item: primitives only of the very type."""
    return _test(shapes, type_, lambda item: is_of(item.shape, type_))


def _test(shapes: Shapes, type_: TypeSpecifier, of_node: Callable[[Node], bool]) -> Test:
    known(shapes, type_)
    may_be_fhir = type_.namespace != "System"
    may_be_system = type_.namespace != "FHIR" and type_.name in SYSTEM_TYPE_NAMES
    name = type_.name

    def test(item: Item) -> bool:
        if isinstance(item, Node):
            return may_be_fhir and of_node(item)
        return may_be_system and SYSTEM_TYPES[type(item)] == name

    return test
