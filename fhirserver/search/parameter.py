"""A search parameter as it stands on one type, and what a parameter type must tell.

https://hl7.org/fhir/R4/search.html#ptypes. Each module of `fhirserver.search.params` gives one
`ParameterType`: what elements contribute to the index, and what a query may ask.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeAlias

from fhirserver.definitions.element import Binding
from fhirserver.definitions.registry import Definitions
from fhirserver.definitions.search_parameter import SearchParameter
from fhirserver.search.codes import Codes
from fhirserver.search.entry import Simple
from fhirserver.search.expression import Comparator, Expression, Kind
from fhirserver.search.selection import Selection, selection
from fhirserver.terminology import Terminology


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What a query is understood with. `now` in microseconds since 1970, for approximate dates.

    `codes` are those that a store knows of; None where nobody asks one.
    """

    definitions: Definitions
    terminology: Terminology
    base_url: str = ""
    now: int = 0
    codes: Codes | None = None


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of one type. `code` is '' for a component of a composite.

    `elements` is what its expression selects; `targets` are the types its references may point
    to, () for any.
    """

    code: str
    kind: Kind
    definition: SearchParameter
    elements: Selection
    targets: tuple[str, ...] = ()
    components: tuple[Parameter, ...] = ()

    @property
    def types(self) -> frozenset[str]:
        """The FHIR types of what is selected."""
        return frozenset(item.type for item in self.elements)

    @property
    def bindings(self) -> tuple[Binding, ...]:
        """The bindings of selected elements of type `code`, whose system is implicit."""
        return tuple(item.binding for item in self.elements if item.type == "code" and item.binding)


Values: TypeAlias = tuple[str, ...]
"""The alternatives of one query value, still escaped."""

Lower: TypeAlias = Callable[[Parameter, str, Values, Knowledge], Expression]
"""From a parameter, a modifier ('' if none) and values to what they mean.

Raises `Unsupported` for what is not understood, `Invalid` for a value that does not fit.
"""

Convert: TypeAlias = Callable[[Any], Iterable[Simple]]
"""From the JSON value of an element to its entries; odd data gives none."""

ANY_TYPE = "[type]"
"""Stands for every resource type in a table of modifiers."""


@dataclass(frozen=True, slots=True)
class ParameterType:
    """Both sides of a parameter type.

    `convert` has a row for each FHIR type that gives entries; `derived` the same for each
    suffix under which further entries stand (`code:text`). `modifiers` has a row for each
    modifier, '' being none; `:missing` goes with all and is not among them.
    """

    convert: Mapping[str, Convert]
    modifiers: Mapping[str, Lower]
    derived: Mapping[str, Mapping[str, Convert]] = field(default_factory=dict)
    comparators: tuple[Comparator, ...] = ()


KINDS: tuple[Kind, ...] = (
    "token",
    "string",
    "date",
    "number",
    "quantity",
    "reference",
    "uri",
    "composite",
)


_SPECIAL: dict[str, Kind] = {"http://hl7.org/fhir/SearchParameter/Location-near": "position"}
"""The kinds of parameters that R4 calls special, as far as they are indexed."""


def kind_of(definition: SearchParameter) -> Kind | None:
    """The kind of entries that a parameter has; None if it cannot be searched by."""
    if not definition.expression:
        return None
    if definition.type in KINDS:
        return definition.type
    return _SPECIAL.get(definition.url)


_CROSSED = frozenset({"http://hl7.org/fhir/SearchParameter/DocumentReference-relationship"})
"""Composites of R4 whose two components name each other's definition."""


@lru_cache(maxsize=16_384)
def parameter(definitions: Definitions, type: str, code: str) -> Parameter | None:
    """The parameter of a type by its code; None if there is none that can be searched by."""
    found = definitions.search_parameters(type).get(code)
    kind = kind_of(found) if found else None
    if found is None or kind is None or not found.expression:
        return None
    elements = selection(definitions, type, found.expression)
    return Parameter(
        code,
        kind,
        found,
        elements,
        _targets(definitions, found, elements),
        tuple(
            part
            for index in range(len(found.components))
            if (part := _component(definitions, type, found, index, elements))
        ),
    )


def _component(
    definitions: Definitions, type: str, whole: SearchParameter, index: int, within: Selection
) -> Parameter | None:
    component = whole.components[index]
    named = whole.components[-1 - index] if whole.url in _CROSSED else component
    found = definitions.search_parameter(named.definition)
    if found is None or found.type not in KINDS:
        return None
    elements = tuple(
        dict.fromkeys(
            item
            for place in within
            for item in selection(definitions, type, component.expression, place.path)
        )
    )
    return Parameter("", found.type, found, elements, _targets(definitions, found, elements))


def _targets(
    definitions: Definitions, found: SearchParameter, elements: Selection
) -> tuple[str, ...]:
    only = {item.only for item in elements}
    if elements and None not in only:
        return tuple(sorted(name for name in only if name))
    if definitions.resource_types <= {*found.target} or "Resource" in found.target:
        return ()
    return found.target
