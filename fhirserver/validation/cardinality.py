"""How often an element may be there, and as what: a value or an array.

https://hl7.org/fhir/R4/json.html#repeat
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fhirserver.definitions.element import Child
from fhirserver.model.json import Json, Resource
from fhirserver.validation.finding import Check, Found, error, is_full, joined, refused, under
from fhirserver.validation.scope import NOWHERE, Scope

NULL: Final = "A null here needs a partner: a value, or an id or extension in '_…' beside it."
"""The text of a finding that the object withdraws if the partner is there."""


def many(check: Check, max: int | None) -> Check:
    """The check of an array whose items `check` takes."""

    def array(value: Json, scope: Scope = NOWHERE) -> Found:
        if not isinstance(value, list):
            return refused("structure", "an array", value)
        found: Found = None if value else [_EMPTY]
        for index, item in enumerate(value):
            bad = check(item, scope)
            if bad is not None:
                found = joined(found, under(f"[{index}]", bad))
                if is_full(found):
                    break
        return _count(found, len(value), max)

    return array


def many_primitive(check: Check, max: int | None) -> Check:
    """The check of an array of primitives or of their `_` partners, which may hold nulls."""

    def array(value: Json, scope: Scope = NOWHERE) -> Found:
        if not isinstance(value, list):
            return refused("structure", "an array", value)
        found: Found = None if value else [_EMPTY]
        for index, item in enumerate(value):
            bad = check(item, scope)
            if bad is not None:
                if item is None:
                    bad = [_NULL]
                found = joined(found, under(f"[{index}]", bad))
                if is_full(found):
                    break
        return _count(found, len(value), max)

    return array


def required(children: Mapping[str, Child]) -> Check | None:
    """The check that what must be there is there; None if nothing must.

    The place told is the object that lacks it: what is missing has none.
    """
    groups: dict[str, set[str]] = {}
    for name, child in children.items():
        if child.element.min:
            groups.setdefault(child.element.name, set()).update((name, f"_{name}"))
    if not groups:
        return None
    needed = tuple((name, frozenset(names)) for name, names in groups.items())

    def rule(value: Resource, scope: Scope = NOWHERE) -> Found:
        found: Found = None
        for name, names in needed:
            if name not in value and names.isdisjoint(value):
                text = f"The required element '{name}' is missing."
                found = joined(found, [error("required", text)])
        return found

    return rule


_EMPTY = error("structure", "An array is never empty: leave the element out.")
_NULL = error("structure", NULL)


def _count(found: Found, count: int, max: int | None) -> Found:
    if max is None or count <= max:
        return found
    return joined(found, [error("structure", f"Expected at most {max} items, found {count}.")])
