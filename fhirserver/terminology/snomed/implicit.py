"""Value sets that are not written down but meant by their URL.

https://hl7.org/fhir/R4/snomedct.html#implicit: `?fhir_vs`, `?fhir_vs=isa/[id]`, `=refset`,
`=refset/[id]` and `=ecl/[expression]`; `[system]?fhir_vs` stands for all of any code system,
and https://hl7.org/fhir/R4/loinc.html for LOINC's `http://loinc.org/vs`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import unquote

from fhirserver.model.json import Resource
from fhirserver.terminology.snomed.ecl import SNOMED
from fhirserver.terminology.source import Source, System

LOINC: Final = "http://loinc.org"
_MARK: Final = "?fhir_vs"
_REFSETS: Final = "900000000000455006"


class Implicit:
    """A `fhirserver.terminology.source.Source` of value sets of systems that others have."""

    def __init__(self, others: Sequence[Source]) -> None:
        self._others = others

    def code_systems(self, url: str) -> Sequence[System]:
        return ()

    def supplements(self, url: str) -> Sequence[System]:
        return ()

    def concept_maps(self, url: str | None) -> Sequence[Resource]:
        return ()

    def value_sets(self, url: str) -> Sequence[Resource]:
        include = _loinc(url) or _marked(url)
        if include is None or not self._is_known(include["system"]):
            return ()
        return (
            {
                "resourceType": "ValueSet",
                "url": url,
                "status": "active",
                "compose": {"include": [include]},
            },
        )

    def _is_known(self, system: str) -> bool:
        return any(source.code_systems(system) for source in self._others)


def _loinc(url: str) -> Resource | None:
    if url == f"{LOINC}/vs":
        return {"system": LOINC}
    if url.startswith(f"{LOINC}/vs/"):
        code = url.removeprefix(f"{LOINC}/vs/")
        return {
            "system": LOINC,
            "filter": [{"property": "concept", "op": "is-a", "value": code}],
        }
    return None


def _marked(url: str) -> Resource | None:
    base, mark, rest = url.partition(_MARK)
    if not mark or (rest and not rest.startswith("=")):
        return None
    include: Resource = {"system": base}
    if base.startswith(f"{SNOMED}/"):  # an edition, perhaps in a version
        include = {"system": SNOMED, "version": base}
    kind, _, value = rest[1:].partition("/")
    if not rest:
        return include
    made = _filter(kind, unquote(value))
    if made is None or include["system"] != SNOMED:
        return None
    return include | {"filter": [made]}


def _filter(kind: str, value: str) -> Resource | None:
    match kind, value:
        case "isa", str() if value:
            return {"property": "concept", "op": "is-a", "value": value}
        case "refset", "":
            return {"property": "concept", "op": "descendent-of", "value": _REFSETS}
        case "refset", _:
            return {"property": "memberOf", "op": "=", "value": value}
        case "ecl", str() if value:
            return {"property": "constraint", "op": "=", "value": value}
    return None
