"""What has become of a request that is answered later.

https://hl7.org/fhir/R4/async.html. Such a request is a job; its address is the one that
Content-Location gave.
"""

from __future__ import annotations

from fhirserver.errors import NotFound
from fhirserver.interactions.context import Context
from fhirserver.interactions.parameters import check_parameters
from fhirserver.interactions.request import Answer, Request
from fhirserver.interactions.route import ASYNC_STATUS
from fhirserver.jobs.job import Job
from fhirserver.jobs.table import SOLE
from fhirserver.model.json import encode
from fhirserver.model.outcome import Issue, operation_outcome

_RETRY_AFTER = "5"  # seconds
_PROGRESS = 100  # characters that X-Progress may have


def accepted(request: Request, job: Job) -> Answer:
    """202: where to ask for the outcome."""
    text = "The request is being worked on. Ask for its state at the address in Content-Location."
    outcome = operation_outcome([Issue("information", "informational", "", text)])
    location = f"{request.base}/{ASYNC_STATUS}/{job.id}"
    return Answer(202, encode(outcome), headers={"Content-Location": location})


async def run(context: Context, request: Request) -> Answer:
    """202 with X-Progress while it lasts, 200 with what came of it, 500 if it failed.

    Raises `NotFound` for what was cancelled, never was or was long ago.
    """
    check_parameters(request)
    job = await _job(context, request)
    if job.state == "completed":
        return Answer(200, encode(job.result))
    if job.state == "failed":
        text = f"The request failed. {job.failure}"
        return Answer(500, encode(operation_outcome([Issue("error", "exception", "", text)])))
    headers = {"X-Progress": job.progress[:_PROGRESS], "Retry-After": _RETRY_AFTER}
    return Answer(202, headers=headers)


async def cancel(context: Context, request: Request) -> Answer:
    """202: it is cancelled, or its outcome is forgotten. Raises `NotFound` as `run` does."""
    check_parameters(request)
    job = await _job(context, request)
    assert context.jobs is not None
    if not await context.jobs.cancel(job.id):
        await context.jobs.forget(job.id)
    text = "The request is cancelled."
    return Answer(202, encode(operation_outcome([Issue("information", "informational", "", text)])))


async def _job(context: Context, request: Request) -> Job:
    held = await context.jobs.get(request.id or "") if context.jobs else None
    job = held.job if held else None
    if job is None or job.state == "cancelled" or job.cancelling or job.id.startswith(SOLE):
        raise NotFound("There is no such request, or it was cancelled, or ended long ago.")
    if job.subject != request.grant.subject:
        raise NotFound("There is no such request, or it was cancelled, or ended long ago.")
    return job
