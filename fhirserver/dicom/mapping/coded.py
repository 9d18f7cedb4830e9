"""Codes of DICOM as codes of FHIR: code sequences, body parts, laterality, modalities.

PS3.3 8.8 (code sequences), PS3.16 Table 8-1 (designators) and Annex L (body parts). The tables
are data: terminology/dicom.
"""

from __future__ import annotations

from functools import cache
from typing import Final
from urllib.parse import quote

from fhirserver.definitions.packaged import dicom_table
from fhirserver.dicom.mapping.attributes import Attributes, code, is_oid, items, text
from fhirserver.model.json import Resource

DCM: Final = "http://dicom.nema.org/resources/ontology/DCM"
SCT: Final = "http://snomed.info/sct"
_MODALITY: Final = "OT"
_SIDES: Final = {
    "L": ("7771000", "Left"),
    "R": ("24028007", "Right"),
    "B": ("51440002", "Right and left"),
}


def coding(item: Attributes) -> Resource | None:
    """The Coding of an item of a code sequence; None where it has no code.

    The system is that of the designator: by the table, by its UID (0008,010C), else
    `urn:dicom:coding-scheme:[designator]`.
    """
    value = text(item, "00080100") or text(item, "00080119") or text(item, "00080120")
    if not value:
        return None
    found: Resource = {"system": _system(item), "code": value}
    if not found["system"]:
        del found["system"]
    elif version := text(item, "00080103"):
        found["version"] = version
    if meaning := text(item, "00080104"):
        found["display"] = meaning
    return found


def concepts(data: Attributes, tag: str) -> list[Resource]:
    """The CodeableConcepts of a code sequence; an item without a code is its meaning as text."""
    found = []
    for item in items(data, tag):
        coded, meaning = coding(item), text(item, "00080104")
        concept: Resource = {"coding": [coded]} if coded else {}
        if meaning:
            concept["text"] = meaning
        if concept:
            found.append(concept)
    return found


def modality(data: Attributes) -> str:
    """The modality of a series: `OT` where it has none, as R4 wants one."""
    return code(data, "00080060") or _MODALITY


def modality_coding(value: str) -> Resource:
    return {"system": DCM, "code": value}


def body_site(data: Attributes) -> Resource | None:
    """The anatomic region of a series: its own code, or that of the body part examined."""
    for item in items(data, "00082218"):
        if found := coding(item):
            return found
    part = text(data, "00180015")
    if not part:
        return None
    known = _body_parts().get(part.upper().replace(" ", "").replace("_", ""))
    return {"system": SCT, "code": known[0], "display": known[1]} if known else {"display": part}


def laterality(data: Attributes) -> Resource | None:
    """The side of a paired body part (0020,0060)."""
    found = _SIDES.get(code(data, "00200060"))
    return {"system": SCT, "code": found[0], "display": found[1]} if found else None


def _system(item: Attributes) -> str:
    designator = text(item, "00080102")
    if known := _schemes().get(designator):
        return known
    uid = text(item, "0008010C")
    if is_oid(uid):
        return f"urn:oid:{uid}"
    return f"urn:dicom:coding-scheme:{quote(designator, safe='')}" if designator else ""


@cache
def _schemes() -> dict[str, str]:
    return {row[0]: row[1] for row in dicom_table("coding-schemes")}


@cache
def _body_parts() -> dict[str, tuple[str, str]]:
    return {row[0]: (row[1], row[2]) for row in dicom_table("body-parts")}
