"""Worklist entries of an order: one for each scheduled procedure step (PS3.4 K.6.1.2).

An order is a ServiceRequest. Its steps are Tasks on it that stand for none that was performed;
without any, it is one step itself. When a step is due, is told by the Task (restriction.period,
R4's place for what R5 calls requestedPeriod), else by an Appointment for the order, else by the
order. Station and modality are inputs of the Task, by their codes in DCM; the station may also
be a Device.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Final
from uuid import NAMESPACE_URL, uuid5

from fhirserver.dicom.worklist.element import (
    DataSet,
    coded,
    element,
    fits,
    issuer_of,
    person_name,
    qualifiers,
    sequence,
    shown,
)
from fhirserver.dicom.worklist.patient import patient_module
from fhirserver.model.json import Resource

DCM: Final = "http://dicom.nema.org/resources/ontology/DCM"
MODALITY: Final = "121139"
STATION_AE_TITLE: Final = "110119"
DICOM_UID: Final = "urn:dicom:uid"

_PRIORITIES: Final = {"stat": "STAT", "asap": "HIGH", "urgent": "HIGH", "routine": "ROUTINE"}
_STATES: Final = {"in-progress": "STARTED", "ready": "READY", "received": "ARRIVED"}
_MODALITY: Final = re.compile(r"[A-Z][A-Z0-9]{1,15}")
NO_MODALITY: Final = "OT"
OPEN_TASKS: Final = ("requested", "received", "accepted", "ready", "in-progress")
_BOOKED: Final = ("proposed", "pending", "booked", "arrived", "checked-in", "waitlist", "fulfilled")


@dataclass(frozen=True, slots=True)
class Order:
    """A ServiceRequest with its Patient and what is based on it. `devices` are those that its
    Tasks and Appointments name, by reference (`Device/1`)."""

    request: Resource
    patient: Resource
    tasks: Sequence[Resource] = ()
    appointments: Sequence[Resource] = ()
    devices: dict[str, Resource] | None = None


def entries(
    order: Order, study_uid: str, *, station: str, zone: tzinfo | None = None
) -> list[DataSet]:
    """The entries of an order. `station` is the AE title of who asks: a step that is planned
    for no station is for every one. Times are told in `zone`, else as they were written."""
    common = patient_module(order.patient) | _requested_procedure(order.request, study_uid)
    common |= _service_request(order.request)
    steps = [task for task in order.tasks if not is_performed(task)]
    open_steps = [task for task in steps if task.get("status") in OPEN_TASKS]
    if steps and not open_steps:
        return []
    planned: list[Resource | None] = [*open_steps] or [None]
    return [common | {"00400100": sequence(_step(order, task, station, zone))} for task in planned]


def is_performed(task: Resource) -> bool:
    """Whether a Task stands for a performed procedure step: then it has that one's UID."""
    return any(item.get("system") == DICOM_UID for item in task.get("identifier", ()))


def study_uid_of(request: Resource) -> str:
    """The Study Instance UID that an order has; empty where it has none."""
    for item in request.get("identifier", ()):
        if item.get("system") == DICOM_UID:
            return str(item.get("value", "")).removeprefix("urn:oid:")
    return ""


def minted_study_uid(base: str, id: str) -> str:
    """The Study Instance UID of an order that has none: the same each time (PS3.5 B.2)."""
    return f"2.25.{uuid5(NAMESPACE_URL, f'{base}/ServiceRequest/{id}').int}"


def accession_number(request: Resource) -> tuple[str, str]:
    """Accession number of an order and its system: of type ACSN, else the filler's or the
    placer's number, where they fit; else empty."""
    return next(
        filter(None, (_number(request, code) for code in ("ACSN", "FILL", "PLAC"))), ("", "")
    )


def _number(request: Resource, type: str) -> tuple[str, str] | None:
    for item in request.get("identifier", ()):
        codings = item.get("type", {}).get("coding", ())
        if any(coding.get("code") == type for coding in codings) and fits(
            "SH", item.get("value", "")
        ):
            return item["value"], item.get("system", "")
    return None


def _service_request(request: Resource) -> DataSet:
    accession, system = accession_number(request)
    requester = request.get("requester", {}).get("display", "")
    placer, filler = _number(request, "PLAC"), _number(request, "FILL")
    name = person_name([{"text": requester}]) if requester else element("PN")
    issuer = {"00400031": {"vr": "UT", "Value": [issuer_of(system)]}} if system else {}
    return {
        "00080050": element("SH", accession),
        "00080051": sequence(issuer | qualifiers(system)),
        "00080090": name,
        "00321032": name,
        "00321033": element("LO"),
        "00402016": element("LO", placer[0] if placer else None),
        "00402017": element("LO", filler[0] if filler else None),
        "00402004": element("DA", _local(request.get("authoredOn", ""), None)[0]),
    }


def _requested_procedure(request: Resource, study_uid: str) -> DataSet:
    code = request.get("code", {})
    reasons = request.get("reasonCode", ())
    return {
        "0020000D": element("UI", study_uid),
        "00081110": sequence(),
        "00321060": element("LO", shown(code)),
        "00321064": coded(code),
        "00401001": element("SH", _procedure_id(request)),
        "00401002": element("LO", "; ".join(filter(None, map(shown, reasons)))),
        "0040100A": sequence(*(item for one in reasons for item in coded(one).get("Value", ()))),
        "00401003": element("SH", _PRIORITIES.get(request.get("priority", "routine"))),
        "00401004": element("LO"),
        "00401400": element("LT", "; ".join(n.get("text", "") for n in request.get("note", ()))),
    }


def _procedure_id(request: Resource) -> str:
    id = str(request.get("id", ""))
    return id if fits("SH", id) else accession_number(request)[0] or id[-16:]


def step_id(task: Resource | None, request: Resource) -> str:
    """The Scheduled Procedure Step ID: the Task's id or, where it is one itself, the order's;
    of a longer one the end."""
    return str((task or request).get("id", ""))[-16:]


def _step(order: Order, task: Resource | None, station: str, zone: tzinfo | None) -> DataSet:
    request = order.request
    day, time = _local(_start(order, task), zone)
    code = (task or {}).get("code") or request.get("code", {})
    title = _station(order, task)
    location = (task or {}).get("location", {}).get("display", "")
    places = [item.get("display", "") for item in request.get("locationReference", ())]
    performer = (task or {}).get("owner", {})
    person = (
        performer.get("display", "") if "Practitioner" in performer.get("reference", "") else ""
    )
    return {
        "00080060": element("CS", _modality(order, task)),
        "00400001": element("AE", title or station),
        "00400002": element("DA", day),
        "00400003": element("TM", time),
        "00400006": person_name([{"text": person}]) if person else element("PN"),
        "00400007": element("LO", shown(code)),
        "00400008": coded(code),
        "00400009": element("SH", step_id(task, request)),
        "00400010": element("SH"),
        "00400011": element("SH", location or next(filter(None, places), "")),
        "00400012": element("LO"),
        "00400020": element("CS", _STATES.get((task or {}).get("status", ""), "SCHEDULED")),
    }


def _start(order: Order, task: Resource | None) -> str:
    """When a step is due."""
    told: list[str | None] = []
    if task is not None:
        told.append(task.get("restriction", {}).get("period", {}).get("start"))
        told.append(task.get("executionPeriod", {}).get("start"))
    told += [
        appointment.get("start")
        for appointment in order.appointments
        if appointment.get("status") in _BOOKED
    ]
    request = order.request
    told.append(request.get("occurrenceDateTime"))
    told.append(request.get("occurrencePeriod", {}).get("start"))
    told += request.get("occurrenceTiming", {}).get("event", ())
    told.append(request.get("authoredOn"))
    return next(filter(None, told), "")


def _local(value: str, zone: tzinfo | None) -> tuple[str, str]:
    """Date and time of a dateTime, as DA and TM; empty where it does not say."""
    if len(value) < 10:
        return "", ""
    if zone is not None and len(value) > 10:
        value = datetime.fromisoformat(value).astimezone(zone).isoformat()
    time = value[11:19].replace(":", "") if len(value) > 10 else ""
    return value[:10].replace("-", ""), time


def _inputs(task: Resource | None, code: str) -> Iterable[Resource]:
    for item in (task or {}).get("input", ()):
        codings = item.get("type", {}).get("coding", ())
        if any(c.get("system") == DCM and c.get("code", code) == code for c in codings):
            yield item


def _modality(order: Order, task: Resource | None) -> str:
    """The first code of DCM that can be a modality: of the Task's input, of the order's details
    or its code."""
    concepts = [item.get("valueCodeableConcept", {}) for item in _inputs(task, MODALITY)]
    concepts += [
        {"coding": [item["valueCoding"]]}
        for item in _inputs(task, MODALITY)
        if "valueCoding" in item
    ]
    request = order.request
    for concept in (*concepts, *request.get("orderDetail", ()), request.get("code", {})):
        for coding in concept.get("coding", ()):
            if coding.get("system") == DCM and _MODALITY.fullmatch(coding.get("code", "")):
                return str(coding["code"])
    return NO_MODALITY


def _station(order: Order, task: Resource | None) -> str:
    for item in _inputs(task, STATION_AE_TITLE):
        if fits("AE", item.get("valueString", "")):
            return str(item["valueString"])
    for reference in device_references(order, task):
        for identifier in (order.devices or {}).get(reference, {}).get("identifier", ()):
            codings = identifier.get("type", {}).get("coding", ())
            is_title = any(
                c.get("system") == DCM and c.get("code") == STATION_AE_TITLE for c in codings
            )
            if is_title and fits("AE", identifier.get("value", "")):
                return str(identifier["value"])
    return ""


def device_references(order: Order, task: Resource | None) -> list[str]:
    """The Devices that may be the station of a step."""
    found = [(task or {}).get("owner", {}).get("reference", "")]
    for appointment in order.appointments:
        if appointment.get("status") in _BOOKED:
            participants = appointment.get("participant", ())
            found += [item.get("actor", {}).get("reference", "") for item in participants]
    found += [item.get("reference", "") for item in order.request.get("performer", ())]
    return [item for item in found if item.startswith("Device/")]
