"""Validation of a resource against the definitions of FHIR.

https://hl7.org/fhir/R4/validation.html. Pure: no server, store or network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from fhirserver.definitions.packaged import packaged
from fhirserver.definitions.registry import Definitions
from fhirserver.model.json import Json
from fhirserver.model.outcome import Issue
from fhirserver.validation.finding import MOST, Found, error, under
from fhirserver.validation.profile import unchecked
from fhirserver.validation.structure import Structures


def validate(
    resource: Json,
    profiles: Sequence[str] | None = None,
    definitions: Definitions | None = None,
) -> list[Issue]:
    """All findings about a resource, each with its place; none if all is well.

    Told are: unknown elements, wrong JSON types, missing and repeated elements, malformed
    primitives, choices made twice, and the same of contained resources and Bundle entries.
    `profiles` that could not be checked are told by a warning. Never raises.
    """
    known = packaged() if definitions is None else definitions
    found = _found(compiled(known), resource)
    type_ = resource.get("resourceType") if isinstance(resource, dict) else None
    root = type_ if isinstance(type_, str) and type_ in known.resource_types else ""
    issues = [] if found is None else _told(root, found)
    if profiles:
        issues += unchecked(profiles, root, known)
    return issues


@lru_cache(maxsize=8)
def compiled(definitions: Definitions) -> Structures:
    """The checks of a registry, shared by all who validate against it."""
    return Structures(definitions)


def _found(structures: Structures, resource: Json) -> Found:
    try:
        return structures.resource(resource)
    except RecursionError:
        return [error("too-costly", "The resource is nested too deeply to be checked.")]


def _told(root: str, found: list[Issue]) -> list[Issue]:
    issues = under(root, found[:MOST])
    if not root:
        issues = [replace(issue, expression=issue.expression.lstrip(".")) for issue in issues]
    if len(found) > MOST:
        more = f"There are more findings: only the first {MOST} are told."
        issues.append(Issue("information", "informational", root, more))
    return issues
