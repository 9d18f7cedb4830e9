"""Concepts of a code system, and what the system itself says about them.

https://hl7.org/fhir/R4/codesystem.html. A concept keeps its element of the CodeSystem as it
was sent, without the concepts below it; what is asked often stands beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, NamedTuple

from fhirserver.model.json import Json, Resource

CONCEPT_PROPERTIES: Final = "http://hl7.org/fhir/concept-properties#"
_INACTIVE_STATUS: Final = frozenset({"inactive", "retired"})
_STANDARDS_STATUS: Final = (
    "http://hl7.org/fhir/StructureDefinition/structuredefinition-standards-status"
)
_HIERARCHY: Final = frozenset({"parent", "subsumedBy"})

STANDARD_PROPERTIES: Final = frozenset(
    {"inactive", "deprecated", "deprecationDate", "retirementDate", "notSelectable", "parent"}
    | {"child", "partOf", "synonym", "comment", "itemWeight", "status", "code", "display"}
    | {"definition", "concept", "ancestor", "descendant", "order", "label", "subsumedBy"}
)
"""What may be asked of any code system (https://hl7.org/fhir/R4/codesystem.html#properties)."""


@dataclass(frozen=True, slots=True)
class Concept:
    """`parents` are the codes right above it, `data` its element of the CodeSystem."""

    code: str
    display: str | None
    parents: tuple[str, ...]
    data: Resource

    @property
    def designations(self) -> list[Resource]:
        found: list[Resource] = self.data.get("designation", [])
        return found

    def values(self, property: str) -> list[Json]:
        """The values of a property, as they stand in its `value[x]`."""
        return [
            value_of(item) for item in self.data.get("property", ()) if item["code"] == property
        ]

    def terms(self) -> Iterator[str]:
        """All names of the concept, the preferred one first."""
        if self.display:
            yield self.display
        for item in self.designations:
            yield item["value"]


def value_of(element: Mapping[str, Any]) -> Json:
    """The value of an element with a `value[x]`; None where there is none."""
    return next((value for name, value in element.items() if name.startswith("value")), None)


def text_of(value: Json) -> str:
    """A property's value as filters compare it: the code of a Coding, `true` and `false`."""
    match value:
        case bool():
            return "true" if value else "false"
        case {"code": code}:
            return str(code)
        case _:
            return str(value)


@dataclass(frozen=True)
class SystemInfo:
    """What a CodeSystem says beside its concepts; `resource` is it without them."""

    resource: Resource

    @cached_property
    def url(self) -> str:
        return str(self.resource.get("url", ""))

    @cached_property
    def version(self) -> str | None:
        return self.resource.get("version")

    @property
    def canonical(self) -> str:
        """`url|version`, or the URL alone."""
        return canonical(self.url, self.version)

    @property
    def name(self) -> str:
        """Its name; one made from the URL where it has none."""
        given = self.resource.get("name") or self.resource.get("title")
        return str(given or self.url.rpartition("/")[2])

    @property
    def content(self) -> str:
        return str(self.resource.get("content", "complete"))

    @property
    def language(self) -> str | None:
        return self.resource.get("language")

    @cached_property
    def case_sensitive(self) -> bool:
        return bool(self.resource.get("caseSensitive", True))

    @property
    def supplements(self) -> str | None:
        return self.resource.get("supplements") if self.content == "supplement" else None

    @cached_property
    def properties(self) -> Mapping[str, Resource]:
        """The properties that it defines, by code."""
        return {item["code"]: item for item in self.resource.get("property", ())}

    def property_uri(self, code: str) -> str | None:
        """The URI of a property: as defined, or of a standard one that was not redefined."""
        defined = self.properties.get(code)
        if defined is not None:
            return defined.get("uri")
        return f"{CONCEPT_PROPERTIES}{code}" if code in STANDARD_PROPERTIES else None

    @cached_property
    def _not_selectable(self) -> tuple[str, ...]:
        uri = f"{CONCEPT_PROPERTIES}notSelectable"
        named = [code for code, item in self.properties.items() if item.get("uri") == uri]
        return (*named, "notSelectable")

    def abstract(self, concept: Concept) -> bool:
        """Whether the concept only groups others."""
        return any(True in concept.values(code) for code in self._not_selectable)

    def inactive(self, concept: Concept) -> bool:
        """Whether the concept should be used no more."""
        stated = [value for value in concept.values("inactive") if isinstance(value, bool)]
        if stated:
            return any(stated)
        return any(value in _INACTIVE_STATUS for value in concept.values("status"))

    def status(self, concept: Concept) -> str | None:
        """The status of the concept, as its property or the standards status states it."""
        for value in concept.values("status"):
            return str(value)
        for item in concept.data.get("extension", ()):
            if item.get("url") == _STANDARDS_STATUS:
                return str(value_of(item))
        return None


class ConceptSet(NamedTuple):
    """A CodeSystem taken apart: what it says of itself, and its concepts in their order."""

    info: SystemInfo
    concepts: tuple[Concept, ...]


def canonical(url: str, version: str | None) -> str:
    """`url|version`; the URL alone without a version."""
    return url if version is None else f"{url}|{version}"


def split_canonical(text: str) -> tuple[str, str | None]:
    """The URL and the version of a canonical reference, without its fragment."""
    url, mark, version = text.partition("|")
    return url, version.partition("#")[0] if mark and version else None


def concept_set(code_system: Resource) -> ConceptSet:
    """The parts of a CodeSystem; of a code that is defined twice the first counts."""
    parents: dict[str, list[str]] = {}
    stated: dict[str, Resource] = {}
    for element, parent in _walk(code_system.get("concept", ())):
        code = element["code"]
        stated.setdefault(code, element)
        above = parents.setdefault(code, [])
        if parent is not None:
            above.append(parent)
        for item in element.get("property", ()):
            if item["code"] in _HIERARCHY:
                above.append(text_of(value_of(item)))
            elif item["code"] == "child":
                parents.setdefault(text_of(value_of(item)), []).append(code)
    info = {name: value for name, value in code_system.items() if name not in ("concept", "text")}
    concepts = (
        Concept(
            code,
            element.get("display"),
            tuple(dict.fromkeys(item for item in parents[code] if item in stated)),
            {name: value for name, value in element.items() if name != "concept"},
        )
        for code, element in stated.items()
    )
    return ConceptSet(SystemInfo(info), tuple(concepts))


def _walk(concepts: list[Resource]) -> Iterator[tuple[Resource, str | None]]:
    stack: list[tuple[Resource, str | None]] = [(item, None) for item in reversed(concepts)]
    while stack:
        element, parent = stack.pop()
        yield element, parent
        stack.extend((item, element["code"]) for item in reversed(element.get("concept", ())))
