"""The entries of a batch-response or transaction-response.

https://hl7.org/fhir/R4/bundle-definitions.html#Bundle.entry.response
"""

from __future__ import annotations

from base64 import b64encode
from http import HTTPStatus

from fhirserver.errors import FhirError
from fhirserver.interactions.bundle import Entry, EntryResponse
from fhirserver.interactions.bundle_entry import BundleEntry
from fhirserver.interactions.operation import MARK
from fhirserver.interactions.prefer import outcome
from fhirserver.interactions.request import Answer
from fhirserver.model.json import encode
from fhirserver.model.outcome import issues_of, operation_outcome

_READING = frozenset({"GET", "HEAD"})


def response_entry(entry: BundleEntry, answer: Answer) -> Entry:
    """What an entry came to. A write gives the resource only to whom prefers it.

    An operation answers with what it was called for.
    """
    prefer = entry.request.prefer
    writes = entry.verb not in _READING and not entry.request.interaction.startswith(MARK)
    tells = prefer == "OperationOutcome" or (prefer is None and answer.outcome is not None)
    shown = entry.verb != "HEAD" and (not writes or prefer == "representation")
    return Entry(
        resource=_resource(answer) if shown else None,
        response=EntryResponse(
            _status(answer.status),
            location=answer.location,
            version=answer.version,
            last_modified=answer.last_updated,
            outcome=outcome(answer) if writes and tells else None,
        ),
    )


def _resource(answer: Answer) -> bytes | None:
    """The body as a resource: what is none goes into a Binary."""
    if answer.content_type is None or answer.body is None:
        return answer.body
    data = b64encode(answer.body).decode()
    return encode({"resourceType": "Binary", "contentType": answer.content_type, "data": data})


def refused_entry(error: FhirError) -> Entry:
    """What an entry came to that was refused."""
    body = encode(operation_outcome(issues_of(error)))
    return Entry(response=EntryResponse(_status(error.status), outcome=body))


def _status(status: int) -> str:
    return f"{status} {HTTPStatus(status).phrase}"
