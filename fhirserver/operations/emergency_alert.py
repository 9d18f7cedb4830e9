"""The alert that a record was opened in an emergency: to whom the hospital named, and in the log.

The review is a Task, which waits; this is for who should hear at once. It never keeps a record
closed that is needed.
"""

from __future__ import annotations

import logging
from typing import Final

from fhirserver.access.grant import SERVER
from fhirserver.errors import FhirError
from fhirserver.interactions.context import Context
from fhirserver.interactions.request import Request
from fhirserver.model.json import Resource

_CATEGORY: Final = "http://terminology.hl7.org/CodeSystem/communication-category"
_REASON: Final = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
_LOG = logging.getLogger("fhirserver.emergencies")


async def alert(context: Context, request: Request, task: str, sender: Resource, sent: str) -> None:
    """Tells of the opening that `task` (a reference) asks to review.

    `sender` is a reference to who opened it, or has a display only; `sent` is an instant.
    """
    # Ids of the server's own only: no patient, no user, no reason.
    name = request.origin.request_id or "-"
    _LOG.warning("a record was opened in an emergency: review %s, request %s", task, name)
    officer = context.policy.privacy_officer
    if not officer:
        return
    told: Resource = {
        "resourceType": "Communication",
        "status": "completed",
        "category": [{"coding": [{"system": _CATEGORY, "code": "alert"}]}],
        "priority": "urgent",
        "subject": {"reference": f"Patient/{request.id}"},
        "about": [{"reference": task}],
        "sent": sent,
        "recipient": [{"reference": officer}],
        "reasonCode": [{"coding": [{"system": _REASON, "code": "BTG"}]}],
        "payload": [{"contentString": "A record was opened in an emergency. Please review it."}],
    }
    if "reference" in sender:
        told["sender"] = sender
    try:
        await context.dispatch(
            Request("create", request.base, "Communication", resource=told, grant=SERVER)
        )
    except FhirError as error:
        _LOG.error("the alert of %s could not be kept (%d), request %s", task, error.status, name)
