"""A request's body as what its interaction takes: a resource, a patch or a form.

https://hl7.org/fhir/R4/http.html#mime-type, #patch and #search.
"""

from __future__ import annotations

from fhirserver.definitions.registry import Definitions
from fhirserver.errors import Invalid, UnsupportedMediaType
from fhirserver.interactions.request import Pairs
from fhirserver.model.json import Json, Resource, decode, encode
from fhirserver.rest.binary import BINARY, binary_of, is_binary
from fhirserver.rest.headers import Headers, header_text
from fhirserver.rest.media_type import MediaType
from fhirserver.rest.negotiation import (
    FHIR_JSON,
    FHIR_XML,
    FORM,
    JSON_PATCH,
    JSON_TYPES,
    XML_PATCH,
    XML_TYPES,
    body_type,
    media_type_of,
    unsupported,
)
from fhirserver.rest.query import query_pairs
from fhirserver.rest.xml_body import read_xml
from fhirserver.xml.parser import FHIR, SEPARATOR, root_name

_PATCH_TYPES = (JSON_PATCH, XML_PATCH, FHIR_JSON, FHIR_XML)
_BINARY_ROOT = f"{FHIR}{SEPARATOR}{BINARY}"

GRAPHQL = "application/graphql"
_PLAIN_JSON = ("application/json", "text/json")


async def resource_of(data: bytes, headers: Headers, definitions: Definitions) -> Resource:
    """The resource of a body in JSON or XML. Raises `Invalid` or `UnsupportedMediaType`."""
    found = body_type(headers.get(b"content-type"))
    if found.essence in JSON_TYPES:
        return _object(_decoded(data), "a resource")
    if found.essence in XML_TYPES:
        return await read_xml(_present(data), definitions)
    raise unsupported(found.essence, FHIR_JSON, FHIR_XML)


async def binary_resource_of(
    data: bytes, headers: Headers, definitions: Definitions, id: str | None
) -> Resource:
    """The Binary of a body, which is in FHIR's JSON or XML or the content itself."""
    content_type = header_text(headers, b"content-type")
    found = media_type_of(headers.get(b"content-type"))
    if found is None or content_type is None:
        raise UnsupportedMediaType("Say what the body is in Content-Type.")
    is_resource = "fhir" in found.essence
    if found.essence in JSON_TYPES:
        is_resource = is_resource or _is_binary_resource(data)
    elif found.essence in XML_TYPES:
        is_resource = is_resource or root_name(data) == _BINARY_ROOT
    if is_resource:
        return await resource_of(data, headers, definitions)
    return binary_of(data, content_type.strip(), id, header_text(headers, b"x-security-context"))


async def operation_input_of(data: bytes, headers: Headers, definitions: Definitions) -> Resource:
    """What an operation is sent: Parameters, a resource alone, or nothing.

    A query of GraphQL may come as itself, and as https://graphql.org/learn/serving-over-http
    has it; it becomes Parameters.
    """
    if not data:
        return {"resourceType": "Parameters"}
    found = body_type(headers.get(b"content-type"))
    if found.essence == GRAPHQL:
        return _graphql({"query": data.decode("utf-8", "replace")})
    resource = await resource_of(data, headers, definitions)
    return _graphql(resource) if found.essence in _PLAIN_JSON and "query" in resource else resource


def _graphql(sent: Resource) -> Resource:
    if "resourceType" in sent:
        return sent
    variables = sent.get("variables")
    values = {
        "query": sent.get("query"),
        "operationName": sent.get("operationName"),
        "variables": encode(variables).decode() if isinstance(variables, dict) else None,
    }
    parameters = [
        {"name": name, "valueString": value} for name, value in values.items() if value is not None
    ]
    return {"resourceType": "Parameters", "parameter": parameters}


async def patch_of(data: bytes, headers: Headers, definitions: Definitions) -> Json | bytes:
    """The operations of a JSON Patch as a list, or the Parameters of a FHIRPath Patch.

    An XML Patch is given as it is.
    """
    found = body_type(headers.get(b"content-type"))
    if found.essence == JSON_PATCH:
        operations = _decoded(data)
        if not isinstance(operations, list):
            raise Invalid("A JSON Patch is a list of operations.")
        return operations
    if found.essence in JSON_TYPES:
        return _object(_decoded(data), "a Parameters resource")
    if found.essence == XML_PATCH:
        return _present(data)
    if found.essence in XML_TYPES:
        return await read_xml(_present(data), definitions)
    refusal = unsupported(found.essence, *_PATCH_TYPES)
    refusal.headers["Accept-Patch"] = ", ".join(_PATCH_TYPES)  # RFC 5789, 2.2
    raise refusal


def form_of(data: bytes, headers: Headers) -> Pairs:
    """The parameters of a POST _search; of an empty body, none."""
    if not data and b"content-type" not in headers:
        return ()
    found: MediaType = body_type(headers.get(b"content-type"))
    if found.essence != FORM:
        raise unsupported(found.essence, FORM)
    return query_pairs(data)


def _decoded(data: bytes) -> Json:
    return decode(_present(data))


def _present(data: bytes) -> bytes:
    if not data:
        raise Invalid("The body is empty.")
    return data


def _object(value: Json, what: str) -> Resource:
    if not isinstance(value, dict):
        raise Invalid(f"The body is not {what}: send a JSON object.")
    return value


def _is_binary_resource(data: bytes) -> bool:
    try:
        return is_binary(decode(data))
    except Invalid:
        return False
