"""The two information models of Query/Retrieve: their levels and unique keys (PS3.4 C.6).

A hierarchical request names one entity of each level above its own. One that was negotiated as
relational (C.5.1.1.1) need not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pydicom.dataset import Dataset

from fhirserver.archive.query import Level
from fhirserver.errors import Invalid
from fhirserver.imaging.dimse.contexts import (
    PATIENT_ROOT_FIND,
    PATIENT_ROOT_GET,
    PATIENT_ROOT_MOVE,
)
from fhirserver.imaging.dimse.identifier import text_of

_LEVELS: Final[dict[str, Level]] = {
    "PATIENT": "patient",
    "STUDY": "study",
    "SERIES": "series",
    "IMAGE": "instance",
}
_ORDER: Final[tuple[Level, ...]] = ("patient", "study", "series", "instance")
UNIQUE: Final[dict[Level, str]] = {
    "patient": "00100020",
    "study": "0020000D",
    "series": "0020000E",
    "instance": "00080018",
}
_PATIENT_ROOT: Final = (PATIENT_ROOT_FIND, PATIENT_ROOT_MOVE, PATIENT_ROOT_GET)

SERIES_KEYS: Final = frozenset(
    (
        "00080021", "00080031", "00080060", "0008103E", "00081050", "00081070", "00081250",
        "00180015", "00185100", "0020000E", "00200011", "00200052", "00200060", "00201209",
        "00400244", "00400245", "00400253", "00400254", "00400260", "00400275",
    )
)  # fmt: skip
"""Attributes of a series, which a query of studies does not look at."""
INSTANCE_KEYS: Final = frozenset(
    (
        "00080008", "00080016", "00080018", "00080022", "00080023", "00080032", "00080033",
        "0008002A", "00200012", "00200013", "00200032", "00200037", "00280002", "00280004",
        "00280008", "00280010", "00280011", "00280100", "0040A493", "0040A043", "00420010",
    )
)  # fmt: skip


def level_of(data: Dataset, sop_class: str, *, relational: bool) -> Level:
    """The level of a request. Raises `Invalid` where the model has no such level, or a level
    above is not told by one value of its unique key."""
    level = _LEVELS.get(str(data.get("QueryRetrieveLevel", "") or "").strip())
    first = 0 if sop_class in _PATIENT_ROOT else 1
    if level is None or _ORDER.index(level) < first:
        raise Invalid("The information model has no such Query/Retrieve Level.")
    if not relational:
        for above in _ORDER[first : _ORDER.index(level)]:
            value = one_of(data, above)
            if not value or any(mark in value for mark in "*?\\"):
                raise Invalid(f"A hierarchical request names one {above}.")
    return level


def one_of(data: Dataset, level: Level) -> str:
    """The unique key of a level as it is asked for; empty where it is not."""
    element = data.get(int(UNIQUE[level], 16))
    return text_of(element).strip(" \0") if element is not None else ""


def list_of(data: Dataset, level: Level) -> Sequence[str]:
    """The values of the unique key of a level."""
    return tuple(item.strip() for item in one_of(data, level).split("\\") if item.strip())


def below(level: Level) -> frozenset[str]:
    """The attributes of levels below."""
    if level == "instance":
        return frozenset()
    return INSTANCE_KEYS if level == "series" else SERIES_KEYS | INSTANCE_KEYS
