"""Findings about codes, with the codes and texts by which clients tell them apart.

The tx-issue-type codes and message ids are those that the conformance tests for terminology
servers expect (HL7 tx-ecosystem); validators decide by them.
"""

from __future__ import annotations

from typing import Final

from fhirserver.errors import FhirError, NotFound, Unprocessable
from fhirserver.model.outcome import Detail, Issue, Severity

TX: Final = "http://hl7.org/fhir/tools/CodeSystem/tx-issue-type"


def issue(
    severity: Severity, code: str, tx: str, text: str, expression: str = "", id: str | None = None
) -> Issue:
    """A finding about a code: issue-type, tx-issue-type, place and message id."""
    return Issue(severity, code, expression, text, Detail(TX, tx, id))


class MissingValueSet(NotFound):
    """A value set is not here, itself or one that it imports."""


class MissingSystem(NotFound):
    """A code system, or the version of it that is needed, is not here. `canonical` names it."""

    canonical = ""


def missing_value_set(canonical: str, *, pinned: bool = False) -> FhirError:
    """`pinned`: a rule of the request asks for that version."""
    text = f"A definition for the value Set '{canonical}' could not be found"
    id = None if pinned else "Unable_to_resolve_value_Set_"
    found = issue("error", "not-found", "not-found", text, "", id)
    return MissingValueSet(text, issues=[found])


def missing_system(canonical: str, versions: list[str]) -> MissingSystem:
    url, _, version = canonical.partition("|")
    text = (
        f"A definition for CodeSystem '{url}' could not be found, so the value set cannot be "
        "expanded"
    )
    if version:
        known = " or ".join(versions) or "none"
        text = (
            f"A definition for CodeSystem '{url}' version '{version}' could not be found, so the "
            f"value set cannot be expanded. Valid versions: {known}"
        )
    id = "UNKNOWN_CODESYSTEM_VERSION_EXP" if version else "UNKNOWN_CODESYSTEM_EXP"
    error = MissingSystem(text, issues=[issue("error", "not-found", "not-found", text, "", id)])
    error.canonical = canonical
    return error


def missing_supplement(canonical: str) -> FhirError:
    text = f"Required supplement not found: {canonical}"
    found = issue("error", "not-found", "not-found", text, "", "VALUESET_SUPPLEMENT_MISSING")
    return NotFound(text, issues=[found])


def invalid_value_set(text: str, place: str, id: str | None = None) -> FhirError:
    """The value set itself cannot be understood."""
    found = issue("error", "invalid", "vs-invalid", text, place, id)
    return Unprocessable(text, expression=place, issues=[found])
