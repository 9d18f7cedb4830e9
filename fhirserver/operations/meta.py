"""$meta: the profiles, tags and security labels of a resource, of a type, or of all.

https://hl7.org/fhir/R4/resource-operation-meta.html. Those of a type or of the system are
gathered resource by resource, so that there is a limit to how many are looked at.
"""

from __future__ import annotations

from fhirserver.errors import TooCostly
from fhirserver.interactions.context import Context
from fhirserver.interactions.request import Answer, Request
from fhirserver.model.json import Resource, decode
from fhirserver.operations.arguments import arguments
from fhirserver.operations.current import current
from fhirserver.operations.labels import LABELS, added
from fhirserver.operations.parameters import Out, parameters

URL = "http://hl7.org/fhir/OperationDefinition/Resource-meta"

_MOST = 20_000  # resources that are looked at


async def run(context: Context, request: Request) -> Answer:
    """200 with the meta. Raises `NotFound`, `Gone`, and `TooCostly` for too many resources."""
    arguments(context, request, URL)
    if request.type is not None and request.id is not None:
        version = await current(context, request.type, request.id)
        meta = decode(version.body or b"{}").get("meta", {})
    else:
        meta = await _gathered(context, request.type)
    return parameters(Out("return", "valueMeta", meta))


async def _gathered(context: Context, type: str | None) -> Resource:
    counts = await context.store.counts()
    if (sum(counts.values()) if type is None else counts.get(type, 0)) > _MOST:
        raise TooCostly(
            f"More than {_MOST} resources would have to be looked at: ask for the meta of a "
            "resource, or search with _tag, _security and _profile."
        )
    found: Resource = {}
    async for version in context.store.scan(type):
        meta = decode(version.body or b"{}").get("meta", {})
        found = added(found, meta)
    return {name: found[name] for name in LABELS if name in found}
