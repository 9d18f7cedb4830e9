"""dicom-worklist: the scheduled procedure steps that match (PS3.4 annex K).

They are made of active imaging orders that the caller may see, with their Patients, Tasks and
Appointments (`fhirserver.dicom.worklist`). An order that is told for the first time gets its
Study Instance UID as an identifier, so that the study which comes back is known as its.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Final

from fhirserver.access.grant import SERVER
from fhirserver.audit.imaging import StudyAccess
from fhirserver.dicom.matching import Exactly, Key, matches
from fhirserver.dicom.worklist.element import DataSet
from fhirserver.dicom.worklist.entry import (
    DICOM_UID,
    Order,
    device_references,
    entries,
    minted_study_uid,
    study_uid_of,
)
from fhirserver.errors import FhirError
from fhirserver.interactions.context import Context
from fhirserver.interactions.request import Answer, Pairs, Request
from fhirserver.model.json import Resource, decode
from fhirserver.model.reference import literal
from fhirserver.operations import walk
from fhirserver.operations.imaging.planned import Planned
from fhirserver.search.compile import compile_criteria
from fhirserver.search.escape import escape
from fhirserver.search.expression import Query
from fhirserver.store.port import Key as ResourceKey

_MOST: Final = 5000  # orders that are looked at
_AT_ONCE: Final = 100
_INTENTS: Final = "order,original-order,reflex-order,filler-order,instance-order"
_SECTIONS: Final = "http://terminology.hl7.org/CodeSystem/v2-0074"
IMAGING: Final = (
    ("http://snomed.info/sct", "363679005"),
    ("http://loinc.org", "LP29684-5"),
    *((_SECTIONS, code) for code in ("RAD", "IMG", "CT", "NMR", "NMS", "RUS", "RX", "CUS", "VUS")),
)
"""Categories of orders for imaging: SNOMED CT, LOINC, diagnostic service sections of HL7 v2."""

_ACTIVE: Final = (
    ("status", "active"),
    ("intent", _INTENTS),
    ("category", ",".join(f"{system}|{code}" for system, code in IMAGING)),
)
_NUMBERS: Final = {
    "00080050": "identifier",
    "00100020": "patient.identifier",
    "00402016": "identifier",
    "00402017": "identifier",
}
"""Accession number, Patient ID, placer's and filler's order number, as search parameters."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which steps are asked for. `station`: the AE title of who asks; `zone`: where it stands."""

    keys: tuple[Key, ...] = ()
    station: str = ""
    zone: tzinfo | None = None


async def run(context: Context, request: Request) -> Answer:
    """200 with a list of entries (DICOM JSON as values). Raises `TooCostly`."""
    wanted = request.imaging
    assert isinstance(wanted, Wanted)
    base = context.base or request.base
    found: list[DataSet] = []
    studies = []
    for order in await _orders(context, request, wanted):
        known = study_uid_of(order.request)
        uid = known or minted_study_uid(base, order.request["id"])
        listed = entries(order, uid, station=wanted.station, zone=wanted.zone)
        matching = [entry for entry in listed if matches(wanted.keys, entry)]
        if not matching:
            continue
        if not known:
            await _keep_study_uid(context, request, order.request, uid)
        found += matching
        studies.append(StudyAccess(uid, None, order.patient["id"]))
    return Answer(200, imaging=found, studies=tuple(studies))


async def _orders(context: Context, request: Request, wanted: Wanted) -> list[Order]:
    """The orders that may match, with what belongs to them."""
    requests = await _requests(context, request, wanted)
    patients = await _read(context, (_subject(item) for item in requests))
    based_on = [f"ServiceRequest/{item['id']}" for item in requests]
    tasks = await _based_on(context, request, "Task", based_on)
    appointments = await _based_on(context, request, "Appointment", based_on)
    orders = []
    for item, reference in zip(requests, based_on, strict=True):
        patient = patients.get(_subject(item))
        if patient is None:
            continue
        orders.append(
            Order(item, patient, tasks.get(reference, ()), appointments.get(reference, ()))
        )
    return await _with_devices(context, orders)


async def _requests(context: Context, request: Request, wanted: Wanted) -> list[Resource]:
    """Active imaging orders: those that a number or the patient names, else those with a step that
    may match, else all, as far as they are few enough to be looked at."""

    async def search(type: str, pairs: Pairs) -> list[Resource]:
        return await _search(context, request, type, pairs)

    numbers = _numbers(wanted.keys)
    if not numbers:
        base = context.base or request.base
        planned = Planned(search, base, _ACTIVE, wanted.station)
        ids = await planned.orders(wanted.keys, context.definitions)
        if ids is not None:
            listed, found = sorted(ids), []
            for start in range(0, len(listed), _AT_ONCE):
                some = ",".join(listed[start : start + _AT_ONCE])
                found += await search("ServiceRequest", (*_ACTIVE, ("_id", some)))
            return found
    return await search("ServiceRequest", (*_ACTIVE, *numbers))


async def _with_devices(context: Context, orders: list[Order]) -> list[Order]:
    references = {
        reference
        for order in orders
        for task in (None, *order.tasks)
        for reference in device_references(order, task)
    }
    devices = await _read(context, references) if references else {}
    return [
        Order(item.request, item.patient, item.tasks, item.appointments, devices) for item in orders
    ]


def _numbers(keys: Iterable[Key]) -> Pairs:
    """The keys that are numbers of orders and patients."""
    return tuple(
        (_NUMBERS[key.tag], escape(key.condition.value))
        for key in keys
        if isinstance(key.condition, Exactly) and key.tag in _NUMBERS
    )


async def _search(context: Context, request: Request, type: str, pairs: Pairs) -> list[Resource]:
    where = compile_criteria(
        context.definitions, type, pairs, now=context.now(), base_url=request.base
    )
    versions = await walk.matches(context, Query((type,), where), _MOST)
    return [decode(version.body or b"{}") for version in versions]


async def _based_on(
    context: Context, request: Request, type: str, references: Sequence[str]
) -> dict[str, list[Resource]]:
    """Resources of a type by what they are based on."""
    found: dict[str, list[Resource]] = {}
    for start in range(0, len(references), _AT_ONCE):
        some = set(references[start : start + _AT_ONCE])
        pairs = (("based-on", ",".join(sorted(some))),)
        for resource in await _search(context, request, type, pairs):
            for item in resource.get("basedOn", ()):
                parts = literal(item.get("reference", ""))
                if parts is not None and (of := f"{parts.type}/{parts.id}") in some:
                    found.setdefault(of, []).append(resource)
    return found


async def _read(context: Context, references: Iterable[str]) -> dict[str, Resource]:
    keys = [
        ResourceKey(*reference.split("/", 1))
        for reference in dict.fromkeys(references)
        if reference
    ]
    found: dict[str, Resource] = {}
    for start in range(0, len(keys), _AT_ONCE):
        for version in await context.store.read_many(keys[start : start + _AT_ONCE]):
            if version.body is not None:
                found[f"{version.type}/{version.id}"] = decode(version.body)
    return found


def _subject(request: Resource) -> str:
    """The Patient of an order, as a reference of this server; empty for another subject."""
    parts = literal(request.get("subject", {}).get("reference", ""))
    if parts is None or parts.type != "Patient":
        return ""
    return f"Patient/{parts.id}"


async def _keep_study_uid(context: Context, request: Request, order: Resource, uid: str) -> None:
    """Writes the UID into the order. Where somebody else writes it now, it is written the next
    time: it is the same then."""
    identifier = {"system": DICOM_UID, "value": f"urn:oid:{uid}"}
    has_some = "identifier" in order
    path, value = ("/identifier/-", identifier) if has_some else ("/identifier", [identifier])
    change = Request(
        "patch",
        request.base,
        type="ServiceRequest",
        id=order["id"],
        if_match=f'W/"{order["meta"]["versionId"]}"',
        patch=[{"op": "add", "path": path, "value": value}],
        grant=SERVER,
        origin=request.origin,
    )
    try:
        await context.dispatch(change)
    except FhirError:
        return
