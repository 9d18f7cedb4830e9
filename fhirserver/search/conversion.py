"""How elements of a type are read as index entries, whatever selected them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fhirserver.fhirpath.shapes import Shape
from fhirserver.search.entry import Simple
from fhirserver.search.parameter import Convert


def nothing(value: Any) -> Iterable[Simple]:
    """Of elements that a kind of parameter cannot read."""
    return ()


def conversion(shape: Shape, table: Mapping[str, Convert]) -> Convert:
    """How elements of a shape give entries.

    Parameters that select an extension mean its value.
    """
    found = table.get(shape.name)
    if found is not None or shape.name != "Extension":
        return found or nothing

    def of_extension(value: Any) -> Iterable[Simple]:
        value, convert = _extension_value(value, table)
        return () if convert is None or value is None else convert(value)

    return of_extension


def _extension_value(value: Any, table: Mapping[str, Convert]) -> tuple[Any, Convert | None]:
    """The value of an extension: parameters that select the extension mean that."""
    if isinstance(value, dict):
        for name, found in value.items():
            if name.startswith("value"):
                type_ = name[5:]
                return found, table.get(type_) or table.get(type_[:1].lower() + type_[1:])
    return None, None
