"""Why a code is not known: its system, its version or the code itself."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from fhirserver.model.outcome import Issue
from fhirserver.terminology.environment import Environment
from fhirserver.terminology.issue import MissingSystem, issue

if TYPE_CHECKING:
    from fhirserver.terminology.validate_code import Coded, Verdict


def system_issues(environment: Environment, coded: Coded, verdict: Verdict) -> None:
    """Adds to the verdict why its code was not found in its code system."""
    if not coded.system:
        if coded.place and coded.system is None:
            verdict.issues.append(_no_system(coded))
        return
    try:
        system = environment.system(coded.system, coded.version)
    except MissingSystem:
        _unknown_system(environment, coded, verdict)
        return
    verdict.version = system.info.version
    named = f"'{system.info.url}' version '{system.info.version}'"
    if system.info.version is None:
        named = f"'{system.info.url}'"
    if system.is_complete:
        text = f"Unknown code '{coded.code}' in the CodeSystem {named}"
        id = "Unknown_Code_in_Version"
        verdict.issues.append(
            issue("error", "code-invalid", "invalid-code", text, coded.at("code"), id)
        )
        return
    text = (
        f"Unknown Code '{coded.code}' in the CodeSystem {named} - note that the code system is "
        "labeled as a fragment, so the code may be valid in some other fragment"
    )
    id = "UNKNOWN_CODE_IN_FRAGMENT"
    verdict.issues.append(
        issue("warning", "code-invalid", "invalid-code", text, coded.at("code"), id)
    )


def _no_system(coded: Coded) -> Issue:
    text = (
        "Coding has no system. A code with no system has no defined meaning, and it cannot be "
        "validated. A system should be provided"
    )
    id = "Coding_has_no_system__cannot_validate"
    return issue("warning", "invalid", "invalid-data", text, coded.whole, id)


def _unknown_system(environment: Environment, coded: Coded, verdict: Verdict) -> None:
    url, place = coded.system or "", coded.at("system")
    if environment.is_value_set(url):
        text = f"The Coding references a value set, not a code system ('{url}')"
        id = "Terminology_TX_System_ValueSet2"
        verdict.issues.append(issue("error", "invalid", "invalid-data", text, place, id))
        return
    named = url
    if not urlsplit(url).scheme:
        named = f"'{url}'"
        text = "Coding.system must be an absolute reference, not a local reference"
        id = "Terminology_TX_System_Relative"
        verdict.issues.append(issue("error", "invalid", "invalid-data", text, place, id))
    text = (
        f"A definition for CodeSystem {named} could not be found, so the code cannot be validated"
    )
    id = "UNKNOWN_CODESYSTEM"
    versions = [item.info.version or "(none)" for item in environment.versions(url)]
    if versions:
        text = (
            f"A definition for CodeSystem '{url}' version '{coded.version}' could not be found, "
            f"so the code cannot be validated. Valid versions: {' or '.join(versions)}"
        )
        id = "UNKNOWN_CODESYSTEM_VERSION"
    verdict.issues.append(issue("error", "not-found", "not-found", text, place, id))
    verdict.unknown["x-unknown-system"] = url
