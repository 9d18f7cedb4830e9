"""Whose study it is: the Patient of the identifier, if the header speaks of the same person.

A bare number never identifies anybody: without a system, or where name, birth date or gender say
otherwise, the study goes to a Patient of its own, marked by a tag, and a Task asks for review.
`Patient/$merge` then moves the study, and what arrives later follows the link of the merged one.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Final, NamedTuple

from fhirserver.dicom.mapping.attributes import Attributes, code, text
from fhirserver.dicom.mapping.issuers import Issuers, token
from fhirserver.dicom.mapping.patient import conflicts, patient
from fhirserver.dicom.mapping.person_name import shown_name
from fhirserver.imaging.projection.gate import Gate
from fhirserver.model.json import Resource

TAG: Final = {"system": "urn:fhirserver:imaging", "code": "unverified-patient"}
"""The mark of Patients that were made from a header and that nobody has looked at."""

DE_IDENTIFIED: Final = {"system": "urn:fhirserver:imaging", "code": "de-identified"}
"""The mark of Patients that stand for nobody."""

_NOT_PEOPLE: Final = {(tag["system"], tag["code"]) for tag in (TAG, DE_IDENTIFIED)}
_LINKS: Final = 5  # merges of merges that are followed


class Reason(NamedTuple):
    """Why a study has a Patient of its own; `others` are those that it may be."""

    text: str
    others: tuple[str, ...] = ()


async def subject(gate: Gate, study_uid: str, data: Attributes, issuers: Issuers) -> Resource:
    """The reference to the Patient of a study, who is made if need be, with a Task for review."""
    identifier = issuers.patient_identifier(data)
    system, value = token(identifier or {})
    if code(data, "00120062") == "YES":
        return await _nobody(gate, study_uid, data, issuers, value)
    known: list[Resource] = []
    if system and value:
        known = await _current(gate, await gate.identified("Patient", system, value))
    for is_verified in (True, False):
        agreeing = [
            one for one in known if _is_verified(one) is is_verified and not conflicts(data, one)
        ]
        if len(agreeing) == 1:
            return {"reference": f"Patient/{agreeing[0]['id']}"}
        if agreeing:
            break
    verified = [one for one in known if _is_verified(one)]
    id = _own_id(study_uid, data, system, value)
    found = await gate.write("Patient", id, lambda present: present or _own(data, issuers))
    current = await _current(gate, [found])
    if current and current[0]["id"] != id:
        return {"reference": f"Patient/{current[0]['id']}"}
    if _is_verified(found):
        return {"reference": f"Patient/{id}"}
    await _ask(gate, id, study_uid, _reason(data, system, value, verified))
    return {"reference": f"Patient/{id}"}


async def _nobody(
    gate: Gate, study_uid: str, data: Attributes, issuers: Issuers, value: str
) -> Resource:
    """The Patient of a de-identified study (Patient Identity Removed): never somebody known."""
    name = shown_name(data, "00100010")
    id = _hashed("nobody", value, name, "" if value and name else study_uid)
    made = patient(data, issuers) | {"meta": {"tag": [DE_IDENTIFIED]}}
    await gate.write("Patient", id, lambda present: present or made)
    return {"reference": f"Patient/{id}"}


async def _current(gate: Gate, patients: Sequence[Resource]) -> list[Resource]:
    """The patients, each replaced by the one that it was merged into; nobody twice."""
    found: dict[str, Resource] = {}
    for one in patients:
        current: Resource | None = one
        for _ in range(_LINKS):
            into = _replaced_by(gate, current or {})
            if into is None:
                break
            current = await gate.read("Patient", into)
        if current is not None and current.get("id"):
            found[current["id"]] = current
    return list(found.values())


def _replaced_by(gate: Gate, patient: Resource) -> str | None:
    for link in patient.get("link", ()):
        if link.get("type") == "replaced-by":
            return gate.own_id(link.get("other"), "Patient")
    return None


def _is_verified(patient: Resource) -> bool:
    tags = patient.get("meta", {}).get("tag", ())
    return not any((tag.get("system"), tag.get("code")) in _NOT_PEOPLE for tag in tags)


def _own(data: Attributes, issuers: Issuers) -> Resource:
    return patient(data, issuers) | {"meta": {"tag": [TAG]}}


def _own_id(study_uid: str, data: Attributes, system: str, value: str) -> str:
    """The id of a study's own Patient: the same for studies whose headers agree on who it is,
    where they say enough."""
    who = [text(data, tag) for tag in ("00100030", "00100040")]
    name = shown_name(data, "00100010").casefold()
    of = [system, value, name, *who]
    if not (value and name and who[0]):
        of.append(study_uid)
    return _hashed(*of)


def _hashed(*parts: str) -> str:
    return f"dicom-{sha256(chr(0).join(parts).encode()).hexdigest()[:40]}"


def _reason(data: Attributes, system: str, value: str, verified: Sequence[Resource]) -> Reason:
    others = tuple(one["id"] for one in verified)
    if not value:
        return Reason("The study has no patient id.")
    if not system:
        return Reason("The study does not say who issued the patient id.")
    if not verified:
        return Reason("There is no patient with this identifier.")
    if len(verified) > 1:
        return Reason("Several patients have this identifier.", others)
    differing = ", ".join(conflicts(data, verified[0]))
    return Reason(f"The patient with this identifier has another {differing}.", others)


async def _ask(gate: Gate, patient_id: str, study_uid: str, reason: Reason) -> None:
    """A Task for review, one for each Patient of this kind."""
    task: Resource = {
        "resourceType": "Task",
        "meta": {"tag": [TAG]},
        "status": "requested",
        "intent": "order",
        "code": {"text": "Reconcile the patient of an imaging study"},
        "description": reason.text,
        "focus": {"reference": f"Patient/{patient_id}"},
        "for": {"reference": f"Patient/{patient_id}"},
        "reasonCode": {"text": reason.text},
    }
    if reason.others:
        task["input"] = [
            {
                "type": {"text": "Patient that it may be"},
                "valueReference": {"reference": f"Patient/{other}"},
            }
            for other in reason.others
        ]
    await gate.write("Task", patient_id, lambda present: present or task)
