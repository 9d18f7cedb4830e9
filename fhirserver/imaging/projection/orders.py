"""The orders and the visit that a study belongs to.

Only what is unambiguous is linked: the one ServiceRequest that has the Study Instance UID, or that
the numbers of a request lead to, and the one Encounter of the admission id; each of the same
patient. An order that is not (yet) there is referred to by its identifier alone; where several may
be meant, a Task asks for review.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from fhirserver.dicom.mapping.attributes import Attributes
from fhirserver.dicom.mapping.issuers import DICOM_UID, Issuers, Requested, token
from fhirserver.imaging.projection.gate import Gate
from fhirserver.model.json import Resource
from fhirserver.operations.imaging.orders import orders_of

TAG: Final = {"system": "urn:fhirserver:imaging", "code": "ambiguous-order"}
"""The mark of Tasks that ask which order a study was made for."""

_ORDER: Final = "ServiceRequest"


async def based_on(
    gate: Gate, study_uid: str, data: Attributes, issuers: Issuers, subject: Resource
) -> list[Resource]:
    """References to the orders of a study, one for each request that it tells of."""
    requests = issuers.requests(data)
    planned = await gate.identified(_ORDER, DICOM_UID, f"urn:oid:{study_uid}")
    found = _only(gate, planned, subject)
    if found and len(requests) <= 1:
        return found
    for requested in requests:
        for reference in await _of_request(gate, study_uid, requested, subject):
            if reference not in found:
                found.append(reference)
    return found


async def _of_request(
    gate: Gate, study_uid: str, requested: Requested, subject: Resource
) -> list[Resource]:
    async def search(name: str, value: str) -> list[Resource]:
        return await gate.search(_ORDER, name, value)

    named = requested.numbers[0].identifier
    accession = requested.accession
    if accession is not None and not accession.system:  # a bare number identifies no order
        requested = requested._replace(accession=None)
    orders = await orders_of(search, requested)
    if found := _only(gate, orders, subject):
        return found
    if len(orders) > 1:
        await _ask(gate, study_uid, named, subject, orders)
    return [{"type": _ORDER, "identifier": named}]


async def encounter(
    gate: Gate, data: Attributes, issuers: Issuers, subject: Resource
) -> Resource | None:
    """The reference to the visit of a study; None where it is not known."""
    system, value = token(issuers.admission_identifier(data) or {})
    if not system:
        return None
    found = await gate.identified("Encounter", system, value)
    return next(iter(_only(gate, found, subject)), None)


def _only(gate: Gate, found: list[Resource], subject: Resource) -> list[Resource]:
    """A reference to the one that was found, if it is of that patient."""
    if len(found) != 1:
        return []
    whose = gate.own_id(found[0].get("subject"), "Patient")
    if whose is None or whose != gate.own_id(subject, "Patient"):
        return []
    return [{"reference": f"{found[0]['resourceType']}/{found[0]['id']}"}]


async def _ask(
    gate: Gate, study_uid: str, named: Resource, subject: Resource, orders: list[Resource]
) -> None:
    """A Task for review, one for each study and request."""
    parts = "\0".join((study_uid, *token(named)))
    id = f"order-{sha256(parts.encode()).hexdigest()[:40]}"
    task: Resource = {
        "resourceType": "Task",
        "meta": {"tag": [TAG]},
        "status": "requested",
        "intent": "order",
        "code": {"text": "Link an imaging study to its order"},
        "description": "Several orders may be meant.",
        "focus": {
            "type": "ImagingStudy",
            "identifier": {"system": DICOM_UID, "value": f"urn:oid:{study_uid}"},
        },
        "for": subject,
        "input": [
            {
                "type": {"text": "Order that it may be"},
                "valueReference": {"reference": f"{_ORDER}/{one['id']}"},
            }
            for one in orders
        ],
    }
    await gate.write("Task", id, lambda present: present or task)
