"""The filters of a value set, tried on one concept.

https://hl7.org/fhir/R4/valueset-filter-operator.html. Two operators of R5 (`child-of`,
`descendent-leaf`) can be asked for by the extension that carries R5 elements in R4. Regular
expressions run in linear time, whatever the pattern (RE2); what that engine does not know
(look-around, back references) is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

from fhirserver.definitions.value_set import Filter
from fhirserver.errors import Unprocessable
from fhirserver.terminology.concept import STANDARD_PROPERTIES, Concept, text_of, value_of
from fhirserver.terminology.issue import invalid_value_set
from fhirserver.terminology.snomed import ecl
from fhirserver.terminology.snomed.ecl import SNOMED
from fhirserver.terminology.source import System

CONSTRAINT: Final = "constraint"
"""The filter of SNOMED CT that is an expression constraint."""

_CODE: Final = frozenset({"concept", "code"})
_LONGEST: Final = 1000


def meets(filter: Filter, concept: Concept, system: System) -> bool:
    """Whether a concept of that system meets the filter."""
    tests = _OF_CODES if filter.property in _CODE else _VALUES
    return tests[filter.op](filter, concept, system)


def check(filter: Filter, system: System, place: str) -> None:
    """Raises `Unprocessable` for a filter that cannot be answered.

    `place` is the FHIRPath of the filter.
    """
    if not filter.value:
        raise invalid_value_set(
            f"The system {system.info.url} filter with property = {filter.property}, "
            f"op = {filter.op} has no value",
            place,
            "UNABLE_TO_HANDLE_SYSTEM_FILTER_WITH_NO_VALUE",
        )
    known = filter.op in (_OF_CODES if filter.property in _CODE else _VALUES)
    defined = system.info.properties
    if not known or not (
        filter.property in STANDARD_PROPERTIES
        or filter.property in defined
        or not defined
        or (filter.property == CONSTRAINT and system.info.url == SNOMED)
    ):
        raise invalid_value_set(
            f"The filter {filter.property} {filter.op} is not supported for the code system "
            f"{system.info.url}",
            place,
        )
    if filter.op == "regex":
        check_pattern(filter.value)
    if filter.property == CONSTRAINT:
        ecl.read(filter.value)


def check_pattern(text: str) -> None:
    """Raises `Unprocessable` for a regular expression that cannot be used."""
    _pattern(text)


def _is_a(filter: Filter, concept: Concept, system: System) -> bool:
    return concept.code == filter.value or system.is_below(concept.code, filter.value)


def _descendent(filter: Filter, concept: Concept, system: System) -> bool:
    return system.is_below(concept.code, filter.value)


def _is_not_a(filter: Filter, concept: Concept, system: System) -> bool:
    return not _is_a(filter, concept, system)


def _generalizes(filter: Filter, concept: Concept, system: System) -> bool:
    return concept.code == filter.value or system.is_below(filter.value, concept.code)


def _child(filter: Filter, concept: Concept, system: System) -> bool:
    return filter.value in concept.parents


def _leaf(filter: Filter, concept: Concept, system: System) -> bool:
    return system.is_below(concept.code, filter.value) and not system.children(concept.code)


def _equals(filter: Filter, concept: Concept, system: System) -> bool:
    if filter.property == CONSTRAINT:
        return ecl.matches(ecl.read(filter.value), concept, system)
    if filter.property == "ancestor":
        return system.is_below(concept.code, filter.value)
    return filter.value in values(concept, filter.property, system)


def _in(filter: Filter, concept: Concept, system: System) -> bool:
    allowed = {item.strip() for item in filter.value.split(",")}
    return not allowed.isdisjoint(values(concept, filter.property, system))


def _not_in(filter: Filter, concept: Concept, system: System) -> bool:
    return not _in(filter, concept, system)


def _exists(filter: Filter, concept: Concept, system: System) -> bool:
    wanted = filter.value == "true"
    return bool(values(concept, filter.property, system)) is wanted


def _regex(filter: Filter, concept: Concept, system: System) -> bool:
    pattern = _pattern(filter.value)
    return any(pattern.fullmatch(text) for text in values(concept, filter.property, system))


_Test = Callable[[Filter, Concept, System], bool]
_VALUES: Final[Mapping[str, _Test]] = {
    "=": _equals,
    "in": _in,
    "not-in": _not_in,
    "exists": _exists,
    "regex": _regex,
}
_HIERARCHY: Final[Mapping[str, _Test]] = {
    "is-a": _is_a,
    "descendent-of": _descendent,
    "is-not-a": _is_not_a,
    "generalizes": _generalizes,
    "child-of": _child,
    "descendent-leaf": _leaf,
}
_OF_CODES: Final[Mapping[str, _Test]] = {**_VALUES, **_HIERARCHY}


def values(concept: Concept, property: str, system: System) -> list[str]:
    """The values of a property as filters compare them."""
    match property:
        case "concept" | "code":
            return [concept.code]
        case "display":
            return [] if concept.display is None else [concept.display]
        case "definition":
            given = concept.data.get("definition")
            return [] if given is None else [given]
        case "parent":
            return list(concept.parents)
        case "child":
            return list(system.children(concept.code))
        case "inactive":
            return [text_of(system.info.inactive(concept))]
    return [
        text_of(value_of(item))
        for item in concept.data.get("property", ())
        if item["code"] == property
    ]


@lru_cache(maxsize=256)
def _pattern(text: str) -> Any:
    import re2  # takes a while to load, and is seldom needed

    options = re2.Options()
    options.log_errors = False
    try:
        if len(text) > _LONGEST:
            raise re2.error("too long")
        return re2.compile(text, options)
    except re2.error as error:
        raise Unprocessable(
            f"The regular expression '{text[:80]}' of a filter cannot be used ({error}): write it "
            "without look-around and back references."
        ) from error
