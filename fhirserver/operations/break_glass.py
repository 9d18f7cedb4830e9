"""Patient/$break-glass: opens one patient's record in an emergency, for at most four hours.

Of no standard; how it is told in the audit trail is (DCM 110127, purpose of use BTG). The caller
must have signed in just now, with the second factor where the account has one, and give a reason.
Nothing is opened before it is on record, a Task asks for a review, and who is to hear of it at
once is alerted. What is opened can be read
and searched, and not written.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from fhirserver.access.break_glass import LONGEST, PURPOSE
from fhirserver.access.grant import SERVER, Grant
from fhirserver.access.principal import Principal
from fhirserver.access.strength import check_strong
from fhirserver.audit.recorder import Event
from fhirserver.errors import Fault, Forbidden, Invalid, NotFound
from fhirserver.interactions.context import Context
from fhirserver.interactions.request import Answer, Request
from fhirserver.model.json import Resource
from fhirserver.operations.arguments import arguments
from fhirserver.operations.emergency_alert import alert
from fhirserver.operations.parameters import Out, parameters

URL: Final = "urn:uuid:0e3f6c0a-6b2f-4d0d-8a51-5d4f2f6a9b37"
FRESH: Final = 5 * 60 * 1_000_000
"""Microseconds for which a sign-in counts as one of just now."""

_MINUTE: Final = 60 * 1_000_000
_SHORTEST_REASON: Final = 10
_LONGEST_REASON: Final = 1000


async def run(context: Context, request: Request) -> Answer:
    """200 with Parameters: until when the record is open, and the Task of the review.

    Raises `Unauthenticated` for a sign-in of too long ago or too weak, `Forbidden` for a role
    that may not, `Invalid` without a reason, `NotFound` where there is no such patient.
    """
    asked = arguments(context, request, URL)
    principal = _caller(context, request.grant)
    patient = request.id or ""
    access = context.access
    if access is None or access.break_glass is None:
        raise Fault("This server keeps no records of emergencies.")
    if asked.one("end") is True:
        await access.break_glass.close(principal.subject, patient)
        await _record(context, "emergency-stopped", principal, patient)
        return parameters(Out("until", "valueInstant", _instant(context.now())))
    reason = str(asked.one("reason") or "").strip()
    if not _SHORTEST_REASON <= len(reason) <= _LONGEST_REASON:
        raise Invalid(f"Give a reason of {_SHORTEST_REASON} to {_LONGEST_REASON} characters.")
    lasts = min(_minutes(asked.one("minutes")) * _MINUTE, LONGEST)
    await _check_there(context, patient)
    task = await _review(context, request, principal, patient, reason)
    await _record(context, "emergency-started", principal, patient, task)
    await alert(context, request, task, _who(principal), _instant(context.now()))
    opened = await access.break_glass.open(principal.subject, patient, reason, lasts)
    return parameters(
        Out("until", "valueInstant", _instant(opened.until)),
        Out("review", "valueReference", {"reference": task}),
    )


def _caller(context: Context, grant: Grant) -> Principal:
    principal = grant.principal
    if principal is None or not grant.may_break_glass:
        raise Forbidden("Your access does not include to open records in an emergency.")
    check_strong(principal, context.now(), FRESH)
    return principal


def _minutes(value: object) -> int:
    if value is None:
        return LONGEST // _MINUTE
    if not isinstance(value, int) or value < 1:
        raise Invalid("minutes is a positive number.")
    return value


async def _check_there(context: Context, patient: str) -> None:
    """Raises `NotFound`; that a patient is there is told to who may open the record."""
    store = context.rules or context.store
    found = await store.read("Patient", patient)
    if found is None or found.body is None:
        raise NotFound(f"There is no Patient/{patient}.")


async def _review(
    context: Context, request: Request, principal: Principal, patient: str, reason: str
) -> str:
    """The Task of the review, as a reference."""
    task: Resource = {
        "resourceType": "Task",
        "status": "requested",
        "intent": "order",
        "priority": "urgent",
        "code": {"text": "Review of an emergency access"},
        "description": f"A record was opened in an emergency. Reason given: {reason}",
        "for": {"reference": f"Patient/{patient}"},
        "authoredOn": _instant(context.now()),
        "requester": _who(principal),
    }
    answer = await context.dispatch(
        Request("create", request.base, "Task", resource=task, grant=SERVER)
    )
    return f"Task/{answer.id}"


def _who(principal: Principal) -> Resource:
    if principal.fhir_user:
        return {"reference": principal.fhir_user}
    return {"display": principal.name or principal.subject}


async def _record(
    context: Context, kind: str, principal: Principal, patient: str, task: str = ""
) -> None:
    if context.recorder is not None:
        about = tuple(item for item in (f"Patient/{patient}", task) if item)
        await context.recorder.record(
            Event(kind, principal=principal, patient=patient, about=about, purposes=(PURPOSE,))
        )


def _instant(microseconds: int) -> str:
    moment = datetime.fromtimestamp(microseconds // 1_000_000, UTC)
    return moment.isoformat().replace("+00:00", "Z")
