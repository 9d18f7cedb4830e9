"""SNOMED CT, from a licensee's release in RF2 (snapshot files).

https://hl7.org/fhir/R4/snomedct.html. Parents are the active inferred is-a relationships; other
relationships are properties with the id of their type, memberships of simple reference sets
properties `memberOf`, so that expression constraints can ask for them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from fhirserver.terminology.concept import Concept
from fhirserver.vocabulary.table import Files
from fhirserver.vocabulary.vocabulary import Vocabulary, code_system

SYSTEM: Final = "http://snomed.info/sct"
INTERNATIONAL: Final = "900000000000207008"
_IS_A: Final = "116680003"
_FSN: Final = "900000000000003001"
_PREFERRED: Final = "900000000000548007"
_DEFINED: Final = "900000000000073002"
_PROPERTIES: Final = (
    ("inactive", "boolean", "Whether the concept is not active"),
    ("sufficientlyDefined", "boolean", "Whether its definition is sufficient"),
    ("moduleId", "code", "The module that it is part of"),
    ("effectiveTime", "string", "When it was last changed"),
    ("memberOf", "code", "A simple reference set that it is a member of"),
)


def snomed(path: Path, version: str, edition: str = INTERNATIONAL) -> Vocabulary:
    """The snapshot in a folder or .zip; `version` is the date of the release (20260101).

    Raises `NotReadable`.
    """
    files = Files(path)
    files.one("sct2_Concept_Snapshot_*.txt")
    system = code_system(
        "SNOMED_CT",
        SYSTEM,
        f"{SYSTEM}/{edition}/version/{version}",
        "SNOMED CT",
        [*_PROPERTIES, *((code, "code", "An attribute") for code in sorted(_attributes(files)))],
        publisher="SNOMED International",
        language="en",
        id=f"snomed-{edition}-{version}"[:64],
        copyright="SNOMED CT is copyright of SNOMED International, used under the licence of "
        "whoever imported it.",
    )
    return Vocabulary(system, _concepts(files))


def _concepts(files: Files) -> Iterator[Concept]:
    names = _names(files)
    parents, attributes = _relationships(files)
    sets = _memberships(files)
    name = files.one("sct2_Concept_Snapshot_*.txt")
    columns = ("id", "effectiveTime", "active", "moduleId", "definitionStatusId")
    for code, time, active, module, definition in files.rows(name, *columns, delimiter="\t"):
        properties: list[dict[str, Any]] = [
            {"code": "inactive", "valueBoolean": active != "1"},
            {"code": "sufficientlyDefined", "valueBoolean": definition == _DEFINED},
            {"code": "moduleId", "valueCode": module},
            {"code": "effectiveTime", "valueString": time},
        ]
        properties += (
            {"code": type, "valueCode": value} for type, value in attributes.get(code, ())
        )
        properties += ({"code": "memberOf", "valueCode": item} for item in sets.get(code, ()))
        data: dict[str, Any] = {"code": code, "property": properties}
        display, others = _chosen(names.get(code, []))
        if others:
            data["designation"] = others
        yield Concept(code, display, tuple(parents.get(code, ())), data)


def _chosen(names: list[tuple[bool, str, str, str]]) -> tuple[str | None, list[dict[str, Any]]]:
    """The preferred synonym in English, or the full name, and the other names."""
    ranked = sorted(names, key=lambda item: (item[2] != "en", item[1] == _FSN, not item[0]))
    display = ranked[0][3] if ranked else None
    others = [
        {"language": language, "use": {"system": SYSTEM, "code": type}, "value": term}
        for _, type, language, term in ranked
        if term != display or language != "en"
    ]
    return display, others


def _names(files: Files) -> dict[str, list[tuple[bool, str, str, str]]]:
    """For each concept its active names: whether preferred, type, language and text."""
    preferred = set()
    for name in files.find("der2_cRefset_Language*Snapshot*.txt"):
        wanted = ("active", "referencedComponentId", "acceptabilityId")
        for active, id, acceptability in files.rows(name, *wanted, delimiter="\t"):
            if active == "1" and acceptability == _PREFERRED:
                preferred.add(id)
    found: dict[str, list[tuple[bool, str, str, str]]] = defaultdict(list)
    for name in files.find("sct2_Description_Snapshot*.txt"):
        columns = ("id", "active", "conceptId", "languageCode", "typeId", "term")
        for id, active, code, language, type, term in files.rows(name, *columns, delimiter="\t"):
            if active == "1":
                found[code].append((id in preferred, type, language, term))
    return found


def _relationships(
    files: Files,
) -> tuple[dict[str, list[str]], dict[str, list[tuple[str, str]]]]:
    parents: dict[str, list[str]] = defaultdict(list)
    attributes: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for source, target, type in _active_relationships(files):
        if type == _IS_A:
            parents[source].append(target)
        else:
            attributes[source].append((type, target))
    return parents, attributes


def _attributes(files: Files) -> set[str]:
    return {type for _, _, type in _active_relationships(files) if type != _IS_A}


def _active_relationships(files: Files) -> Iterator[list[str]]:
    for name in files.find("sct2_Relationship_Snapshot*.txt"):
        columns = ("active", "sourceId", "destinationId", "typeId")
        for active, *rest in files.rows(name, *columns, delimiter="\t"):
            if active == "1":
                yield rest


def _memberships(files: Files) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for name in files.find("der2_Refset_*Snapshot*.txt"):
        columns = ("active", "refsetId", "referencedComponentId")
        for active, refset, code in files.rows(name, *columns, delimiter="\t"):
            if active == "1":
                found[code].append(refset)
    return found
