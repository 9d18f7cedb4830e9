"""$reindex: makes the index entries of stored resources anew.

Not of R4; of one resource at once, of more as a job whose state is asked for as
https://hl7.org/fhir/R4/async.html says, whether or not `Prefer: respond-async` is sent. No
version, instant or history changes.
"""

from __future__ import annotations

from fhirserver.errors import Conflict, Invalid, NotSupported
from fhirserver.indexing.registry import REINDEX
from fhirserver.interactions.async_status import accepted
from fhirserver.interactions.context import Context
from fhirserver.interactions.request import Answer, Request
from fhirserver.model.json import decode, encode
from fhirserver.model.outcome import Issue, operation_outcome
from fhirserver.operations.arguments import Arguments, arguments
from fhirserver.operations.current import current
from fhirserver.search.parameter_check import concrete
from fhirserver.store.port import Entered

URL = "urn:fhirserver:OperationDefinition:Resource-reindex"

_ATTEMPTS = 20


async def run(context: Context, request: Request) -> Answer:
    """202 and where to ask; of an instance 200.

    Raises `Invalid` for types and parameters that there are not, `NotFound` and `Gone`.
    """
    given = arguments(context, request, URL)
    if request.id is not None:
        return await _instance(context, request)
    if context.jobs is None:
        raise NotSupported("This server does no jobs.")
    types = _types(context, request, given)
    job = await context.jobs.create(
        REINDEX, {"base": request.base, "types": types}, subject=request.grant.subject
    )
    return accepted(request, job)


def _types(context: Context, request: Request, given: Arguments) -> list[str]:
    """The types that are asked for: all, those named, and of these those of parameters."""
    known = context.definitions.resource_types
    types = {request.type} if request.type else set(given.all("type")) or set(known)
    for type_ in types:
        if type_ not in known:
            raise Invalid(f"'{type_}' is not a resource type of FHIR R4.")
    parameters = given.all("parameter")
    if not parameters:
        return sorted(types)
    wanted: set[str] = set()
    for url in parameters:
        found = context.definitions.search_parameter(url)
        if found is None:
            raise Invalid(f"This server has no search parameter {url}.")
        wanted |= types & set(concrete(context.definitions, found.base))
    return sorted(wanted)


async def _instance(context: Context, request: Request) -> Answer:
    for _ in range(_ATTEMPTS):
        version = await current(context, request.type or "", request.id or "")
        base = context.base or request.base
        entries = context.indexer.entries(decode(version.body or b"{}"), base)
        entered = Entered(version.type, version.id, version.version, entries)
        if await context.store.reindex([entered], context.unchanged):
            text = f"{version.type}/{version.id} was indexed anew."
            issue = Issue("information", "informational", "", text)
            return Answer(200, encode(operation_outcome([issue])))
    raise Conflict("Others keep changing the resource.", headers={"Retry-After": "1"})
