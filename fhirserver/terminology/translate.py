"""$translate: the codes that concept maps give for a code, in either direction.

https://hl7.org/fhir/R4/conceptmap-operation-translate.html
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from fhirserver.model.json import Resource
from fhirserver.terminology.concept import canonical, split_canonical

_NO_MATCH: Final = frozenset({"unmatched", "disjoint"})
_REVERSED: Final = {
    "wider": "narrower",
    "narrower": "wider",
    "subsumes": "specializes",
    "specializes": "subsumes",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What to translate: a code of `system`. Sets and the system of the target limit the maps."""

    system: str | None
    version: str | None
    code: str
    source: str | None = None
    target: str | None = None
    target_system: str | None = None
    reverse: bool = False


@dataclass(frozen=True, slots=True)
class Match:
    """A code found: `equivalence` reads from what was asked to it."""

    equivalence: str
    concept: Resource
    products: tuple[Resource, ...]
    map: str
    asked: Resource
    comment: str | None = None

    @property
    def is_match(self) -> bool:
        return self.equivalence not in _NO_MATCH


def translate(maps: Sequence[Resource], asked: Asked) -> list[Match]:
    """The matches of all maps that serve, without those given already."""
    found: dict[tuple[str, str, str, str], Match] = {}
    for item in maps:
        for match in _of_map(item, asked):
            concept = match.concept
            key = (concept.get("system", ""), concept.get("code", ""), match.equivalence, match.map)
            found.setdefault(key, match)
    return list(found.values())


def _of_map(concept_map: Resource, asked: Asked) -> Iterator[Match]:
    source = concept_map.get("sourceUri") or concept_map.get("sourceCanonical")
    target = concept_map.get("targetUri") or concept_map.get("targetCanonical")
    if asked.reverse:
        source, target = target, source
    if _differs(asked.source, source) or _differs(asked.target, target):
        return
    name = canonical(concept_map.get("url", ""), concept_map.get("version"))
    for group in concept_map.get("group", ()):
        yield from _backward(group, asked, name) if asked.reverse else _forward(group, asked, name)


def _forward(group: Resource, asked: Asked, name: str) -> Iterator[Match]:
    if _differs(asked.system, group.get("source")) or _differs(
        asked.target_system, group.get("target")
    ):
        return
    if asked.version and group.get("sourceVersion", asked.version) != asked.version:
        return
    for element in group.get("element", ()):
        if element.get("code") != asked.code:
            continue
        own = _coding(group, element, "source")
        for target in element.get("target", ()):
            yield _match(group, target, own, name)
        return
    yield from _unmapped(group, asked, name)


def _match(group: Resource, target: Resource, own: Resource, name: str) -> Match:
    products = tuple(
        {
            "name": "product",
            "part": [
                {"name": "element", "valueUri": item["property"]},
                {"name": "concept", "valueCoding": _product(item)},
            ],
        }
        for item in target.get("product", ())
    )
    return Match(
        target.get("equivalence", "relatedto"),
        _coding(group, target, "target"),
        products,
        name,
        own,
        target.get("comment"),
    )


def _product(item: Resource) -> Resource:
    out = {"code": item.get("value")}
    return ({"system": item["system"]} if "system" in item else {}) | out


def _backward(group: Resource, asked: Asked, name: str) -> Iterator[Match]:
    if _differs(asked.system, group.get("target")) or _differs(
        asked.target_system, group.get("source")
    ):
        return
    for element in group.get("element", ()):
        for target in element.get("target", ()):
            if target.get("code") == asked.code:
                equivalence = target.get("equivalence", "relatedto")
                own = _coding(group, target, "target")
                concept = _coding(group, element, "source")
                yield Match(_REVERSED.get(equivalence, equivalence), concept, (), name, own)


def _unmapped(group: Resource, asked: Asked, name: str) -> Iterator[Match]:
    """What the group says of codes that it does not name."""
    rule = group.get("unmapped", {})
    own = {"system": group.get("source", ""), "code": asked.code}
    if rule.get("mode") == "provided":
        concept = {"system": group.get("target", ""), "code": asked.code}
        yield Match("equivalent", concept, (), name, own)
    elif rule.get("mode") == "fixed":
        yield Match("inexact", _coding(group, rule, "target"), (), name, own)


def _coding(group: Resource, element: Resource, side: str) -> Resource:
    out: Resource = {}
    if side in group:
        out["system"] = group[side]
    if f"{side}Version" in group:
        out["version"] = group[f"{side}Version"]
    out["code"] = element.get("code")
    if element.get("display"):
        out["display"] = element["display"]
    return out


def _differs(asked: str | None, given: str | None) -> bool:
    return asked is not None and split_canonical(asked)[0] != split_canonical(given or "")[0]
