"""How accesses to DICOM instances are told: events and study objects of DICOM PS3.15 A.5.

https://dicom.nema.org/medical/dicom/current/output/chtml/part15/sect_A.5.html. One event for
each patient; its entities name the studies by their UIDs, and their ImagingStudy if there is one.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final, NamedTuple

from fhirserver.audit.kinds import DCM, Action, Code
from fhirserver.model.json import encode

DICOM_UID: Final = "urn:dicom:uid"
IMAGING_STUDY: Final = "ImagingStudy"


class StudyAccess(NamedTuple):
    """A study of which instances were found, sent, received or deleted.

    `imaging_study` and `patient` are the ids of its ImagingStudy and Patient, as far as known.
    """

    uid: str
    imaging_study: str | None
    patient: str | None
    instances: int = 0


class ImagingEvent(NamedTuple):
    """A row: the code of the gate's row, and the event that it is recorded as."""

    code: str
    type: Code
    action: Action


_ROWS: Final = (
    ImagingEvent("dicom-query", Code(DCM, "110112", "Query"), "E"),
    ImagingEvent("dicom-retrieve", Code(DCM, "110104", "DICOM Instances Transferred"), "R"),
    ImagingEvent("dicom-begin", Code(DCM, "110102", "Begin Transferring DICOM Instances"), "E"),
    ImagingEvent("dicom-store", Code(DCM, "110104", "DICOM Instances Transferred"), "C"),
    ImagingEvent("dicom-delete", Code(DCM, "110105", "DICOM Study Deleted"), "D"),
    ImagingEvent("dicom-worklist", Code(DCM, "110112", "Query"), "E"),
    ImagingEvent("dicom-mpps", Code(DCM, "110109", "Procedure Record"), "U"),
    ImagingEvent("dicom-commitment", Code(DCM, "110103", "DICOM Instances Accessed"), "R"),
)
IMAGING: Final = {row.code: row for row in _ROWS}


def study_entities(studies: Iterable[StudyAccess]) -> list[bytes]:
    """The entities of an event that name the studies."""
    return [_study_entity(study) for study in studies]


@lru_cache(maxsize=256)
def _study_entity(study: StudyAccess) -> bytes:
    what: dict[str, object] = {"identifier": {"system": DICOM_UID, "value": f"urn:oid:{study.uid}"}}
    if study.imaging_study is not None:
        what = {"reference": f"{IMAGING_STUDY}/{study.imaging_study}"} | what
    entity: dict[str, object] = {"what": what, "type": _SYSTEM_OBJECT, "role": _REPORT}
    if study.instances:
        entity["detail"] = [{"type": "instances", "valueString": str(study.instances)}]
    return encode(entity)


_SYSTEM_OBJECT: Final = {
    "system": "http://terminology.hl7.org/CodeSystem/audit-entity-type",
    "code": "2",
}
_REPORT: Final = {"system": "http://terminology.hl7.org/CodeSystem/object-role", "code": "3"}
