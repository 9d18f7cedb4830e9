"""$expand: the concepts of a value set, as the caller wants to see them.

https://hl7.org/fhir/R4/valueset-operation-expand.html. Elements of R5 (the properties of a
concept) travel in the extensions that R5 defines for them in R4.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from fhirserver.errors import TooCostly
from fhirserver.model.json import Json, Resource
from fhirserver.terminology.composition import Composition, Member
from fhirserver.terminology.contains import Style, entry, properties_used
from fhirserver.terminology.environment import Environment
from fhirserver.terminology.issue import issue
from fhirserver.terminology.words import CANDIDATES, Query, rank

SUPPLEMENT: Final = "http://hl7.org/fhir/StructureDefinition/valueset-supplement"
_UNCLOSED: Final = "http://hl7.org/fhir/StructureDefinition/valueset-unclosed"
_REASON: Final = "http://hl7.org/fhir/StructureDefinition/valueset-unclosed-reason"

_TEXT: Final = frozenset({"text", "expansion"})
_HEAD: Final = frozenset(
    {"resourceType", "id", "meta", "implicitRules", "language", "contained", "extension", "url"}
    | {"identifier", "version", "name", "title", "status", "experimental", "date", "publisher"}
)
"""What is told of a value set where its definition is not asked for."""

PROPERTY: Final = (
    "http://hl7.org/fhir/5.0/StructureDefinition/extension-ValueSet.expansion.property"
)


@dataclass(frozen=True, slots=True)
class Wish:
    """What the caller asked for. `echo` are the parameters as they are told back.

    `excluded` are code systems whose codes are left out, as (URL, version or None for any).
    `limit`: a value set with more concepts is too costly, unless pages of it are asked for.
    """

    text: str | None = None
    offset: int = 0
    count: int | None = None
    excluded: frozenset[tuple[str, str | None]] = frozenset()
    active_only: bool = False
    nested: bool = False
    definition: bool = False
    style: Style = field(default_factory=Style)
    echo: tuple[tuple[str, str, Json], ...] = ()
    limit: int = 10_000


def expand(environment: Environment, value_set: Resource, wish: Wish) -> Resource:
    """The value set with its expansion, but for its identifier and timestamp.

    Raises `TooCostly`, and what `Composition` and `Environment` raise.
    """
    composition = Composition(environment, value_set)
    environment.require_supplements(supplements(value_set), composition.systems())
    members, total = _page(composition, wish)
    versions = {member.url: set[str | None]() for member in members}
    for used in environment.used.code_systems:
        url, _, version = used.partition("|")
        versions.setdefault(url, set()).add(version)
    style = wish.style.for_versions({url for url, known in versions.items() if len(known) > 1})
    nested = wish.nested and wish.count is None and not wish.offset and not wish.text
    contains = _tree(members, style) if nested else [entry(item, style) for item in members]
    merges = [("versionsMatch", "valueBoolean", True)] if composition.merges else []
    expansion: Resource = {"parameter": _parameters(environment, wish, merges)}
    if not expansion["parameter"]:
        del expansion["parameter"]
    if total is not None:
        expansion["total"] = total
    if wish.offset or wish.count is not None:
        expansion["offset"] = wish.offset
    _mark(environment, expansion, properties_used(members, style, environment.supplements))
    if contains:
        expansion["contains"] = contains
    out = {
        name: value
        for name, value in value_set.items()
        if name not in _TEXT and (wish.definition or name in _HEAD)
    }
    return out | {"expansion": expansion}


def supplements(value_set: Resource) -> list[str]:
    """The supplements without which a value set must not be used."""
    return [
        item["valueCanonical"]
        for item in value_set.get("extension", ())
        if item.get("url") == SUPPLEMENT and "valueCanonical" in item
    ]


def _page(composition: Composition, wish: Wish) -> tuple[list[Member], int | None]:
    """The members to show, and how many there are where that is known."""
    found = _wanted(composition, wish)
    if wish.text:
        return _ranked(found, wish)
    if wish.count is None:
        members = list(islice(found, wish.limit + wish.offset + 1))
        if len(members) > wish.limit + wish.offset:
            raise _too_many(composition.value_set, wish.limit)
        return members[wish.offset :], len(members)
    shown = list(islice(found, wish.offset, wish.offset + wish.count))
    if wish.offset and not shown:
        return [], len(list(islice(_wanted(composition, wish), wish.limit)))
    rest = sum(1 for _ in islice(found, wish.limit))
    return shown, None if rest == wish.limit else wish.offset + len(shown) + rest


def _ranked(found: Iterator[Member], wish: Wish) -> tuple[list[Member], int | None]:
    query = Query.of(wish.text or "")
    assert query is not None
    members = list(islice(found, CANDIDATES))
    systems = {id(item.system): item.system for item in members if item.system is not None}
    meant = {key: system.corrected(query) for key, system in systems.items()}

    def place(item: Member) -> tuple[int, int, int, str]:
        if item.concept is None:
            return 9, 0, 0, item.code
        return rank(meant[id(item.system)], item.concept)

    ranked = sorted(members, key=place)
    end = None if wish.count is None else wish.offset + wish.count
    return ranked[wish.offset : end], None if len(members) == CANDIDATES else len(members)


def _wanted(composition: Composition, wish: Wish) -> Iterator[Member]:
    """Each code once; of one that several parts have, what the first says."""
    seen: set[tuple[str, str | None, str]] = set()
    query = Query.of(wish.text) if wish.text else None
    if wish.text and query is None:
        return
    for member in composition.members(query):
        if wish.excluded and not wish.excluded.isdisjoint(
            ((member.url, None), (member.url, member.version))
        ):
            continue
        key = (member.url, None if composition.merges else member.version, member.code)
        if key in seen or (wish.active_only and member.is_inactive):
            continue
        seen.add(key)
        yield member


def _tree(members: Sequence[Member], style: Style) -> list[Resource]:
    """The entries, each below the nearest above it that is in the expansion too."""
    entries = {(item.url, item.version, item.code): entry(item, style) for item in members}
    roots = []
    for member in members:
        own = entries[member.url, member.version, member.code]
        above: Sequence[str] = ()
        if member.system is not None and (member.listed is None):
            above = member.system.above(member.code)
        for code in above:
            parent = entries.get((member.url, member.version, code))
            if parent is not None:
                parent.setdefault("contains", []).append(own)
                break
        else:
            roots.append(own)
    return roots


def _parameters(
    environment: Environment, wish: Wish, more: Sequence[tuple[str, str, Json]]
) -> list[Resource]:
    told = [*wish.echo, *more]
    used = environment.used
    told += [(name, "valueUri", item) for name, item in sorted(used.rules)]
    for name, canonicals in (
        ("used-codesystem", used.code_systems),
        ("used-valueset", used.value_sets),
        ("used-supplement", used.supplements),
        ("used-fragment", used.fragments),
    ):
        told += [(name, "valueUri", item) for item in canonicals]
    return [{"name": name, kind: value} for name, kind, value in told]


def _mark(environment: Environment, expansion: Resource, properties: dict[str, str]) -> None:
    """Adds what extensions tell of the whole expansion."""
    marks: list[Resource] = []
    for used in environment.used.fragments:
        url = used.partition("|")[0]
        text = f"This extension is based on a fragment of the code system {url}"
        marks += [
            {"url": _UNCLOSED, "valueBoolean": True},
            {"url": _REASON, "valueString": text},
        ]
    marks += [
        {
            "url": PROPERTY,
            "extension": [{"url": "code", "valueCode": code}, {"url": "uri", "valueUri": uri}],
        }
        for code, uri in properties.items()
    ]
    if marks:
        expansion["extension"] = marks


def _too_many(value_set: Resource, limit: int) -> TooCostly:
    text = (
        f"The value set '{value_set.get('url', '(unidentified)')}' has more than {limit} concepts: "
        "ask for pages of it with count and offset, or for those with certain words with filter."
    )
    return TooCostly(
        text, issues=[issue("error", "too-costly", "too-costly", text, "", "VALUESET_TOO_COSTLY")]
    )
