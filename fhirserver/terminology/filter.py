"""The filters of a value set: conditions on the concepts of a code system.

https://hl7.org/fhir/R4/valueset-filter-operator.html
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

from fhirserver.definitions.code_system import CodeSystem, Concept
from fhirserver.definitions.value_set import Filter
from fhirserver.terminology.concept import text_of
from fhirserver.terminology.hierarchy import Hierarchy

Test: TypeAlias = Callable[[Concept], bool]

_CODE = frozenset({"concept", "code"})
"""The names by which a filter speaks of the code itself."""


def test(filter: Filter, system: CodeSystem, hierarchy: Hierarchy) -> Test | None:
    """Whether a concept meets a filter; None where the operator is not understood."""
    make = (_CODE_TESTS if filter.property in _CODE else _PROPERTY_TESTS).get(filter.op)
    return None if make is None else make(filter, system, hierarchy)


def _is_a(filter: Filter, system: CodeSystem, hierarchy: Hierarchy) -> Test:
    below = hierarchy.below(filter.value)
    return lambda concept: concept.code in below


def _descendent_of(filter: Filter, system: CodeSystem, hierarchy: Hierarchy) -> Test:
    below = hierarchy.below(filter.value) - {filter.value}
    return lambda concept: concept.code in below


def _is_not_a(filter: Filter, system: CodeSystem, hierarchy: Hierarchy) -> Test:
    below = hierarchy.below(filter.value)
    return lambda concept: concept.code not in below


def _generalizes(filter: Filter, system: CodeSystem, hierarchy: Hierarchy) -> Test:
    above = hierarchy.above(filter.value)
    return lambda concept: concept.code in above


def _equals(filter: Filter, system: CodeSystem, hierarchy: Hierarchy) -> Test:
    return lambda concept: filter.value in _values(concept, filter.property)


def _in(filter: Filter, system: CodeSystem, hierarchy: Hierarchy) -> Test:
    allowed = frozenset(item.strip() for item in filter.value.split(","))
    return lambda concept: not allowed.isdisjoint(_values(concept, filter.property))


def _not_in(filter: Filter, system: CodeSystem, hierarchy: Hierarchy) -> Test:
    refused = frozenset(item.strip() for item in filter.value.split(","))
    return lambda concept: refused.isdisjoint(_values(concept, filter.property))


def _exists(filter: Filter, system: CodeSystem, hierarchy: Hierarchy) -> Test:
    wanted = filter.value == "true"
    return lambda concept: bool(_values(concept, filter.property)) is wanted


def _regex(filter: Filter, system: CodeSystem, hierarchy: Hierarchy) -> Test | None:
    try:
        pattern = re.compile(filter.value)
    except re.error:
        return None
    return lambda concept: any(
        pattern.fullmatch(value) for value in _values(concept, filter.property)
    )


def _values(concept: Concept, property: str) -> tuple[str, ...]:
    if property in _CODE:
        return (concept.code,)
    if property == "display":
        return () if concept.display is None else (concept.display,)
    if property == "parent":
        return concept.parents
    return tuple(text_of(value) for value in concept.properties.get(property, ()))


_PROPERTY_TESTS: dict[str, Callable[[Filter, CodeSystem, Hierarchy], Test | None]] = {
    "=": _equals,
    "in": _in,
    "not-in": _not_in,
    "exists": _exists,
    "regex": _regex,
}

_CODE_TESTS = _PROPERTY_TESTS | {
    "is-a": _is_a,
    "descendent-of": _descendent_of,
    "is-not-a": _is_not_a,
    "generalizes": _generalizes,
}
