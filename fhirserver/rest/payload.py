"""A request's body as what its interaction takes: a resource, a patch or a form.

https://hl7.org/fhir/R4/http.html#mime-type, #patch and #search.
"""

from __future__ import annotations

from fhirserver.errors import Invalid, UnsupportedMediaType
from fhirserver.interactions.request import Pairs
from fhirserver.model.json import Json, Resource, decode
from fhirserver.rest.binary import binary_of, is_binary
from fhirserver.rest.headers import Headers, header_text
from fhirserver.rest.media_type import MediaType
from fhirserver.rest.negotiation import (
    FHIR_JSON,
    FORM,
    JSON_PATCH,
    JSON_TYPES,
    body_type,
    media_type_of,
    unsupported,
)
from fhirserver.rest.query import query_pairs


def resource_of(data: bytes, headers: Headers) -> Resource:
    """The resource of a JSON body. Raises `Invalid` or `UnsupportedMediaType`."""
    found = body_type(headers.get(b"content-type"))
    if found.essence not in JSON_TYPES:
        raise unsupported(found.essence, FHIR_JSON)
    return _object(_decoded(data), "a resource")


def binary_resource_of(data: bytes, headers: Headers, id: str | None) -> Resource:
    """The Binary of a body, which is FHIR JSON or the content itself."""
    content_type = header_text(headers, b"content-type")
    found = media_type_of(headers.get(b"content-type"))
    if found is None or content_type is None:
        raise UnsupportedMediaType("Say what the body is in Content-Type.")
    if "fhir" in found.essence:
        return resource_of(data, headers)
    if found.essence in JSON_TYPES and _is_binary_resource(data):
        return resource_of(data, headers)
    return binary_of(data, content_type.strip(), id, header_text(headers, b"x-security-context"))


def patch_of(data: bytes, headers: Headers) -> Json:
    """The operations of a JSON Patch as a list, or the Parameters of a FHIRPath Patch."""
    found = body_type(headers.get(b"content-type"))
    if found.essence == JSON_PATCH:
        operations = _decoded(data)
        if not isinstance(operations, list):
            raise Invalid("A JSON Patch is a list of operations.")
        return operations
    if found.essence in JSON_TYPES:
        return _object(_decoded(data), "a Parameters resource")
    refusal = unsupported(found.essence, JSON_PATCH, FHIR_JSON)
    refusal.headers["Accept-Patch"] = f"{JSON_PATCH}, {FHIR_JSON}"  # RFC 5789, 2.2
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
    if not data:
        raise Invalid("The body is empty.")
    return decode(data)


def _object(value: Json, what: str) -> Resource:
    if not isinstance(value, dict):
        raise Invalid(f"The body is not {what}: send a JSON object.")
    return value


def _is_binary_resource(data: bytes) -> bool:
    try:
        return is_binary(decode(data))
    except Invalid:
        return False
