"""Refusals as problem details (RFC 9457): no resource of FHIR, and nothing of a patient."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

import msgspec

from fhirserver.errors import FhirError
from fhirserver.rest.reply import Reply

PROBLEM: Final = b"application/problem+json"


def refused(error: FhirError) -> Reply:
    """The response to a refused request."""
    problem = {
        "title": HTTPStatus(error.status).phrase,
        "status": error.status,
        "detail": error.text,
    }
    headers = [(b"content-type", PROBLEM)]
    headers += [(name.lower().encode(), value.encode()) for name, value in error.headers.items()]
    return Reply(error.status, headers, msgspec.json.encode(problem))
