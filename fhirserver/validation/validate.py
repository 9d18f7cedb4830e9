"""Validation of a resource against the definitions of FHIR.

https://hl7.org/fhir/R4/validation.html. Pure: no server, store or network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from fhirserver.definitions.packaged import packaged
from fhirserver.definitions.registry import Definitions
from fhirserver.model.json import Json, Resource
from fhirserver.model.outcome import Issue
from fhirserver.validation.finding import Finding, Found, error, has_errors, joined, told, under
from fhirserver.validation.question import Question
from fhirserver.validation.scope import ALL_REJECT, NO_TYPES, Scope
from fhirserver.validation.snapshot import Snapshots
from fhirserver.validation.structure import Structures
from fhirserver.validation.vital_signs import vital_sign_profiles

_COMPILED: Final = "validation"


@dataclass(frozen=True, slots=True)
class Report:
    """What there is to tell of a resource, and what is to be asked before all is told."""

    issues: list[Issue]
    questions: list[Question]

    def closed(self, *, strict: bool = False) -> list[Issue]:
        """All issues, where nobody answers the questions.

        `strict` makes errors of unknown extensions, codes that their system has not, and markup.
        """
        rest = [question.unanswered(strict=strict) for question in self.questions]
        return told(self.issues + [issue for issue in rest if issue is not None])


def validate(
    resource: Json,
    profiles: Sequence[str] | None = None,
    definitions: Definitions | None = None,
) -> list[Issue]:
    """All findings about a resource, each with its place; none if all is well.

    It is held against the rules of R4, the profiles that it claims in `meta.profile`, and the
    given ones, as canonical URLs. `definitions` are those of R4 by default. What cannot be told
    without a server (unknown profiles, extensions) is told by a warning. Never raises.
    """
    return examine(resource, profiles or (), definitions).closed()


def examine(
    resource: Json,
    profiles: Sequence[str] = (),
    definitions: Definitions | None = None,
    modes: Mapping[str, str] = ALL_REJECT,
    *,
    advice: bool = True,
    asks_displays: bool = False,
    types: Mapping[str, str] = NO_TYPES,
) -> Report:
    """The same with the open questions apart, for a caller who can answer them.

    `modes` tells by canonical URL which profiles are not checked (off) or only warn. Without
    `advice` vital signs are not held against profiles that they do not claim, and displays not
    compared; `asks_displays` makes questions of those of systems that are not among the
    definitions. `types` are those of resources by the references that lead to them.
    """
    known = packaged() if definitions is None else definitions
    structures = compiled(known.standard)
    type_ = resource.get("resourceType") if isinstance(resource, dict) else None
    root = type_ if isinstance(type_, str) and type_ in known.resource_types else ""
    scope = Scope(resource if isinstance(resource, dict) else {}, modes=modes, types=types)
    scope.advice, scope.asks_displays = advice, asks_displays
    found = _found(structures, resource, profiles if root else (), scope)
    if advice and root == "Observation" and not has_errors(found):
        urls = [url for url in vital_sign_profiles(resource) if url not in profiles]
        found = _advised(structures, resource, urls, found)
    if found is None:
        return Report([], [])
    placed = _placed(root, found)
    issues = [item for item in placed if isinstance(item, Issue)]
    questions = [item for item in placed if not isinstance(item, Issue)]
    return Report(list(dict.fromkeys(issues)), list(dict.fromkeys(questions)))


def snapshot_of(definition: Resource, definitions: Definitions | None = None) -> list[Resource]:
    """The elements of the snapshot of a StructureDefinition that constrains another.

    Raises `Unusable` for one that is based on itself or on what is not known, or has wrong paths.
    """
    known = packaged() if definitions is None else definitions
    return Snapshots(compiled(known.standard).profiles.find).elements(definition)


def compiled(definitions: Definitions) -> Structures:
    """The checks of a registry, shared by all who validate against it.

    Those of a registry with more profiles are those of the one beneath, and the profiles.
    """
    found: Structures | None = definitions.kept.get(_COMPILED)
    if found is None:
        beneath = definitions.beneath
        found = Structures(definitions, None if beneath is None else compiled(beneath))
        definitions.kept[_COMPILED] = found
    return found


def _found(structures: Structures, resource: Json, profiles: Sequence[str], scope: Scope) -> Found:
    if not isinstance(resource, dict):
        return structures.resource(resource)
    try:
        found = structures.within(scope)
        if profiles and not _is_broken(found):
            for url in profiles:
                bad = structures.profiles.against(resource, url, scope)
                if bad is not None:
                    found = joined(found, bad)
    except RecursionError:
        return [error("too-costly", "The resource is nested too deeply to be checked.")]
    return found


def _advised(structures: Structures, resource: Resource, urls: list[str], found: Found) -> Found:
    scope = Scope(resource, modes=dict.fromkeys(urls, "warn"))
    scope.structures = structures
    scope.conforms = structures.profiles.conformance(scope)
    for url in urls:
        bad = structures.profiles.against(resource, url, scope)
        found = found if bad is None else joined(found, bad)
    return found


def _is_broken(found: Found) -> bool:
    """Whether the structure is not sound, so that a profile would stumble over it."""
    return found is not None and any(
        item.is_error and item.code == "structure" for item in found if isinstance(item, Issue)
    )


def _placed(root: str, found: list[Finding]) -> list[Finding]:
    placed = under(root, found)
    if not root:
        placed = [replace(item, expression=item.expression.lstrip(".")) for item in placed]
    return placed
