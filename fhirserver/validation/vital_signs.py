"""Vital signs: an Observation with one of their LOINC codes should conform to their profile.

https://hl7.org/fhir/R4/observation-vitalsigns.html. It is told as warnings: examples of R4 and of
US Core themselves do not keep to these profiles. Writes are not held up by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fhirserver.definitions.structure import CORE

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


def vital_sign_profiles(resource: Any) -> tuple[str, ...]:
    """The profiles that an Observation of sound structure should keep to by its code."""
    if resource.get("resourceType") != "Observation":
        return ()
    claimed = (resource.get("meta") or {}).get("profile", ())
    names = [
        PROFILES.get(coding.get("code"))
        for coding in (resource.get("code") or {}).get("coding", ())
        if coding.get("system") == _LOINC
    ]
    urls = [f"{CORE}{name}" for name in names if name is not None]
    return tuple(url for url in urls if url not in claimed)
