"""What a write answers with: nothing, the resource, or an outcome.

https://hl7.org/fhir/R4/http.html#ops, "Prefer". Without a preference the resource is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fhirserver.interactions.request import Answer, Request, Return
from fhirserver.model.json import encode
from fhirserver.model.outcome import Issue, operation_outcome

_DONE = {200: "is stored", 201: "was created", 204: "is deleted"}


def preferred(answer: Answer, prefer: Return | None) -> Answer:
    """The answer to a write with the body that the caller prefers."""
    if prefer == "minimal" and answer.body is not None:
        return replace(answer, body=None)
    if prefer == "OperationOutcome" or (prefer is None and answer.outcome is not None):
        status = 200 if answer.status == 204 else answer.status
        return replace(answer, status=status, body=outcome(answer))
    return answer


def with_issues(answer: Answer, request: Request, issues: Sequence[Issue]) -> Answer:
    """The answer to a write that tells of what was written, if the caller prefers an outcome."""
    if not issues or request.prefer != "OperationOutcome":
        return answer
    return replace(answer, outcome=encode(operation_outcome([_done(answer), *issues])))


def outcome(answer: Answer) -> bytes:
    """The OperationOutcome that tells what a write did, as JSON bytes."""
    if answer.outcome is not None:
        return answer.outcome
    return encode(operation_outcome([_done(answer)]))


def _done(answer: Answer) -> Issue:
    what = f"{answer.type}/{answer.id}" if answer.id else "What matches"
    version = f" as version {answer.version}" if answer.version else ""
    text = f"{what} {_DONE.get(answer.status, 'was processed')}{version}."
    return Issue("information", "informational", "", text)
