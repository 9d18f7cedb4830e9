"""$lookup, $subsumes and $find-matches: what a code system tells of its concepts.

https://hl7.org/fhir/R4/codesystem-operation-lookup.html, codesystem-operation-subsumes.html,
codesystem-operation-find-matches.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Literal, TypeAlias

from fhirserver.errors import NotFound
from fhirserver.model.json import Json
from fhirserver.terminology.composition import Member
from fhirserver.terminology.concept import Concept, text_of, value_of
from fhirserver.terminology.display import display
from fhirserver.terminology.environment import Environment
from fhirserver.terminology.issue import issue
from fhirserver.terminology.source import System

Subsumption: TypeAlias = Literal["equivalent", "subsumes", "subsumed-by", "not-subsumed"]
Part: TypeAlias = Mapping[str, Any]

_USES = "http://terminology.hl7.org/CodeSystem/hl7TermMaintInfra"
_MATCHES = 100


def concept_of(system: System, code: str) -> Concept:
    """The concept of a code. Raises `NotFound`."""
    concept = system.find(code)
    if concept is None:
        text = f"Unknown code '{code}' in the CodeSystem '{system.info.url}'"
        if system.info.version is not None:
            text = f"{text} version '{system.info.version}'"
        raise NotFound(
            text, issues=[issue("error", "not-found", "invalid-code", text, "code", "Unknown_Code")]
        )
    return concept


def lookup(
    environment: Environment,
    system: System,
    code: str,
    properties: Sequence[str],
    languages: Sequence[str],
) -> list[Part]:
    """The out parameters of $lookup. Raises `NotFound` for an unknown code.

    Of `properties` none means the usual ones; `*` all.
    """
    info = system.info
    concept = environment.supplemented(system, concept_of(system, code))
    member = Member(info.url, info.version, concept.code, system, concept)
    out: list[Part] = [{"name": "name", "valueString": info.name}]
    if info.version is not None:
        out.append({"name": "version", "valueString": info.version})
    out.append({"name": "display", "valueString": display(member, languages) or concept.code})
    out.append({"name": "code", "valueCode": concept.code})
    out.append({"name": "system", "valueUri": info.url})
    out.append({"name": "abstract", "valueBoolean": info.abstract(concept)})
    if "definition" in concept.data:
        out.append({"name": "definition", "valueString": concept.data["definition"]})
    if not properties or "designation" in properties or "*" in properties:
        out += _designations(concept)
        if info.language and concept.display:
            out.append(_preferred(concept.display, info.language))
    out += _properties(system, concept, properties)
    out += [
        {"name": "used-supplement", "valueCanonical": item.info.canonical}
        for item in environment.supplements_of(system)
    ]
    return out


def _designations(concept: Concept) -> Iterator[Part]:
    for item in concept.designations:
        parts: list[Part] = []
        if "language" in item:
            parts.append({"name": "language", "valueCode": item["language"]})
        if "use" in item:
            parts.append({"name": "use", "valueCoding": item["use"]})
        parts.append({"name": "value", "valueString": item["value"]})
        if "source" in item:
            parts.append({"name": "source", "valueCanonical": item["source"]})
        yield {"name": "designation", "part": parts}


def _preferred(display: str, language: str) -> Part:
    """The display as the designation that it is."""
    parts = [
        {"name": "language", "valueCode": language},
        {"name": "use", "valueCoding": {"system": _USES, "code": "preferredForLanguage"}},
        {"name": "value", "valueString": display},
    ]
    return {"name": "designation", "part": parts}


def _properties(system: System, concept: Concept, wanted: Sequence[str]) -> Iterator[Part]:
    every = "*" in wanted
    if every or not wanted or "inactive" in wanted:
        yield _property("inactive", "valueBoolean", system.info.inactive(concept))
    hierarchy = {"parent": concept.parents, "child": system.children(concept.code)}
    for name, codes in hierarchy.items():
        for code in codes if every or name in wanted else ():
            found = system.find(code)
            yield _property(name, "valueCode", code, found.display if found else None)
    hidden = {"inactive", "parent", "child", "subsumedBy"}
    for item in concept.data.get("property", ()):
        code = item["code"]
        if code in hidden or not (every or code in wanted):
            continue
        kind = next((key for key in item if key.startswith("value")), None)
        if kind is not None:
            told = system.find(text_of(value_of(item))) if kind == "valueCode" else None
            yield _property(code, kind, item[kind], told.display if told else None)


def _property(code: str, kind: str, value: Json, description: str | None = None) -> Part:
    parts: list[Part] = [{"name": "code", "valueCode": code}, {"name": "value", kind: value}]
    if description is not None:
        parts.append({"name": "description", "valueString": description})
    return {"name": "property", "part": parts}


def subsumption(system: System, code_a: str, code_b: str) -> Subsumption:
    """How A relates to B in the hierarchy. Raises `NotFound` for an unknown code."""
    first, second = concept_of(system, code_a), concept_of(system, code_b)
    if first.code == second.code:
        return "equivalent"
    if system.is_below(second.code, first.code):
        return "subsumes"
    if system.is_below(first.code, second.code):
        return "subsumed-by"
    return "not-subsumed"


def find_matches(
    system: System, asked: Sequence[tuple[str, str]], *, exact: bool
) -> list[tuple[Concept, list[tuple[str, str]]]]:
    """The concepts with the properties (code, value as text), each with what it lacks of them.

    With `exact` a concept must have all; else those that have most come first.
    """
    wanted = [(code, _folded(value)) for code, value in asked]
    found = []
    for concept in system.select(()):
        lacking = [
            pair
            for pair, (code, value) in zip(asked, wanted, strict=True)
            if value not in map(_folded, _values(system, concept, code))
        ]
        if not lacking or (not exact and len(lacking) < len(asked)):
            found.append((concept, lacking))
    found.sort(key=lambda item: len(item[1]))
    return list(islice(found, _MATCHES))


def _values(system: System, concept: Concept, code: str) -> list[str]:
    if code in ("display", "designation"):
        return list(concept.terms())
    if code == "definition":
        return [concept.data.get("definition", "")]
    if code in ("parent", "ancestor"):
        return list(concept.parents if code == "parent" else system.above(concept.code))
    if code in ("concept", "code"):
        return [concept.code]
    return [text_of(value) for value in concept.values(code)]


def _folded(text: str) -> str:
    return text.casefold().strip()
