"""$snapshot: a StructureDefinition with the snapshot that follows from its differential.

https://hl7.org/fhir/R4/structuredefinition-operation-snapshot.html. What the snapshot inherits
from R4 itself has what can be checked, not the texts: those are not packaged.
"""

from __future__ import annotations

from fhirserver.errors import Invalid, NotFound, Unprocessable
from fhirserver.interactions.context import Context
from fhirserver.interactions.request import Answer, Request
from fhirserver.model.json import Resource, decode, encode
from fhirserver.operations.arguments import arguments
from fhirserver.operations.current import current
from fhirserver.validation import snapshot_of
from fhirserver.validation.tree import Unusable

URL = "http://hl7.org/fhir/OperationDefinition/StructureDefinition-snapshot"

_ROUNDS = 10  # definitions that are based on definitions


async def run(context: Context, request: Request) -> Answer:
    """200 with the StructureDefinition. Raises `Unprocessable` where it cannot be worked with."""
    definition = await _asked(context, request)
    base = definition.get("baseDefinition")
    for _ in range(_ROUNDS):
        known = context.stored.definitions(context)
        if not isinstance(base, str):
            break
        found = known.shelf("StructureDefinition").get(base.partition("|")[0])
        if found is None:
            if not await context.stored.add(context, [base]):
                break
            continue
        if "snapshot" in found:
            break
        base = found.get("baseDefinition")
    try:
        made = snapshot_of(definition, context.stored.definitions(context))
    except Unusable as unusable:
        raise Unprocessable(unusable.text, expression="StructureDefinition") from None
    return Answer(200, encode(definition | {"snapshot": {"element": made}}))


async def _asked(context: Context, request: Request) -> Resource:
    given = arguments(context, request, URL)
    definition: Resource | None = given.one("definition")
    if definition is not None:
        return definition
    if request.id is not None:
        version = await current(context, "StructureDefinition", request.id)
        stored: Resource = decode(version.body or b"{}")
        return stored
    url = given.one("url")
    if url is None:
        raise Invalid("Send the definition, or name it by url.")
    await context.stored.add(context, [url])
    known = context.stored.definitions(context).shelf("StructureDefinition")
    found = known.get(str(url).partition("|")[0])
    if found is None:
        raise NotFound(f"There is no StructureDefinition with the URL '{url}'.")
    return found
