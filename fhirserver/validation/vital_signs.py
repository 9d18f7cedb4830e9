"""Vital signs: an Observation with one of their LOINC codes should conform to their profile.

https://hl7.org/fhir/R4/observation-vitalsigns.html. It is told as warnings: examples of R4 and of
US Core themselves do not keep to these profiles.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from fhirserver.definitions.structure import CORE
from fhirserver.validation.finding import Check, Finding, Found, as_warning
from fhirserver.validation.scope import NOWHERE, Scope

if TYPE_CHECKING:
    from fhirserver.validation.profile import Profiles

_LOINC: Final = "http://loinc.org"
PROFILES: Final[Mapping[str, str]] = {
    "85353-1": "vitalspanel",
    "9279-1": "resprate",
    "8867-4": "heartrate",
    "2708-6": "oxygensat",
    "8310-5": "bodytemp",
    "8302-2": "bodyheight",
    "9843-4": "headcircum",
    "29463-7": "bodyweight",
    "39156-5": "bmi",
    "85354-9": "bp",
}
"""The profile of each code."""


def vital_signs(profiles: Profiles) -> Check:
    """The check of Observations that are vital signs by their code."""

    def check(value: Any, scope: Scope = NOWHERE) -> Found:
        found: list[Finding] = []
        for coding in (value.get("code") or {}).get("coding", ()):
            name = PROFILES.get(coding.get("code")) if coding.get("system") == _LOINC else None
            if name is not None and not _claims(value, name):
                found += map(as_warning, profiles.against(value, f"{CORE}{name}", scope) or ())
        return found or None

    return check


def _claims(value: Any, name: str) -> bool:
    """Whether the resource names the profile itself, so that it is checked anyway."""
    return f"{CORE}{name}" in value.get("meta", {}).get("profile", ())
