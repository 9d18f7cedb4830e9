"""$document: a composition and all that it leads to, as one document.

https://hl7.org/fhir/R4/composition-operation-document.html and
https://hl7.org/fhir/R4/documents.html#content. All that the composition refers to on this
server must be there; what lies on other servers stays a reference.
"""

from __future__ import annotations

from fhirserver.errors import Invalid, NotFound, NotSupported, TooCostly, Unprocessable
from fhirserver.interactions.bundle import full_url
from fhirserver.interactions.context import Context
from fhirserver.interactions.request import Answer, Request
from fhirserver.model.json import Resource, decode, encode
from fhirserver.model.outcome import Issue
from fhirserver.model.reference import ID, literal
from fhirserver.model.temporal import format_instant
from fhirserver.operations.arguments import Arguments, arguments
from fhirserver.operations.current import current
from fhirserver.operations.referenced import referenced, targets
from fhirserver.store.port import Key, Version

URL = "http://hl7.org/fhir/OperationDefinition/Composition-document"

_TYPE = "Composition"


async def run(context: Context, request: Request) -> Answer:
    """200 with a Bundle of type document, stored before if `persist` says so.

    Raises `NotFound`, `Gone`, `Unprocessable` where what is referred to is missing, and
    `TooCostly` where it is too much.
    """
    given = arguments(context, request, URL)
    if given.one("graph") is not None:
        raise NotSupported("Documents are not built by a GraphDefinition here: leave graph out.")
    persist = given.one("persist") is True
    if persist and request.resource is None:
        raise Invalid("A document that is to be stored is asked for by POST.")
    version = await current(context, _TYPE, _id(request, given))
    document = await _document(context, request.base, version)
    if not persist:
        return Answer(200, encode(document))
    made = Request(
        "create",
        request.base,
        "Bundle",
        resource=document,
        grant=request.grant,
        origin=request.origin,
    )
    stored = await context.dispatch(made)
    return Answer(200, stored.body, location=stored.location)


def _id(request: Request, given: Arguments) -> str:
    asked: str | None = given.one("id")
    if request.id is not None:
        if asked is not None:
            raise Invalid("Leave the parameter id out: the address names the composition.")
        return request.id
    if asked is None:
        raise Invalid("Say which composition is meant: call Composition/[id]/$document.")
    if ID.fullmatch(asked):
        return asked
    parts = literal(asked)
    if parts is None or parts.type != _TYPE or parts.base not in ("", request.base):
        raise NotFound("There is no such composition on this server.")
    return parts.id


async def _document(context: Context, base: str, version: Version) -> Resource:
    composition = decode(version.body or b"{}")
    most = context.policy.max_includes
    own = Key(_TYPE, version.id)
    found = await referenced(context, base, [composition], [own], most)
    if found.cut:
        raise TooCostly(f"The document would have more than {most} resources.")
    there = {Key(item.type, item.id) for item in found.versions} | {own}
    missing = [key for key in targets(context.definitions, composition, base) if key not in there]
    if missing:
        issues = [
            Issue("error", "not-found", _TYPE, f"There is no {type}/{id}, which it refers to.")
            for type, id in missing
        ]
        raise Unprocessable("The composition refers to what is not there.", issues=issues)
    entries = [{"fullUrl": full_url(base, version), "resource": composition}]
    entries += (
        {"fullUrl": full_url(base, item), "resource": decode(item.body or b"{}")}
        for item in found.versions
    )
    return {
        "resourceType": "Bundle",
        "identifier": {
            "system": "urn:ietf:rfc:3986",
            "value": f"urn:uuid:{context.new_id()}",
        },
        "type": "document",
        "timestamp": format_instant(context.now()),
        "entry": entries,
    }
