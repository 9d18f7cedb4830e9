"""UCUM as a code system: a grammar, so that its codes can be checked but not listed.

https://hl7.org/fhir/R4/valueset-ucum-units.html
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from fhirserver.definitions.value_set import Filter
from fhirserver.errors import TooCostly
from fhirserver.model.json import Resource
from fhirserver.terminology.concept import Concept, SystemInfo
from fhirserver.terminology.issue import issue
from fhirserver.terminology.ucum import canonical, is_unit
from fhirserver.terminology.words import Query

UCUM: Final = "http://unitsofmeasure.org"
_INFO: Final = SystemInfo(
    {
        "resourceType": "CodeSystem",
        "url": UCUM,
        "name": "UCUM",
        "title": "Unified Code for Units of Measure",
        "status": "active",
        "content": "complete",
        "caseSensitive": True,
        "compositional": True,
        "property": [{"code": "canonical", "type": "string"}],
    }
)


class UcumSystem:
    """A `fhirserver.terminology.source.System` over the units of UCUM."""

    info = _INFO
    is_complete = True

    def find(self, code: str) -> Concept | None:
        if not is_unit(code):
            return None
        unit = canonical(code)
        data: Resource = {"code": code, "display": code}
        if unit is not None:
            data["property"] = [{"code": "canonical", "valueString": unit.dimension}]
        return Concept(code, code, (), data)

    def is_below(self, code: str, ancestor: str) -> bool:
        return False

    def children(self, code: str) -> Sequence[str]:
        return ()

    def above(self, code: str) -> Sequence[str]:
        return ()

    def select(self, filters: Sequence[Filter]) -> Iterator[Concept]:
        raise _endless()

    def corrected(self, query: Query) -> Query:
        return query

    def search(self, query: Query, filters: Sequence[Filter]) -> Iterator[Concept]:
        raise _endless()

    def size(self) -> int | None:
        return None


def _endless() -> TooCostly:
    text = "The code system UCUM is a grammar with infinitely many codes: it cannot be expanded."
    return TooCostly(text, issues=[issue("error", "too-costly", "too-costly", text)])
