"""One entry of an expansion: what is told of a concept.

https://hl7.org/fhir/R4/valueset-definitions.html#ValueSet.expansion.contains. Order, label,
weight and status of a concept are extensions in a CodeSystem or ValueSet and properties in an
expansion, as R5 has it; what the value set says goes before what the code system says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from fhirserver.model.json import Json, Resource
from fhirserver.terminology.composition import Member
from fhirserver.terminology.concept import CONCEPT_PROPERTIES, value_of
from fhirserver.terminology.display import display, in_language
from fhirserver.terminology.source import System

PROPERTY: Final = (
    "http://hl7.org/fhir/5.0/StructureDefinition/extension-ValueSet.expansion.contains.property"
)
_DEFINITIONS: Final = "http://hl7.org/fhir/StructureDefinition/"

# Extensions that become properties: their code and the type of their value.
_AS_PROPERTY: Final[Mapping[str, tuple[str, str]]] = {
    f"{_DEFINITIONS}codesystem-conceptOrder": ("order", "valueDecimal"),
    f"{_DEFINITIONS}valueset-conceptOrder": ("order", "valueDecimal"),
    f"{_DEFINITIONS}codesystem-label": ("label", "valueString"),
    f"{_DEFINITIONS}valueset-label": ("label", "valueString"),
    f"{_DEFINITIONS}itemWeight": ("weight", "valueDecimal"),
    f"{_DEFINITIONS}structuredefinition-standards-status": ("status", "valueCode"),
}
_URIS: Final = {"weight": f"{CONCEPT_PROPERTIES}itemWeight"}

# Extensions that an entry carries on.
_KEPT: Final = frozenset(
    f"{_DEFINITIONS}{name}"
    for name in (
        "valueset-deprecated",
        "valueset-concept-definition",
        "rendering-style",
        "rendering-xhtml",
    )
)
_KEPT_OF_DESIGNATIONS: Final = frozenset(
    f"{_DEFINITIONS}{name}" for name in ("coding-sctdescid", "structuredefinition-standards-status")
)


@dataclass(frozen=True, slots=True)
class Style:
    """What is to be told beside code and name. `languages`: the dearest first."""

    languages: tuple[str, ...] = ()
    designations: bool = False
    designation_filters: tuple[str, ...] = ()
    properties: tuple[str, ...] = ()
    versioned: frozenset[str] = frozenset()

    def for_versions(self, urls: Iterable[str]) -> Style:
        """The style that tells the version of codes of those systems."""
        return replace(self, versioned=frozenset(urls))


def entry(member: Member, style: Style) -> Resource:
    """The entry of a code in `contains`."""
    out: Resource = {}
    marks = list(_extensions(member))
    properties = list(_properties(member, style))
    marks += [
        {
            "url": PROPERTY,
            "extension": [{"url": "code", "valueCode": code}, {"url": "value", kind: value}],
        }
        for code, kind, value in properties
    ]
    if marks:
        out["extension"] = marks
    out["system"] = member.url
    if member.is_abstract:
        out["abstract"] = True
    if member.is_inactive:
        out["inactive"] = True
    if member.url in style.versioned and member.version is not None:
        out["version"] = member.version
    out["code"] = member.code
    name = display(member, style.languages)
    if name:
        out["display"] = name
    if style.designations and (names := list(_designations(member, style))):
        out["designation"] = names
    return out


def properties_used(
    members: Iterable[Member], style: Style, supplements: Iterable[System]
) -> dict[str, str]:
    """The URI of each property that the entries of these members have, by its code."""
    found: dict[str, str] = {}
    for member in members:
        for code, _, _ in _properties(member, style):
            if code not in found:
                systems = (*([member.system] if member.system else ()), *supplements)
                uris = (system.info.property_uri(code) for system in systems)
                uri = next((item for item in uris if item), None)
                found[code] = _URIS.get(code) or uri or f"{CONCEPT_PROPERTIES}{code}"
    return found


def _data(member: Member) -> list[Resource]:
    """What the code system and then the value set say of the code."""
    own = [member.concept.data] if member.concept is not None else []
    return own if member.listed is None else [*own, member.listed]


def _extensions(member: Member) -> Iterator[Resource]:
    found = {
        item["url"]: item
        for data in _data(member)
        for item in data.get("extension", ())
        if item.get("url") in _KEPT
    }
    yield from found.values()


def _properties(member: Member, style: Style) -> Iterator[tuple[str, str, Json]]:
    from_extensions = {}
    for data in _data(member):
        for item in data.get("extension", ()):
            named = _AS_PROPERTY.get(item.get("url", ""))
            if named is not None:
                from_extensions[named[0]] = (*named, value_of(item))
    yield from from_extensions.values()
    concept = member.concept
    if concept is None:
        return
    if "definition" in style.properties and "definition" in concept.data:
        yield "definition", "valueString", concept.data["definition"]
    wanted = {*style.properties, "status"} - from_extensions.keys()
    for item in concept.data.get("property", ()):
        if item["code"] in wanted or "*" in style.properties:
            kind = next((name for name in item if name.startswith("value")), None)
            usual = item["code"] == "status" and "status" not in style.properties
            if kind is not None and not (usual and item[kind] == "active"):
                yield item["code"], kind, item[kind]


def _designations(member: Member, style: Style) -> Iterator[Resource]:
    for data in _data(member):
        for item in data.get("designation", ()):
            language = item.get("language")
            if (
                style.languages
                and language is not None
                and not any(in_language(language, wanted) for wanted in style.languages)
            ):
                continue
            if style.designation_filters and not _is_named(item, style.designation_filters):
                continue
            out = {name: item[name] for name in ("language", "use", "value") if name in item}
            marks = [
                mark
                for mark in item.get("extension", ())
                if mark.get("url") in _KEPT_OF_DESIGNATIONS
            ]
            yield ({"extension": marks} if marks else {}) | out


def _is_named(designation: Resource, filters: tuple[str, ...]) -> bool:
    """Whether a designation is one of those asked for: `system|code` of its use or language."""
    use = designation.get("use", {})
    names = {
        f"{use.get('system', '')}|{use.get('code', '')}",
        f"urn:ietf:bcp:47|{designation.get('language', '')}",
        designation.get("language", ""),
    }
    return not names.isdisjoint(filters)
