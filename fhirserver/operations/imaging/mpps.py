"""dicom-mpps: a performed procedure step begins, goes on, ends (PS3.4 F.7).

Its state is that of its Task, which two N-SETs cannot change at once. Once it is completed, so
is the step that it was scheduled as and, where nothing else of it is open, the order.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

from fhirserver.access.grant import SERVER
from fhirserver.audit.imaging import StudyAccess
from fhirserver.dicom.mapping.attributes import Attributes, text
from fhirserver.dicom.mapping.issuers import DICOM_UID, Issuers
from fhirserver.dicom.performed_step import (
    FINAL,
    IN_PROGRESS,
    Linked,
    changed_procedure,
    changed_task,
    identifier_of,
    missing,
    procedure,
    scheduled_as,
    status_of,
    task,
)
from fhirserver.dicom.worklist.entry import OPEN_TASKS, is_performed, step_id
from fhirserver.errors import Conflict, Invalid, NotFound, PreconditionFailed
from fhirserver.interactions.context import Context
from fhirserver.interactions.request import Answer, Pairs, Request
from fhirserver.model.json import Resource, decode
from fhirserver.model.reference import own
from fhirserver.operations.imaging.orders import orders_of
from fhirserver.search.escape import escape

_ATTEMPTS: Final = 10


class Duplicate(Conflict):
    """There is a step with that SOP Instance UID."""


class Ended(Conflict):
    """The step has ended, and changes no more."""


class Missing(Invalid):
    """An attribute that must have a value has none."""


@dataclass(frozen=True, slots=True)
class Performed:
    """What a modality tells of a step: `instance` is its SOP Instance UID, `data` DICOM JSON.

    `begins`: by N-CREATE, else by N-SET. `issuers` and `zone` are assumed of what it leaves open.
    """

    instance: str
    data: Attributes
    begins: bool
    issuers: Issuers
    zone: str = ""


async def run(context: Context, request: Request) -> Answer:
    """200 when the step is written.

    Raises `Duplicate`, `NotFound`, `Ended`, `Missing`, and `Invalid` for a state that cannot be.
    """
    told = request.imaging
    assert isinstance(told, Performed)
    step = _Step(context, request, told)
    written = await (step.begin() if told.begins else step.change())
    return Answer(200, studies=_studies(written))


def _studies(task: Resource) -> tuple[StudyAccess, ...]:
    uid = task.get("focus", {}).get("identifier", {}).get("value", "").removeprefix("urn:oid:")
    kind, _, patient = task.get("for", {}).get("reference", "").partition("/")
    return (StudyAccess(uid, None, patient if kind == "Patient" else None),) if uid else ()


class _Step:
    def __init__(self, context: Context, request: Request, told: Performed) -> None:
        self._context = context
        self._request = request
        self._told = told

    async def begin(self) -> Resource:
        told = self._told
        if lacking := missing(told.data):
            raise Missing(f"({lacking[:4]},{lacking[4:]}) has no value.")
        if status_of(told.data) != IN_PROGRESS:
            raise Invalid("A performed procedure step begins IN PROGRESS.")
        linked = await self._linked()
        made = task(told.instance, told.data, linked, told.issuers, told.zone)
        done = procedure(told.instance, told.data, linked, told.issuers, told.zone)
        only_if_new = f"identifier={DICOM_UID}|urn:oid:{told.instance}"
        entries = [_post(one, only_if_new) for one in (made, done) if one is not None]
        if linked.scheduled:
            entries += await self._with_status(linked.scheduled, OPEN_TASKS[:-1], "in-progress")
        answer = await self._transaction(entries)
        if not answer["entry"][0]["response"]["status"].startswith("201"):
            raise Duplicate("There is a performed procedure step with that UID.")
        return made

    async def change(self) -> Resource:
        """Writes what an N-SET tells, again where somebody else wrote in between."""
        status = status_of(self._told.data)
        if status and status not in (IN_PROGRESS, *FINAL):
            raise Invalid("There is no such state of a performed procedure step.")
        for _ in range(_ATTEMPTS):
            try:
                return await self._changed(status)
            except (PreconditionFailed, Conflict) as error:
                if isinstance(error, Ended):
                    raise
        raise Conflict("The performed procedure step keeps changing.")

    async def _changed(self, status: str) -> Resource:
        told = self._told
        pairs = (("identifier", _token(told.instance)),)
        found = await self._search("Task", pairs)
        if not found:
            raise NotFound("There is no such performed procedure step.")
        before = found[0]
        if before["status"] != "in-progress":
            raise Ended("The performed procedure step has ended.")
        made = changed_task(before, told.data, told.zone)
        entries = [_put(made)]
        entries += [
            _put(changed_procedure(one, told.data, told.zone))
            for one in await self._search("Procedure", pairs)
        ]
        if status == "COMPLETED":
            entries += await self._completed(made)
        await self._transaction(entries)
        return made

    async def _completed(self, made: Resource) -> list[Resource]:
        """The scheduled step and the order, as far as nothing else of them is open."""
        entries = []
        scheduled = {item["reference"] for item in made.get("partOf", ())}
        for reference in scheduled:
            entries += await self._with_status(reference, OPEN_TASKS, "completed")
        for order in (item["reference"] for item in made.get("basedOn", ())):
            others = await self._search("Task", (("based-on", order),))
            is_open = any(
                item["status"] in OPEN_TASKS
                for item in others
                if item["id"] != made["id"] and f"Task/{item['id']}" not in scheduled
            )
            if not is_open:
                entries += await self._with_status(order, ("active",), "completed")
        return entries

    async def _with_status(
        self, reference: str, which: tuple[str, ...], status: str
    ) -> list[Resource]:
        """The resource with another status, to be written, if its status is one of `which`."""
        type, _, id = reference.partition("/")
        try:
            answer = await self._as_server(Request("read", "", type=type, id=id))
        except NotFound:
            return []
        found = decode(answer.body or b"{}")
        return [_put(found | {"status": status})] if found.get("status") in which else []

    async def _linked(self) -> Linked:
        """The order by the study's UID, else by its numbers where they lead to one order, whose
        patient has the number that the step tells."""
        steps = scheduled_as(self._told.data, self._told.issuers)
        if steps.study:
            found = await self._search("ServiceRequest", (("identifier", _token(steps.study)),))
            if len(found) == 1:
                return await self._linked_to(found[0], steps.scheduled)

        async def search(name: str, value: str) -> list[Resource]:
            return await self._search("ServiceRequest", ((name, value),))

        found = await orders_of(search, steps.requested)
        if len(found) == 1 and await self._is_of_patient(found[0]):
            return await self._linked_to(found[0], steps.scheduled)
        return Linked()

    async def _is_of_patient(self, order: Resource) -> bool:
        """Whether the step says nothing else of the patient than the order does."""
        number = text(self._told.data, "00100020")
        type, _, id = self._subject(order).partition("/")
        if not number or type != "Patient":
            return True
        return bool(await self._search(type, (("_id", id), ("identifier", escape(number)))))

    def _subject(self, order: Resource) -> str:
        """Whom the order is for, as a relative reference; empty where that is not here."""
        url = order.get("subject", {}).get("reference", "")
        return own(url, self._context.base or self._request.base) or ""

    async def _linked_to(self, order: Resource, scheduled: str) -> Linked:
        reference = f"ServiceRequest/{order['id']}"
        tasks = await self._search("Task", (("based-on", reference),))
        step = next(
            (one for one in tasks if not is_performed(one) and step_id(one, order) == scheduled),
            None,
        )
        patient = self._subject(order)
        return Linked(
            reference,
            f"Task/{step['id']}" if step else "",
            patient if patient.startswith("Patient/") else "",
        )

    async def _search(self, type: str, pairs: Pairs) -> list[Resource]:
        asking = Request("search-type", "", type=type, parameters=(*pairs, ("_count", "100")))
        answer = await self._as_server(asking)
        entries = decode(answer.body or b"{}").get("entry", ())
        return [item["resource"] for item in entries if item["resource"]["resourceType"] == type]

    async def _transaction(self, entries: list[Resource]) -> dict[str, Any]:
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        answer = await self._as_server(Request("transaction", "", resource=bundle))
        found: dict[str, Any] = decode(answer.body or b"{}")
        return found

    async def _as_server(self, request: Request) -> Answer:
        """The server keeps the books of steps: the peer itself may not write these types."""
        request = replace(
            request, base=self._request.base, grant=SERVER, origin=self._request.origin
        )
        return await self._context.dispatch(request)


def _token(uid: str) -> str:
    return f"{DICOM_UID}|{identifier_of(uid)['value']}"


def _post(resource: Resource, only_if_new: str) -> Resource:
    type = resource["resourceType"]
    return {
        "resource": resource,
        "request": {"method": "POST", "url": type, "ifNoneExist": only_if_new},
    }


def _put(resource: Resource) -> Resource:
    version = resource["meta"]["versionId"]
    address = f"{resource['resourceType']}/{resource['id']}"
    return {
        "resource": resource,
        "request": {"method": "PUT", "url": address, "ifMatch": f'W/"{version}"'},
    }
