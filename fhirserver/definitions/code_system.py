"""Code systems: concepts and their hierarchy.

https://hl7.org/fhir/R4/codesystem.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from fhirserver.model.json import Json, Resource


@dataclass(frozen=True, slots=True)
class Concept:
    """One code; `parents` are the codes right above it, `properties` values by code."""

    code: str
    display: str | None
    parents: tuple[str, ...]
    properties: Mapping[str, tuple[Json, ...]]

    @property
    def abstract(self) -> bool:
        """Whether it only groups others and must not be used in data (`notSelectable`)."""
        return True in self.properties.get("notSelectable", ())


@dataclass(frozen=True, slots=True)
class CodeSystem:
    """One CodeSystem with its concepts by code, in the order of the definition.

    `content` is complete only where all concepts are here.
    """

    url: str
    version: str | None
    content: str
    case_sensitive: bool
    supplements: str | None
    concepts: Mapping[str, Concept]

    @property
    def is_complete(self) -> bool:
        return self.content == "complete"


def code_system(definition: Resource) -> CodeSystem:
    """The record of a CodeSystem."""
    parents: dict[str, list[str]] = {}
    stated: dict[str, Resource] = {}
    for concept, parent in _walk(definition.get("concept", ())):
        code: str = concept["code"]
        stated.setdefault(code, concept)
        above = parents.setdefault(code, [])
        if parent is not None:
            above.append(parent)
        for name, values in _properties(concept).items():
            if name in ("parent", "subsumedBy"):
                above.extend(values)
            elif name == "child":
                for value in values:
                    parents.setdefault(value, []).append(code)
    return CodeSystem(
        url=definition["url"],
        version=definition.get("version"),
        content=definition["content"],
        case_sensitive=definition.get("caseSensitive", True),
        supplements=definition.get("supplements"),
        concepts={
            code: Concept(
                code,
                concept.get("display"),
                tuple(dict.fromkeys(parents[code])),
                _properties(concept),
            )
            for code, concept in stated.items()
        },
    )


def _walk(concepts: list[Resource]) -> Iterator[tuple[Resource, str | None]]:
    stack: list[tuple[Resource, str | None]] = [(item, None) for item in reversed(concepts)]
    while stack:
        concept, parent = stack.pop()
        yield concept, parent
        stack.extend((item, concept["code"]) for item in reversed(concept.get("concept", ())))


def _properties(concept: Resource) -> dict[str, tuple[Json, ...]]:
    found: dict[str, tuple[Json, ...]] = {}
    for item in concept.get("property", ()):
        value = next(value for name, value in item.items() if name.startswith("value"))
        found[item["code"]] = (*found.get(item["code"], ()), value)
    return found
