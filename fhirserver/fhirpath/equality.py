"""When items and collections are equal, equivalent, ordered.

https://hl7.org/fhirpath/N1/#equality and #comparison. Three-valued: None is unknown, which
becomes the empty collection.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from decimal import Decimal
from typing import Final

from fhirserver.fhirpath import decimals, quantity, temporal
from fhirserver.fhirpath.errors import FhirPathExecutionError, FhirPathLimitError
from fhirserver.fhirpath.node import Collection, Item, Node, content, members, system
from fhirserver.fhirpath.quantity import Quantity
from fhirserver.fhirpath.temporal import Date, DateTime, Time
from fhirserver.fhirpath.values import SYSTEM_TYPES, SystemValue


def equal(left: Collection, right: Collection) -> bool | None:
    """`left = right`"""
    if not left or not right:
        return None
    if len(left) != len(right):
        return False
    unknown = False
    for ours, theirs in zip(left, right, strict=True):
        same = equal_items(ours, theirs)
        if same is False:
            return False
        unknown = unknown or same is None
    return None if unknown else True


def equal_items(left: Item, right: Item) -> bool | None:
    """Whether two items are equal."""
    if isinstance(left, Node) and isinstance(right, Node):
        if left.shape is right.shape and left.extra is right.extra and left.value == right.value:
            return True
        if left.shape.convert is None or right.shape.convert is None:
            return _equal_nodes(left, right)
    ours, theirs = system(left), system(right)
    if ours is None or theirs is None:
        if isinstance(left, Node) and isinstance(right, Node):
            return _equal_nodes(left, right)
        return False
    return equal_values(ours, theirs)


def equal_values(left: SystemValue, right: SystemValue) -> bool | None:
    """Whether two values of FHIRPath's own types are equal; of different types they are not."""
    match left, right:
        case (bool(), _) | (_, bool()):
            return left is right
        case (int() | Decimal(), int() | Decimal()) | (str(), str()):
            return left == right
        case (Date() | DateTime() as ours, Date() | DateTime() as theirs):
            found = temporal.compare(ours, theirs)
            return None if found is None else found == 0
        case (Time() as ours, Time() as theirs):
            found = temporal.compare(ours, theirs)
            return None if found is None else found == 0
        case (Quantity() | int() | Decimal(), Quantity() | int() | Decimal()):
            found = quantity.compare(as_quantity(left), as_quantity(right))
            return None if found is None else found == 0
        case _:
            return False


def as_quantity(value: Quantity | int | Decimal) -> Quantity:
    """A number as a quantity of the unit 1."""
    return value if isinstance(value, Quantity) else Quantity(Decimal(value))


def _equal_nodes(left: Node, right: Node) -> bool | None:
    """Whether two elements have equal content, whatever types their names have."""
    if left.shape.is_primitive or right.shape.is_primitive:
        return _equal_primitives(left, right)
    if not left.shape.is_typed or not right.shape.is_typed:
        return bool(left.value == right.value)
    ours, theirs = left.value, right.value
    if not isinstance(ours, dict) or not isinstance(theirs, dict):
        return bool(ours == theirs)
    if ours.keys() != theirs.keys():
        return False
    # What differs as JSON may still be equal: 1.0 and 1.00, or one instant in two zones.
    unknown = False
    for name, element in left.shape.members.items():
        if any(ours.get(way.property) != theirs.get(way.property) for way in element.alternatives):
            other = right.shape.members.get(name)
            if other is None:
                return False
            same = equal([*members(left, name, element)], [*members(right, name, other)])
            if same is False:
                return False
            unknown = unknown or same is None
    return None if unknown else True


def _equal_primitives(left: Node, right: Node) -> bool | None:
    if not left.shape.is_primitive or not right.shape.is_primitive:
        return False
    ours, theirs = system(left), system(right)
    if ours is None or theirs is None:
        return bool(ours is theirs and left.extra == right.extra)
    return equal_values(ours, theirs)


def _content(node: Node) -> dict[str, Collection]:
    if not isinstance(content(node), dict):
        return {}
    found = {
        name: list[Item](members(node, name, element))
        for name, element in node.shape.members.items()
    }
    return {name: items for name, items in found.items() if items}


# --- equivalence ------------------------------------------------------------------------------


def equivalent(left: Collection, right: Collection) -> bool:
    """`left ~ right`: the same items in any order."""
    if len(left) != len(right):
        return False
    rest = list(right)
    for item in left:
        index = next((i for i, other in enumerate(rest) if equivalent_items(item, other)), None)
        if index is None:
            return False
        del rest[index]
    return True


def equivalent_items(left: Item, right: Item) -> bool:
    """Whether two items are equivalent."""
    ours, theirs = system(left), system(right)
    if ours is not None and theirs is not None:
        return equivalent_values(ours, theirs)
    if not isinstance(left, Node) or not isinstance(right, Node):
        return False
    if not left.shape.is_typed or not right.shape.is_typed or left.shape.is_primitive:
        return bool(left.value == right.value and left.extra == right.extra)
    ours_by_name, theirs_by_name = _content(left), _content(right)
    return ours_by_name.keys() == theirs_by_name.keys() and all(
        equivalent(items, theirs_by_name[name]) for name, items in ours_by_name.items()
    )


def equivalent_values(left: SystemValue, right: SystemValue) -> bool:
    """Whether two values of FHIRPath's own types are equivalent."""
    match left, right:
        case (bool(), _) | (_, bool()):
            return left is right
        case str(), str():
            return left == right or _folded(left) == _folded(right)
        case (int(), int()):
            return left == right
        case (int() | Decimal(), int() | Decimal()):
            return decimals.equivalent(Decimal(left), Decimal(right))
        case (Quantity() | int() | Decimal(), Quantity() | int() | Decimal()):
            return quantity.equivalent(as_quantity(left), as_quantity(right)) is True
        case _:
            return equal_values(left, right) is True


def _folded(text: str) -> str:
    """A text without the differences of case and of kinds of white space."""
    return "".join(" " if letter.isspace() else letter for letter in text.casefold())


# --- order ------------------------------------------------------------------------------------


def compare_values(left: SystemValue, right: SystemValue) -> int | None:
    """-1, 0 or 1 as `left` is less than, equal to or greater than `right`; None if unknown.

    Raises `FhirPathExecutionError` for values that have no order.
    """
    match left, right:
        case (bool(), _) | (_, bool()):
            pass
        case (str(), str()):
            return (left > right) - (left < right)
        case (int() | Decimal(), int() | Decimal()):
            return (left > right) - (left < right)
        case (Date() | DateTime() as ours, Date() | DateTime() as theirs):
            return temporal.compare(ours, theirs)
        case (Time() as ours, Time() as theirs):
            return temporal.compare(ours, theirs)
        case (Quantity() | int() | Decimal(), Quantity() | int() | Decimal()):
            return quantity.compare(as_quantity(left), as_quantity(right))
        case _:
            pass
    first, second = SYSTEM_TYPES[type(left)], SYSTEM_TYPES[type(right)]
    raise FhirPathExecutionError(f"A {first} and a {second} have no order: convert one of them.")


# --- sets -------------------------------------------------------------------------------------

_MOST_COMPLEX: Final = 10_000
"""So many elements are compared with each other at most."""


class Seen:
    """A growing set of items under `=`."""

    __slots__ = ("_complex", "_hashed", "_values")

    def __init__(self) -> None:
        self._hashed: set[Hashable] = set()
        self._values: list[SystemValue] = []
        self._complex: list[Node] = []

    def add(self, item: Item) -> bool:
        """Adds an item; False if it was there already."""
        value = system(item)
        if value is None:
            assert isinstance(item, Node)
            if any(equal_items(item, other) is True for other in self._complex):
                return False
            if len(self._complex) == _MOST_COMPLEX:
                raise FhirPathLimitError("There are too many elements to compare.")
            self._complex.append(item)
            return True
        if isinstance(value, Date | DateTime | Time | Quantity):
            if any(equal_values(value, other) is True for other in self._values):
                return False
            self._values.append(value)
            return True
        # Numbers are equal, and hash alike, whether Integer or Decimal; but true is not 1.
        key: Hashable = (value,) if isinstance(value, bool) else value
        if key in self._hashed:
            return False
        self._hashed.add(key)
        return True

    def __contains__(self, item: Item) -> bool:
        value = system(item)
        if value is None:
            return any(equal_items(item, other) is True for other in self._complex)
        if isinstance(value, Date | DateTime | Time | Quantity):
            return any(equal_values(value, other) is True for other in self._values)
        return ((value,) if isinstance(value, bool) else value) in self._hashed


def seen(items: Iterable[Item]) -> Seen:
    """The set of some items."""
    found = Seen()
    for item in items:
        found.add(item)
    return found


def distinct(items: Collection) -> Collection:
    """The items without repetition, in the order of their first appearance."""
    if len(items) < 2:
        return items
    known = Seen()
    return [item for item in items if known.add(item)]
