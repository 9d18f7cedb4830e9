"""Single values out of collections.

https://hl7.org/fhirpath/N1/#singleton-evaluation-of-collections. An empty collection is None,
and so is a primitive element without a value.
"""

from __future__ import annotations

from decimal import Decimal

from fhirserver.fhirpath.equality import as_quantity
from fhirserver.fhirpath.errors import FhirPathExecutionError
from fhirserver.fhirpath.node import Collection, Item, Node, system, type_of
from fhirserver.fhirpath.quantity import Quantity
from fhirserver.fhirpath.values import SystemValue


def single(items: Collection) -> Item | None:
    """The only item.

    Raises `FhirPathExecutionError` for several.
    """
    if len(items) > 1:
        raise FhirPathExecutionError(
            f"Here may be one item at most, not {len(items)}: select one, e.g. by first()."
        )
    return items[0] if items else None


def value(items: Collection) -> SystemValue | None:
    """The only item as a value of FHIRPath's own types; None for a complex element too."""
    item = single(items)
    return None if item is None else system(item)


def boolean(items: Collection) -> bool | None:
    """The only item as a Boolean: one that is no Boolean counts as true."""
    item = single(items)
    if item is None:
        return None
    found = system(item)
    return found if isinstance(found, bool) else True


def text(items: Collection) -> str | None:
    """The only item as a String."""
    item = single(items)
    if item is None:
        return None
    found = system(item)
    if isinstance(found, str):
        return found
    _reject(item, "String")
    return None


def integer(items: Collection) -> int | None:
    """The only item as an Integer."""
    item = single(items)
    if item is None:
        return None
    found = system(item)
    if isinstance(found, int) and not isinstance(found, bool):
        return found
    _reject(item, "Integer")
    return None


def number(items: Collection) -> int | Decimal | None:
    """The only item as an Integer or Decimal."""
    item = single(items)
    if item is None:
        return None
    found = system(item)
    if isinstance(found, int | Decimal) and not isinstance(found, bool):
        return found
    _reject(item, "number")
    return None


def amount(items: Collection) -> int | Decimal | Quantity | None:
    """The only item as a number or Quantity."""
    item = single(items)
    if item is None:
        return None
    found = system(item)
    if isinstance(found, int | Decimal | Quantity) and not isinstance(found, bool):
        return found
    _reject(item, "number or Quantity")
    return None


def quantity(items: Collection) -> Quantity | None:
    """The only item as a Quantity."""
    found = amount(items)
    return None if found is None else as_quantity(found)


def describe(item: Item) -> str:
    """An item's type in words."""
    namespace, name = type_of(item)
    return f"{namespace}.{name}" if name else "object of unknown type"


def _reject(item: Item, wanted: str) -> None:
    """Raises for an item of a wrong type; a primitive without a value is none, but empty."""
    if not isinstance(item, Node) or not item.shape.is_primitive or item.value is not None:
        raise FhirPathExecutionError(f"Here should be a {wanted}, not a {describe(item)}.")
