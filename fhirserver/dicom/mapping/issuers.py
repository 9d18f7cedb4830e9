"""Identifiers of DICOM as FHIR Identifiers: who issued them says which system they are of.

PS3.3 10.14 (HL7v2 Hierarchic Designator), C.7.1.1 (Patient ID), C.7.2.1 (Accession Number). A
bare number identifies nobody: without an issuer it is of the system that an operator named for
such numbers, and of none where nobody did.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

from fhirserver.dicom.mapping.attributes import Attributes, is_oid, items, text
from fhirserver.model.json import Resource

DICOM_UID: Final = "urn:dicom:uid"
_TYPES: Final = "http://terminology.hl7.org/CodeSystem/v2-0203"
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_URI: Final = re.compile(r"[a-z][a-z0-9+.-]*:[^\s<>\"{}|\\^`]+", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Issuers:
    """The systems of identifiers. `known` gives them by issuer: by its local name or universal
    id as DICOM has it. `patient`, `accession` and `admission` are those of numbers without an
    issuer, empty where nobody said; `assumed` is the issuer of patient ids that the sender is
    known to mean where it names none.
    """

    known: Mapping[str, str] = field(default_factory=dict)
    patient: str = ""
    accession: str = ""
    admission: str = ""
    assumed: str = ""

    def patient_identifier(self, data: Attributes) -> Resource | None:
        """The identifier of the patient (0010,0020); None where there is none."""
        qualifiers = next(iter(items(data, "00100024")), {})
        local = text(data, "00100021") or ("" if _universal(qualifiers) else self.assumed)
        system = self._system(local, qualifiers) or self.patient
        return _identifier(text(data, "00100020"), system, "MR")

    def other_patient_identifiers(self, data: Attributes) -> list[Resource]:
        """The identifiers of (0010,1002) that say who issued them."""
        found = []
        for item in items(data, "00101002"):
            system = self._system(text(item, "00100021"), next(iter(items(item, "00100024")), {}))
            made = _identifier(text(item, "00100020"), system, "")
            if made and system:
                found.append(made)
        return found

    def accessions(self, data: Attributes) -> list[Resource]:
        """The identifiers of the orders: accession number of the study, and of its requests."""
        found: dict[tuple[str, str], Resource] = {}
        for source in (data, *items(data, "00400275")):
            issuer = next(iter(items(source, "00080051")), {})
            system = self._system(text(issuer, "00400031"), issuer) or self.accession
            made = _identifier(text(source, "00080050"), system, "ACSN")
            if made:
                found.setdefault((system, made["value"]), made)
        return list(found.values())

    def admission_identifier(self, data: Attributes) -> Resource | None:
        """The identifier of the visit (0038,0010); None where there is none."""
        issuer = next(iter(items(data, "00380014")), {})
        system = self._system(text(issuer, "00400031"), issuer) or self.admission
        return _identifier(text(data, "00380010"), system, "VN")

    def _system(self, local: str, issuer: Attributes) -> str:
        """The system of an issuer; empty where none is named."""
        universal = _universal(issuer)
        for name in (local, universal):
            if name and name in self.known:
                return self.known[name]
        if universal:
            return _universal_system(universal, text(issuer, "00400033").upper())
        return f"urn:dicom:issuer:{quote(local, safe='')}" if local else ""


def study_identifier(uid: str) -> Resource:
    """The identifier of a study by its UID, as R4's ImagingStudy wants it."""
    return {"use": "official", "system": DICOM_UID, "value": f"urn:oid:{uid}"}


def token(identifier: Resource) -> tuple[str, str]:
    """System and value of an identifier."""
    return identifier.get("system", ""), identifier.get("value", "")


def _universal(issuer: Attributes) -> str:
    return text(issuer, "00400032")


def _universal_system(value: str, type: str) -> str:
    if type in ("", "ISO") and is_oid(value):
        return f"urn:oid:{value}"
    if type in ("", "UUID") and _UUID.fullmatch(value.lower()):
        return f"urn:uuid:{value.lower()}"
    if type in ("URI", "URL") and _URI.fullmatch(value):
        return value
    return f"urn:dicom:issuer:{quote(value, safe='')}"


def _identifier(value: str, system: str, type: str) -> Resource | None:
    if not value:
        return None
    found: Resource = {}
    if type:
        found["type"] = {"coding": [{"system": _TYPES, "code": type}]}
    if system:
        found["system"] = system
    found["value"] = value
    return found
