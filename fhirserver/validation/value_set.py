"""Value sets: their filters can be answered by the code systems that they are about.

https://hl7.org/fhir/R4/valueset.html#compositions. What no version of a system can answer (a
boolean property that is neither true nor false, an expression of SNOMED CT that is none) is an
error; what only the definitions here do not know is a warning.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from fhirserver.definitions.registry import Definitions
from fhirserver.definitions.value_set import Filter
from fhirserver.errors import Unprocessable
from fhirserver.terminology.condition import CONSTRAINT, check, check_pattern
from fhirserver.terminology.packaged import Packaged
from fhirserver.terminology.snomed import ecl
from fhirserver.validation.finding import Check, Finding, Found, error, shown
from fhirserver.validation.question import Doubt
from fhirserver.validation.scope import NOWHERE, Scope

_HIERARCHY: Final = frozenset({"is-a", "descendent-of", "is-not-a", "generalizes"})
_BOOLEAN: Final = frozenset({"inactive", "notSelectable"})  # of every system
_CONCEPT = re.compile(r"(?<!\d)\d{6,18}(?!\d)")


def value_set(definitions: Definitions) -> Check:
    """The check of ValueSets against the code systems among the definitions."""
    source = Packaged(definitions)

    def check(value: Any, scope: Scope = NOWHERE) -> Found:
        found: list[Finding] = []
        for place, url, item in _filters(value):
            if "op" in item and "value" in item:
                filter = Filter(item.get("property", ""), item["op"], item["value"])
                found += _judged(filter, url, source, place)
        return found or None

    return check


def _filters(value: Any) -> Iterator[tuple[str, str, Any]]:
    for name in ("include", "exclude"):
        for index, part in enumerate(value.get("compose", {}).get(name, ())):
            for number, item in enumerate(part.get("filter", ())):
                place = f".compose.{name}[{index}].filter[{number}]"
                yield place, part.get("system", ""), item


def _judged(filter: Filter, url: str, source: Packaged, place: str) -> Iterator[Finding]:
    systems = source.code_systems(url)
    defined = systems[0].info.properties.get(filter.property, {}) if systems else {}
    is_boolean = defined.get("type") == "boolean" or filter.property in _BOOLEAN
    if is_boolean and filter.op == "=" and filter.value not in ("true", "false"):
        text = f"'{filter.property}' is true or false, but not {shown(filter.value)}."
        yield error("invalid", text, place)
    elif url == ecl.SNOMED:
        yield from _of_snomed(filter, place)
    elif systems:
        yield from _refused(lambda: check(filter, systems[0], place), place)
    elif filter.op == "regex":
        yield from _refused(lambda: check_pattern(filter.value), place)


def _of_snomed(filter: Filter, place: str) -> Iterator[Finding]:
    if filter.property == CONSTRAINT and filter.op == "=" and ecl.is_broken(filter.value):
        text = f"This is no expression constraint of SNOMED CT: {shown(filter.value)}."
        yield error("invalid", text, place)
    elif filter.op in _HIERARCHY and not _CONCEPT.search(filter.value):
        text = f"Expected the id of a concept of SNOMED CT, found {shown(filter.value)}."
        yield error("invalid", text, place)


def _refused(test: Callable[[], None], place: str) -> Iterator[Finding]:
    try:
        test()
    except Unprocessable as refusal:
        yield Doubt(place, "invalid", refusal.text)
