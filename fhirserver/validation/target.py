"""References: they lead to a resource of a type that the element takes.

https://hl7.org/fhir/R4/references.html. The text of a reference mostly tells the type; else
the resource does, where it is contained or in the Bundle around; else the caller may know.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fhirserver.definitions.registry import Definitions
from fhirserver.definitions.structure import CORE
from fhirserver.model.reference import literal
from fhirserver.validation.finding import Check, Found, error
from fhirserver.validation.question import ReferenceQuestion, wrong_target
from fhirserver.validation.scope import NOWHERE, Scope


def target_types(profiles: Iterable[str], definitions: Definitions) -> frozenset[str] | None:
    """The resource types that some target profiles are about; None for any or unknown ones."""
    types = set()
    for url in profiles:
        known = definitions.structure(url)
        type = known.type if known is not None else url.removeprefix(CORE)
        if type not in definitions.resource_types:
            return None
        types.add(type)
    return frozenset(types) or None


def targets(types: frozenset[str]) -> Check:
    """The check that a reference leads to one of some types."""

    def check(value: Any, scope: Scope = NOWHERE) -> Found:
        reference = value.get("reference")
        if reference is None:
            return _by_type(value, types)
        if reference.partition("/")[0] in types:
            return None
        type = type_of(reference, scope)
        if type is None:
            type = value.get("type")
        if type is None:
            # Of a fragment that leads nowhere ref-1 tells.
            told = None if reference[:1] == "#" else scope.types.get(reference)
            if told is None or told in types:
                return None
            return [ReferenceQuestion("", told, types)]
        return None if type in types else [wrong_target(type, types)]

    return check


def type_of(reference: str, scope: Scope) -> str | None:
    """The type of the resource that a reference leads to, if it can be told here."""
    if reference[:1] not in "#u":
        parts = literal(reference)
        if parts is not None:
            return parts.type
        if "?" in reference:
            return reference.partition("?")[0].rpartition("/")[2]  # a conditional one
    target = scope.target(reference)
    type = None if target is None else target.get("resourceType")
    return type if isinstance(type, str) else None


def _by_type(value: Any, types: frozenset[str]) -> Found:
    type = value.get("type")
    if type is None or type in types:
        return None
    return [error("value", f"Expected {', '.join(sorted(types))}, found '{type}'.", ".type")]


def aggregated(ways: frozenset[str]) -> Check:
    """The check that a reference leads to its target in one of some ways.

    https://hl7.org/fhir/R4/valueset-resource-aggregation-mode.html. One that is bundled is
    referenced as well.
    """

    def check(value: Any, scope: Scope = NOWHERE) -> Found:
        reference = value.get("reference")
        if reference is None:
            return None
        if reference[:1] == "#":
            known = {"contained"}
        elif scope.target(reference) is not None:
            known = {"bundled", "referenced"}
        else:
            known = {"referenced"}
        if not ways.isdisjoint(known):
            return None
        wanted = " or ".join(sorted(ways))
        return [error("value", f"Expected a {wanted} target, found a {min(known)} one.")]

    return check


def versioned(versioning: str) -> Check:
    """The check that a reference names a version (`specific`) or none (`independent`).

    https://hl7.org/fhir/R4/valueset-reference-version-rules.html
    """
    wanted = versioning == "specific"

    def check(value: Any, scope: Scope = NOWHERE) -> Found:
        reference = value.get("reference")
        if reference is None or reference[:1] == "#" or ("/_history/" in reference) is wanted:
            return None
        text = "a version" if wanted else "no version"
        return [error("value", f"Expected a reference to {text}, found '{reference[:80]}'.")]

    return check
