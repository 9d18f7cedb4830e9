"""A Patient as the patient modules of a worklist entry (PS3.3 C.2.2, C.2.3)."""

from __future__ import annotations

from typing import Final

from fhirserver.dicom.worklist.element import (
    DataSet,
    Element,
    element,
    fits,
    issuer_of,
    person_name,
    qualifiers,
    sequence,
)
from fhirserver.model.json import Resource

_SEX: Final = {"male": "M", "female": "F", "other": "O"}
_UNUSED: Final = ("old", "temp")
_NOT_NAMES: Final = ("old", "nickname", "anonymous", "maiden")


def patient_module(patient: Resource) -> DataSet:
    """Name, number with its issuer, birth date and sex; other numbers beside them."""
    identifiers = _identifiers(patient)
    first = identifiers[0] if identifiers else {}
    found: DataSet = {
        "00100010": person_name(_names(patient)),
        "00100020": element("LO", first.get("value")),
        "00100021": _issuer(first),
        "00100024": sequence(qualifiers(first.get("system", ""))),
        "00100030": element("DA", _date(patient.get("birthDate", ""))),
        "00100040": element("CS", _SEX.get(patient.get("gender", ""))),
    }
    others = [
        {
            "00100020": element("LO", item["value"]),
            "00100021": _issuer(item),
            "00100022": element("CS", "TEXT"),
            "00100024": sequence(qualifiers(item.get("system", ""))),
        }
        for item in identifiers[1:]
    ]
    if others:
        found["00101002"] = sequence(*others)
    return found


def _issuer(identifier: Resource) -> Element:
    system = identifier.get("system", "")
    named = identifier.get("assigner", {}).get("display", "")
    return element("LO", named if named and not system else issuer_of(system))


def _identifiers(patient: Resource) -> list[Resource]:
    """Those in use that fit, the hospital's own number (MR) before others."""
    found = [
        item
        for item in patient.get("identifier", ())
        if fits("LO", item.get("value", "")) and item.get("use") not in _UNUSED
    ]
    return sorted(
        found, key=lambda item: (not _has_type(item, "MR"), item.get("use") != "official")
    )


def _has_type(identifier: Resource, code: str) -> bool:
    codings = identifier.get("type", {}).get("coding", ())
    return any(coding.get("code") == code for coding in codings)


def _names(patient: Resource) -> list[Resource]:
    names = [name for name in patient.get("name", ()) if name.get("use") not in _NOT_NAMES]
    return sorted(names, key=lambda name: name.get("use") not in ("official", "usual"))


def _date(value: str) -> str:
    return value.replace("-", "") if len(value) == 10 else ""
