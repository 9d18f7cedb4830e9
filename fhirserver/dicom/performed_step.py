"""A Modality Performed Procedure Step as a Task and a Procedure (PS3.4 F.7).

The Task is after HL7's guide on imaging orders (imaging-performed-procedure-step); both have the
SOP Instance UID of the step as an identifier. The rules of states are F.7.2: a step begins IN
PROGRESS, and nothing changes once it is COMPLETED or DISCONTINUED.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from fhirserver.dicom.mapping.attributes import Attributes, code, items, text, uid
from fhirserver.dicom.mapping.coded import DCM, SCT, concepts
from fhirserver.dicom.mapping.issuers import DICOM_UID, Issuers, Number, Requested
from fhirserver.dicom.mapping.moment import moment
from fhirserver.dicom.worklist.entry import MODALITY, STATION_AE_TITLE
from fhirserver.model.json import Resource

STATUS: Final = "00400252"
IN_PROGRESS: Final = "IN PROGRESS"
FINAL: Final = ("COMPLETED", "DISCONTINUED")

_TASK: Final = {IN_PROGRESS: "in-progress", "COMPLETED": "completed", "DISCONTINUED": "failed"}
_PROCEDURE: Final = _TASK | {"DISCONTINUED": "stopped"}
_REQUIRED: Final = ("00080060", "00400241", "00400244", "00400245", "00400253")
NOTHING: Final = Requested()
BARE: Final = Issuers()
_SERIES_UID: Final = "112002"
_TYPES: Final = "http://terminology.hl7.org/CodeSystem/v2-0203"


@dataclass(frozen=True, slots=True)
class Steps:
    """What a performed step says that it was scheduled as."""

    study: str
    accession: str
    scheduled: str
    requested: Requested = NOTHING


@dataclass(frozen=True, slots=True)
class Linked:
    """What a step is about, as references: the order, its scheduled step, the patient."""

    order: str = ""
    scheduled: str = ""
    patient: str = ""


def missing(data: Attributes) -> str:
    """The first attribute without a value that an N-CREATE must have (PS3.4 Table F.7.2-1)."""
    if not items(data, "00400270"):
        return "00400270"
    return next((tag for tag in (STATUS, *_REQUIRED) if not text(data, tag)), "")


def scheduled_as(data: Attributes, issuers: Issuers = BARE) -> Steps:
    """What the first item of the scheduled step attributes names; empty where it does not."""
    for item in items(data, "00400270"):
        accession = text(item, "00080050")
        requested = issuers.requested(item)
        if accession:  # a step rarely says who issued it: orders are asked for it as it stands
            requested = requested._replace(accession=Number("ACSN", "", accession))
        return Steps(uid(item, "0020000D"), accession, text(item, "00400009"), requested)
    return Steps("", "", "")


def identifier_of(instance: str) -> Resource:
    """The identifier of a step by its SOP Instance UID."""
    return {"system": DICOM_UID, "value": f"urn:oid:{instance}"}


def status_of(data: Attributes) -> str:
    """The state that is told: capitals, empty where none is."""
    return code(data, STATUS)


def task(instance: str, data: Attributes, linked: Linked, issuers: Issuers, zone: str) -> Resource:
    """The Task of a step that begins."""
    steps = scheduled_as(data)
    made: Resource = {
        "resourceType": "Task",
        "identifier": [identifier_of(instance)],
        "intent": "order",
        "input": _inputs(data),
    }
    if linked.order:
        made["basedOn"] = [{"reference": linked.order}]
    if linked.scheduled:
        made["partOf"] = [{"reference": linked.scheduled}]
    if steps.accession:
        kind = {"coding": [{"system": _TYPES, "code": "ACSN"}]}
        made["groupIdentifier"] = {"type": kind, "value": steps.accession}
    if steps.study:
        known = {"system": DICOM_UID, "value": f"urn:oid:{steps.study}"}
        made["focus"] = {"type": "ImagingStudy", "identifier": known}
    if patient := _patient(data, linked, issuers):
        made["for"] = patient
    return changed_task(made, data, zone)


def changed_task(task: Resource, data: Attributes, zone: str) -> Resource:
    """The Task with what an N-SET, or the N-CREATE, tells."""
    made = _changed(task, data, zone, _TASK, "executionPeriod")
    if outputs := _outputs(data):
        made["output"] = outputs
    return made


def procedure(
    instance: str, data: Attributes, linked: Linked, issuers: Issuers, zone: str
) -> Resource | None:
    """The Procedure of a step that begins; None where it is not known whose."""
    patient = _patient(data, linked, issuers)
    if patient is None:
        return None
    imaging = {"system": SCT, "code": "363679005", "display": "Imaging"}
    made: Resource = {
        "resourceType": "Procedure",
        "identifier": [identifier_of(instance)],
        "category": {"coding": [imaging]},
        "subject": patient,
    }
    if linked.order:
        made["basedOn"] = [{"reference": linked.order}]
    return changed_procedure(made, data, zone)


def changed_procedure(procedure: Resource, data: Attributes, zone: str) -> Resource:
    """The Procedure with what an N-SET, or the N-CREATE, tells."""
    return _changed(procedure, data, zone, _PROCEDURE, "performedPeriod")


def _changed(
    resource: Resource, data: Attributes, zone: str, statuses: Mapping[str, str], period: str
) -> Resource:
    """What a Task and a Procedure are told alike; `period` is the element of the time."""
    made = dict(resource)
    if status := statuses.get(status_of(data)):
        made["status"] = status
    if told := text(data, "00400254"):
        made["code"] = {"text": told}
    for concept in concepts(data, "00081032")[:1]:
        made["code"] = concept
    if taken := _period(data, zone):
        made[period] = resource.get(period, {}) | taken
    for concept in concepts(data, "00400281")[:1]:
        made["statusReason"] = concept
    return made


def _patient(data: Attributes, linked: Linked, issuers: Issuers) -> Resource | None:
    if linked.patient:
        return {"reference": linked.patient}
    known = issuers.patient_identifier(data)
    return {"type": "Patient", "identifier": known} if known else None


def _period(data: Attributes, zone: str) -> Mapping[str, str]:
    start = moment(data, "00400244", "00400245", zone)
    end = moment(data, "00400250", "00400251", zone)
    return {name: value for name, value in (("start", start), ("end", end)) if value}


def _inputs(data: Attributes) -> list[Resource]:
    found: list[Resource] = []
    if modality := code(data, "00080060"):
        told = {"coding": [{"system": DCM, "code": modality}]}
        found.append({"type": _of_dcm(MODALITY, "Modality"), "valueCodeableConcept": told})
    if title := text(data, "00400241"):
        found.append({"type": _of_dcm(STATION_AE_TITLE, "Station AE Title"), "valueString": title})
    return found


def _outputs(data: Attributes) -> list[Resource]:
    """The series that were made."""
    kind = _of_dcm(_SERIES_UID, "Series Instance UID")
    series = (uid(item, "0020000E") for item in items(data, "00400340"))
    return [{"type": kind, "valueUri": f"urn:oid:{one}"} for one in dict.fromkeys(series) if one]


def _of_dcm(value: str, display: str) -> Resource:
    return {"coding": [{"system": DCM, "code": value, "display": display}]}
