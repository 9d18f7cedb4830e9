"""$graphql as an operation: from the request to a query, from its result to JSON."""

from __future__ import annotations

from fhirserver.errors import Invalid
from fhirserver.interactions.context import Context
from fhirserver.interactions.request import Answer, Request
from fhirserver.model.json import Json, decode, encode
from fhirserver.operations.arguments import arguments
from fhirserver.operations.current import current
from fhirserver.operations.graphql.query import read_query
from fhirserver.operations.graphql.select import Selecting

URL = "http://hl7.org/fhir/OperationDefinition/Resource-graphql"

_MORE = {"operationName": "string", "variables": "string"}


async def run(context: Context, request: Request) -> Answer:
    """200 with JSON that has the result as `data`.

    Raises `Invalid` for a query that is malformed or asks for what is not there,
    `Unprocessable` for a reference to nothing, `NotFound`, `Gone` and `TooCostly`.
    """
    given = arguments(context, request, URL, more=_MORE)
    asked = read_query(
        given.one("query"), given.one("operationName"), _variables(given.one("variables"))
    )
    selecting = Selecting(context, request, asked)
    if request.type is not None and request.id is not None:
        version = await current(context, request.type, request.id)
        data = await selecting.of_resource(decode(version.body or b"{}"))
    else:
        data = await selecting.of_system()
    return Answer(200, encode({"data": data}), content_type="application/json")


def _variables(text: str | None) -> dict[str, Json]:
    found = decode(text.encode()) if text else {}
    if not isinstance(found, dict):
        raise Invalid("variables is a JSON object, as a text.")
    return found
