"""The options of the profile (PS3.15 E.3), and how they are told in a data set (CID 7050)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Dates: TypeAlias = Literal["removed", "shifted", "kept"]

PROFILE: Final = ("113100", "Basic Application Confidentiality Profile")
_CODES: Final = {
    "uids": ("113110", "Retain UIDs Option"),
    "device": ("113109", "Retain Device Identity Option"),
    "institution": ("113112", "Retain Institution Identity Option"),
    "patient": ("113108", "Retain Patient Characteristics Option"),
    "descriptors": ("113105", "Clean Descriptors Option"),
}
_DATES: Final = {
    "kept": ("113106", "Retain Longitudinal Temporal Information Full Dates Option"),
    "shifted": ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
}
MODIFIED: Final[dict[Dates, str]] = {
    "removed": "REMOVED",
    "shifted": "MODIFIED",
    "kept": "UNMODIFIED",
}
"""Values of Longitudinal Temporal Information Modified (0028,0303)."""


@dataclass(frozen=True, slots=True)
class Options:
    """What stays although the basic profile would take it away.

    `uids` stay as they are; `dates` are removed, moved by so many days for each patient, or
    kept; `patient`: age, sex, size, weight and the like; `device` and `institution`: who they
    were; `descriptors`: of free texts the words that are plain technical vocabulary.
    """

    uids: bool = False
    dates: Dates = "removed"
    patient: bool = False
    device: bool = False
    institution: bool = False
    descriptors: bool = False

    @property
    def codes(self) -> list[tuple[str, str]]:
        """The profile and the options as codes of DCM, with their meanings."""
        found = [PROFILE, *(code for name, code in _CODES.items() if getattr(self, name))]
        if self.dates in _DATES:
            found.append(_DATES[self.dates])
        return found
