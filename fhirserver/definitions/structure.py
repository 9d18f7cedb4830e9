"""Structures: resource types, data types, logical models, and profiles on them.

https://hl7.org/fhir/R4/structuredefinition.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fhirserver.definitions.element import Element, element, regex
from fhirserver.model.json import Resource

CORE = "http://hl7.org/fhir/StructureDefinition/"
"""What the canonical URL of a type of the standard begins with."""


@dataclass(frozen=True, slots=True)
class Context:
    """Where an extension may stand: `type` is element, extension or fhirpath.

    `Structure.context_invariants` are FHIRPath that has to hold there, with `%extension`.
    """

    type: str
    expression: str


@dataclass(frozen=True, slots=True)
class Structure:
    """One StructureDefinition.

    `type` is the type it defines or, for a profile (`derivation` is constraint), constrains.
    `base` is the type it specialises, for a profile the canonical URL of what it constrains;
    None for Element and Resource. `elements` are those of the snapshot (`is_snapshot`) or else
    of the differential, by element id, which for a type is the path. `regex` is a primitive's.
    """

    name: str
    url: str
    version: str | None
    kind: str
    type: str
    abstract: bool
    derivation: str | None
    base: str | None
    regex: str | None
    elements: Mapping[str, Element]
    is_snapshot: bool
    contexts: tuple[Context, ...]
    context_invariants: tuple[str, ...] = ()

    @property
    def is_profile(self) -> bool:
        return self.derivation == "constraint"

    @property
    def root(self) -> Element:
        """The element that stands for the whole."""
        return next(iter(self.elements.values()))


def structure(definition: Resource) -> Structure:
    """The record of a StructureDefinition."""
    derivation = definition.get("derivation")
    snapshot = definition.get("snapshot")
    stated = (snapshot or definition["differential"])["element"]
    name = definition["name"] if derivation == "constraint" else type_name(definition["type"])
    return Structure(
        name=name,
        url=definition["url"],
        version=definition.get("version"),
        kind=definition["kind"],
        type=type_name(definition["type"]),
        abstract=definition["abstract"],
        derivation=derivation,
        base=base_name(definition.get("baseDefinition"), derivation),
        regex=_regex(definition, stated),
        elements={item.id: item for item in map(element, stated)},
        is_snapshot=snapshot is not None,
        contexts=tuple(
            Context(item["type"], item["expression"]) for item in definition.get("context", ())
        ),
        context_invariants=tuple(definition.get("contextInvariant", ())),
    )


def type_name(url: str) -> str:
    """The name of a type: of a URL of the standard its last part, of another the URL."""
    return url.removeprefix(CORE)


def base_name(url: str | None, derivation: str | None) -> str | None:
    """The type that is specialised, or the URL of what is constrained."""
    if url is None or derivation == "constraint":
        return url
    return type_name(url)


def _regex(definition: Resource, elements: list[Resource]) -> str | None:
    if definition["kind"] != "primitive-type":
        return None
    value = f"{definition['type']}.value"
    return next((regex(item) for item in elements if item["path"] == value), None)
