"""Extensions: known, of the right kind, and where they may be.

https://hl7.org/fhir/R4/extensibility.html. What an extension holds is told by its profile.
An unknown one is a question, in the end a warning; so nobody's extension is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from fhirserver.definitions.registry import Definitions
from fhirserver.definitions.structure import Context, Structure
from fhirserver.validation.finding import Check, Finding, Found, always, error, joined
from fhirserver.validation.question import ExtensionQuestion, Standing
from fhirserver.validation.scope import NOWHERE, Scope
from fhirserver.validation.standing import is_one_of, places_of

# Where R4's own definitions and published guides use an extension, other than its context says.
_ALSO: Final = {
    # Guides state with it what is expected of formats, profiles, and alternatives of a parameter.
    "http://hl7.org/fhir/StructureDefinition/capabilitystatement-expectation": {
        "CapabilityStatement.instantiates",
        "CapabilityStatement.format",
        "CapabilityStatement.patchFormat",
        "CapabilityStatement.implementationGuide",
        "CapabilityStatement.rest",
        "CapabilityStatement.rest.resource",
        "CapabilityStatement.rest.resource.type",
        "CapabilityStatement.rest.resource.supportedProfile",
        "CapabilityStatement.rest.resource.referencePolicy",
        "CapabilityStatement.rest.resource.operation",
        "Extension",
        "SearchParameter.multipleOr",
        "SearchParameter.multipleAnd",
        "SearchParameter.comparator",
        "SearchParameter.modifier",
        "SearchParameter.chain",
    },
    "http://hl7.org/fhir/StructureDefinition/structuredefinition-fhir-type": {
        "ElementDefinition.type"
    },
    "http://hl7.org/fhir/StructureDefinition/regex": {"ElementDefinition.type"},
    "http://hl7.org/fhir/StructureDefinition/structuredefinition-normative-version": {"Element"},
    "http://hl7.org/fhir/StructureDefinition/valueset-concept-comments": {
        "CodeSystem.concept",
        "ValueSet.expansion.contains",
    },
}

# R4 asks for the contrary of what these are for.
_MISTAKEN: Final = frozenset(
    {"http://hl7.org/fhir/StructureDefinition/questionnaire-displayCategory"}
)

_MOST_KEPT: Final = 10_000  # anyone may send any URL


class Extensions:
    """The checks of the extensions of one kind of element."""

    def __init__(
        self,
        definitions: Definitions,
        path: str,
        profile: Callable[[str], Check | None],
        *,
        modifier: bool,
    ) -> None:
        self._definitions = definitions
        self._profile = profile
        self._path = path
        self._modifier = modifier
        self._places = places_of(definitions, path)
        self._is_inner = path == "Extension"
        self._checks: dict[str, Check] = {}

    def check(self, value: Any, scope: Scope = NOWHERE) -> Found:
        """The findings about one extension of sound structure."""
        url = value.get("url")
        known = self._checks.get(url)
        if known is None:
            if url is None or (self._is_inner and ":" not in url):
                return None  # a part of a complex extension, whose profile tells
            known = self._made(url)
            if len(self._checks) < _MOST_KEPT:
                self._checks[url] = known
        return known(value, scope)

    def _made(self, url: str) -> Check:
        structure = self._definitions.structure(url)
        if "|" in url:
            text = f"The URL of an extension has no version: '{url}'."
            return always(error("value", text, ".url"))
        if structure is None or structure.type != "Extension":
            return self._unknown(url)
        profile = self._profile(url)
        findings = self._standing(structure)
        if not findings:
            return profile or _nothing

        def check(value: Any, scope: Scope = NOWHERE) -> Found:
            found: Found = list(findings)
            bad = profile(value, scope) if profile is not None else None
            return found if bad is None else joined(found, bad)

        return check

    def _unknown(self, url: str) -> Check:
        """The check of an extension that perhaps those who ask know, among their profiles."""
        path, modifier = self._path, self._modifier

        def check(value: Any, scope: Scope = NOWHERE) -> Found:
            asked = scope.structures
            if asked is not None and asked.definitions is not self._definitions:
                found: Found = asked.extensions(path, modifier=modifier).check(value, scope)
                return found
            return [ExtensionQuestion("", url)]

        return check

    def _standing(self, structure: Structure) -> list[Finding]:
        """What is to be told of an extension here, whatever it holds."""
        found: list[Finding] = []
        if structure.root.is_modifier != self._modifier and structure.is_snapshot:
            right = "modifierExtension" if structure.root.is_modifier else "extension"
            text = f"The extension '{structure.url}' is for '{right}'."
            found.append(error("extension", text))
        also = _ALSO.get(structure.url, set())
        contexts = (*structure.contexts, *(Context("element", place) for place in sorted(also)))
        invariants = () if structure.url in _MISTAKEN else structure.context_invariants
        if not contexts or is_one_of(self._places, contexts):
            contexts = ()
        if contexts or invariants:
            found.append(Standing("", structure.url, contexts, invariants))
        return found


def _nothing(value: Any, scope: Scope = NOWHERE) -> Found:
    return None
