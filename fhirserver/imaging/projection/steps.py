"""What the performed procedure steps of a study tell of it (docs/adr/0074-announced-studies.md).

A modality tells of a step before the first instance, after the last one, or in between; N-CREATE
and N-SET leave a Task (`operations.imaging.mpps`). An ImagingStudy follows both: it is a function
of the archive and of these Tasks, whichever came first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from fhirserver.dicom.mapping.attributes import is_uid
from fhirserver.dicom.mapping.coded import DCM, modality_coding
from fhirserver.dicom.mapping.facts import StudyFacts
from fhirserver.dicom.mapping.imaging_study import Links, imaging_study, study_status
from fhirserver.dicom.mapping.issuers import DICOM_UID, Issuers
from fhirserver.dicom.worklist.entry import MODALITY, is_performed
from fhirserver.imaging.projection.gate import Gate
from fhirserver.model.json import Resource
from fhirserver.search.escape import escape

TYPE: Final = "Task"


async def steps_of(gate: Gate, study_uid: str) -> list[Resource]:
    """The Tasks of the performed procedure steps of a study, by their UIDs."""
    token = f"{escape(DICOM_UID)}|urn:oid:{escape(study_uid)}"
    found = await gate.search(TYPE, "focus:identifier", token)
    return sorted(filter(is_performed, found), key=lambda task: str(task["identifier"]))


def studied(task: Resource) -> str:
    """The UID of the study that a performed procedure step made; empty for other Tasks."""
    focus = task.get("focus", {})
    identifier = focus.get("identifier", {})
    if not is_performed(task) or identifier.get("system") != DICOM_UID:
        return ""
    uid = str(identifier.get("value", "")).removeprefix("urn:oid:")
    return uid if is_uid(uid) else ""


def statuses(steps: Iterable[Resource]) -> list[str]:
    """The statuses of the Tasks."""
    return [str(task.get("status", "")) for task in steps]


def announced(study_uid: str, steps: Sequence[Resource]) -> Resource | None:
    """The ImagingStudy of a study without any instance; None where it is not known whose."""
    subject = next((task["for"] for task in steps if "for" in task), None)
    if subject is None:
        return None
    orders = [item for task in steps for item in task.get("basedOn", ())]
    links = Links(subject, [item for at, item in enumerate(orders) if item not in orders[:at]])
    made = imaging_study(StudyFacts(study_uid, {}, ()), links, Issuers())
    made["status"] = study_status(0, statuses(steps))
    if modalities := sorted({code for task in steps for code in _modalities(task)}):
        made["modality"] = [modality_coding(code) for code in modalities]
    starts = [task.get("executionPeriod", {}).get("start") for task in steps]
    if started := min(filter(None, starts), default=""):
        made["started"] = started
    return made


def _modalities(task: Resource) -> Iterable[str]:
    for item in task.get("input", ()):
        types = item.get("type", {}).get("coding", ())
        if any((one.get("system"), one.get("code")) == (DCM, MODALITY) for one in types):
            codings = item.get("valueCodeableConcept", {}).get("coding", ())
            yield from (one["code"] for one in codings if one.get("system") == DCM)
