"""What is known of a collection before anything is evaluated."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple, TypeAlias

from fhirserver.fhirpath.shapes import Shape

Type: TypeAlias = Shape | str
"""A type of FHIR, or the name of one of FHIRPath's own."""


class Static(NamedTuple):
    """`types` that the items may have, None if anything; `many` if there may be several.

    `ordered` is whether the order of the items means something.
    """

    types: frozenset[Type] | None
    many: bool = False
    ordered: bool = True

    @property
    def systems(self) -> frozenset[str] | None:
        """FHIRPath's own types that the items are or stand for; '' for complex ones."""
        return None if self.types is None else frozenset(map(system_of, self.types))


ANYTHING: Final = Static(None, many=True)
NOTHING: Final = Static(frozenset())


def system_of(type_: Type) -> str:
    """The type of FHIRPath's own that a type is or stands for; '' if none."""
    if isinstance(type_, str):
        return type_
    if type_.system:
        return type_.system
    return "Quantity" if type_.convert is not None else ""


def name_of(type_: Type) -> str:
    """A type as it is written."""
    if isinstance(type_, str):
        return f"System.{type_}"
    return type_.path or "any type"


def of(*types: Type, many: bool = False) -> Static:
    """A collection of items of the given types."""
    return Static(frozenset(types), many)


def either(parts: Iterable[Static]) -> Static:
    """What may be any of some collections."""
    found: set[Type] = set()
    many = False
    for part in parts:
        if part.types is None:
            return ANYTHING
        found |= part.types
        many = many or part.many
    return Static(frozenset(found), many)


# What may stand for what: https://hl7.org/fhirpath/N1/#conversion, implicit conversions.
_CONVERTS: Final = {
    "Decimal": frozenset({"Integer", "Decimal"}),
    "Quantity": frozenset({"Integer", "Decimal", "Quantity"}),
}


def fits(found: Static, wanted: str) -> bool:
    """Whether items may be what a function takes."""
    systems = found.systems
    if wanted == "any" or not systems:
        return True
    return not systems.isdisjoint(_CONVERTS.get(wanted, frozenset({wanted})))


_NUMBERS: Final = frozenset({"Integer", "Decimal"})
_AMOUNTS: Final = _NUMBERS | {"Quantity"}
_DAYS: Final = frozenset({"Date", "DateTime"})
_MOMENTS: Final = _DAYS | {"Time"}
_ORDERED: Final = (frozenset({"String"}), _AMOUNTS, _DAYS, frozenset({"Time"}))


def computed(operator: str, left: str, right: str) -> str | None:
    """The type that an operator gives for two of FHIRPath's own types; None if it takes none."""
    match operator:
        case "<" | "<=" | ">" | ">=":
            return "Boolean" if any({left, right} <= kind for kind in _ORDERED) else None
        case "&":
            return "String" if left == right == "String" else None
        case "+" | "-" if left in _MOMENTS:
            return left if right == "Quantity" else None
        case "+" if left == right == "String":
            return "String"
        case "div" | "mod":
            return _number(left, right) if {left, right} <= _NUMBERS else None
        case "/" if {left, right} <= _NUMBERS:
            return "Decimal"
        case "+" | "-" | "*" | "/":
            return _number(left, right) if {left, right} <= _AMOUNTS else None
        case _:
            return "Boolean"


def _number(left: str, right: str) -> str:
    if "Quantity" in (left, right):
        return "Quantity"
    return "Integer" if left == right == "Integer" else "Decimal"
