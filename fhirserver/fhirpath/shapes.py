"""The types of elements, as navigation needs them.

A `Shape` is a type of the definitions, or a backbone element, with its members by FHIRPath
name: `value` stands for `valueQuantity`, `valueString` and so on. Shapes are made on first
use and kept, one for each place in the definitions, so that they can be compared by identity.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cache, cached_property
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeAlias

from fhirserver.definitions.packaged import packaged
from fhirserver.definitions.registry import Definitions
from fhirserver.fhirpath.quantity import of_fhir
from fhirserver.fhirpath.syntax import TypeSpecifier
from fhirserver.fhirpath.temporal import parse_date, parse_date_time, parse_time
from fhirserver.fhirpath.values import SYSTEM_TYPE_NAMES, SystemValue

Convert: TypeAlias = Callable[[Any], SystemValue | None]
"""From the JSON value of an element to FHIRPath's own; None where there is none."""


class Alternative(NamedTuple):
    """A JSON property of a member; `shape` None: a resource, which tells its type itself.

    `extra` is the property that holds id and extensions of a primitive, else ''.
    """

    property: str
    extra: str
    shape: Shape | None


class Element(NamedTuple):
    """A member: a choice has several alternatives. `many` if it may repeat."""

    alternatives: tuple[Alternative, ...]
    many: bool


_NONE: Final[Mapping[str, Element]] = MappingProxyType({})


class Shape:
    """A type: `name` is that of FHIR (`BackboneElement`), `path` tells its place."""

    def __init__(self, shapes: Shapes, name: str, path: str) -> None:
        self.shapes = shapes
        self.name = name
        self.path = path
        self.system = _PRIMITIVES.get(name, "")
        self.convert = shapes.converter(name)

    def __repr__(self) -> str:
        return f"Shape({self.path})"

    @cached_property
    def line(self) -> tuple[str, ...]:
        """The name of the type and of those it specialises."""
        return self.shapes.definitions.bases(self.name)

    @cached_property
    def is_primitive(self) -> bool:
        return self.shapes.is_primitive(self.name)

    @cached_property
    def is_resource(self) -> bool:
        return "Resource" in self.line

    @cached_property
    def is_typed(self) -> bool:
        """Whether the definitions know the type; of others, members are what the JSON holds."""
        return bool(self.members)

    @cached_property
    def members(self) -> Mapping[str, Element]:
        """The members by FHIRPath name."""
        return self.shapes.members(self)

    @cached_property
    def by_property(self) -> Mapping[str, str]:
        """The FHIRPath name of each JSON property, with the underscore properties."""
        found: dict[str, str] = {}
        for name, element in self.members.items():
            for way in element.alternatives:
                found[way.property] = name
                if way.extra:
                    found[way.extra] = name
        return found


class Shapes:
    """All shapes over one registry of definitions."""

    def __init__(self, definitions: Definitions) -> None:
        self.definitions = definitions
        self._shapes: dict[tuple[str, str], Shape] = {}
        self.untyped = Shape(self, "", "")

    def of(self, name: str, path: str = "") -> Shape:
        """The shape of a type, or of the backbone element at `path` that has this type."""
        key = (name, path or name)
        found = self._shapes.get(key)
        if found is None:
            found = self._shapes[key] = Shape(self, *key)
        return found

    def of_value(self, value: Any) -> Shape:
        """The shape of a JSON object: of a resource its type, of another none."""
        name = value.get("resourceType") if isinstance(value, dict) else None
        if isinstance(name, str) and name in self.definitions.resource_types:
            return self.of(name)
        return self.untyped

    def is_primitive(self, name: str) -> bool:
        header = self.definitions.types.get(name)
        return header is not None and header.kind == "primitive-type"

    def converter(self, name: str) -> Convert | None:
        """How a type becomes one of FHIRPath's own; None for most complex types."""
        if name in _PRIMITIVES:
            return _CONVERTERS[_PRIMITIVES[name]]
        return _quantity if "Quantity" in self.definitions.bases(name) else None

    def members(self, shape: Shape) -> Mapping[str, Element]:
        if shape is self.untyped:
            return _NONE
        # A primitive has no definition of its content: it has that of Element.
        source = "Element" if shape.is_primitive else shape.path
        found: dict[str, list[Alternative]] = {}
        many: dict[str, bool] = {}
        for name, child in self.definitions.children(source).items():
            extra = f"_{name}" if self.is_primitive(child.type) else ""
            target = None if child.type in _ANY_RESOURCE else self.of(child.type, child.path)
            found.setdefault(child.element.name, []).append(Alternative(name, extra, target))
            many[child.element.name] = child.element.max != 1
        return {name: Element(tuple(ways), many[name]) for name, ways in found.items()}

    def resolve_type(self, type_: TypeSpecifier) -> tuple[str, str] | None:
        """The namespace (`FHIR`, `System`) and name that are meant; None if there is no such type.

        A name alone is one of FHIR first, as R4 says; `System.Patient` names nothing, but may
        be asked for.
        """
        if type_.namespace == "System":
            return ("System", type_.name)
        if type_.namespace in (None, "FHIR") and type_.name in self.definitions.types:
            return ("FHIR", type_.name)
        if type_.namespace is None and type_.name in SYSTEM_TYPE_NAMES:
            return ("System", type_.name)
        return None


@cache
def shapes() -> Shapes:
    """The shapes of FHIR R4."""
    return Shapes(packaged())


_ANY_RESOURCE = frozenset({"Resource", "DomainResource"})


def _string(value: Any) -> SystemValue | None:
    return value if isinstance(value, str) else _scalar(value)


def _scalar(value: Any) -> SystemValue | None:
    """A JSON value as it stands: what should be of another kind is compared as what it is."""
    if isinstance(value, float):
        return Decimal(str(value))
    return value if isinstance(value, str | bool | int | Decimal) else None


def _decimal(value: Any) -> SystemValue | None:
    if type(value) is int:
        return Decimal(value)
    return _scalar(value)


def _date(value: Any) -> SystemValue | None:
    return parse_date(value) or value if isinstance(value, str) else _scalar(value)


def _date_time(value: Any) -> SystemValue | None:
    return parse_date_time(value) or value if isinstance(value, str) else _scalar(value)


def _time(value: Any) -> SystemValue | None:
    return parse_time(value) or value if isinstance(value, str) else _scalar(value)


def _quantity(value: Any) -> SystemValue | None:
    return of_fhir(value) if isinstance(value, dict) else None


scalar: Final = _scalar
"""A value of untyped JSON."""

# https://hl7.org/fhir/R4/fhirpath.html#types
_PRIMITIVES: Final[Mapping[str, str]] = {
    "boolean": "Boolean",
    "string": "String",
    "uri": "String",
    "code": "String",
    "oid": "String",
    "id": "String",
    "uuid": "String",
    "url": "String",
    "canonical": "String",
    "markdown": "String",
    "base64Binary": "String",
    "xhtml": "String",
    "integer": "Integer",
    "unsignedInt": "Integer",
    "positiveInt": "Integer",
    "decimal": "Decimal",
    "date": "Date",
    "dateTime": "DateTime",
    "instant": "DateTime",
    "time": "Time",
}
_CONVERTERS: Final[Mapping[str, Convert]] = {
    "Boolean": _scalar,
    "String": _string,
    "Integer": _scalar,
    "Decimal": _decimal,
    "Date": _date,
    "DateTime": _date_time,
    "Time": _time,
}
