"""Identifiers of DICOM as FHIR Identifiers: who issued them says which system they are of.

PS3.3 10.14 (HL7v2 Hierarchic Designator), C.7.1.1 (Patient ID), C.7.2.1 (Accession Number). A
bare number identifies nobody: without an issuer it is of the system that an operator named for
such numbers, and of none where nobody did.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from urllib.parse import quote

from fhirserver.dicom.mapping.attributes import Attributes, is_oid, items, text
from fhirserver.model.json import Resource

DICOM_UID: Final = "urn:dicom:uid"
_TYPES: Final = "http://terminology.hl7.org/CodeSystem/v2-0203"
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_URI: Final = re.compile(r"[a-z][a-z0-9+.-]*:[^\s<>\"{}|\\^`]+", re.ASCII | re.IGNORECASE)


class Number(NamedTuple):
    """A number of an order: `type` is a code of HL7 v2-0203 (ACSN, PLAC or FILL), `system` empty
    where nobody said who issued it."""

    type: str
    system: str
    value: str

    @property
    def identifier(self) -> Resource:
        """The number as an Identifier."""
        return _identifier(self.value, self.system, self.type) or {}


class Requested(NamedTuple):
    """What an order is known by: the number of the imaging department, of who placed and of who
    fills it."""

    accession: Number | None = None
    placer: Number | None = None
    filler: Number | None = None

    @property
    def numbers(self) -> tuple[Number, ...]:
        """Those that are there, what decides first before others."""
        return tuple(one for one in self if one is not None)

    def agrees(self, other: Requested) -> bool:
        """Whether no number of theirs says otherwise."""
        return all(a is None or b is None or a == b for a, b in zip(self, other, strict=True))

    def filled(self, other: Requested) -> Requested:
        """These numbers, and those of the other for what is missing."""
        return Requested(*(a or b for a, b in zip(self, other, strict=True)))


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
            if number := self.requested(source).accession:
                found.setdefault((number.system, number.value), number.identifier)
        return list(found.values())

    def requests(self, data: Attributes) -> list[Requested]:
        """The numbers of each order of a study: by its items of Request Attributes (0040,0275),
        and by what stands beside them. Of one item, that is told of the same order."""
        within = [self.requested(item) for item in items(data, "00400275")]
        beside = self.requested(data)
        if len(within) == 1 and within[0].agrees(beside):
            within = [within[0].filled(beside)]
        elif beside.numbers and not any(set(beside.numbers) <= set(one.numbers) for one in within):
            within.insert(0, beside)
        return [
            one for index, one in enumerate(within) if one.numbers and one not in within[:index]
        ]

    def requested(self, item: Attributes) -> Requested:
        """The numbers of an order that stand in one data set or item (PS3.3 C.4.10, 10.6)."""
        return Requested(
            self._number(item, "00080050", "00080051", "ACSN", self.accession),
            self._number(item, "00402016", "00400026", "PLAC"),
            self._number(item, "00402017", "00400027", "FILL"),
        )

    def _number(
        self, data: Attributes, tag: str, issuer_tag: str, type: str, default: str = ""
    ) -> Number | None:
        issuer = next(iter(items(data, issuer_tag)), {})
        system = self._system(text(issuer, "00400031"), issuer) or default
        value = text(data, tag)
        return Number(type, system, value) if value else None

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
