"""An HTTP request as the `Request` of its interaction.

https://hl7.org/fhir/R4/http.html#summary.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import unquote_plus

from fhirserver.definitions.registry import Definitions
from fhirserver.errors import UriTooLong
from fhirserver.interactions.cascade import CASCADE
from fhirserver.interactions.operation import MARK
from fhirserver.interactions.request import Pairs, Request
from fhirserver.interactions.route import BUNDLE, Route, bundle_interaction, route
from fhirserver.model.reference import ID
from fhirserver.rest.asgi import Receive, Scope
from fhirserver.rest.binary import BINARY
from fhirserver.rest.body import BodyLimits, read_body
from fhirserver.rest.headers import Headers, header_text
from fhirserver.rest.negotiation import answered_type, asks_for_fhir
from fhirserver.rest.payload import (
    binary_resource_of,
    form_of,
    operation_input_of,
    patch_of,
    resource_of,
)
from fhirserver.rest.prefer import NO_PREFERENCES, Preferences, preferences
from fhirserver.rest.query import path_text, query_pairs

_FORMAT = "_format"
_PRETTY = "_pretty"
_OF_THE_EDGE = frozenset({_FORMAT, _PRETTY})

_SAYS_MORE = frozenset({b"if-none-match", b"if-modified-since", b"prefer"})
_WRITES_RESOURCE = frozenset({"create", "update", "conditional-update"})
_WRITES_PATCH = frozenset({"patch", "conditional-patch"})
_READS = frozenset({"read", "vread"})


class Asked(NamedTuple):
    """`content_type` is what to answer with; None leaves it to the Binary that is read.

    `body` is what was sent.
    """

    request: Request
    content_type: bytes | None
    indent: bool
    preferences: Preferences
    body: bytes


def bare_read(
    scope: Scope, mount: str, headers: Headers, base: str, definitions: Definitions
) -> Request | None:
    """The request of `GET /[mount]/[type]/[id]` and nothing more, which is most of all requests.

    None for every other one; `asked` would make the same of it, in more steps. A Binary is
    not bare, because its format is settled when it is read.
    """
    parts = scope["path"].split("/")
    if len(parts) != 4 or scope["method"] != "GET" or scope["query_string"]:
        return None
    _, first, type, id = parts
    if (
        first != mount
        or type not in definitions.resource_types
        or type == BINARY
        or not ID.fullmatch(id)
        or b"%" in scope.get("raw_path", b"%")
        or not _SAYS_MORE.isdisjoint(headers)
    ):
        return None
    return Request("read", base, type, id)


async def asked(
    scope: Scope,
    path: str,
    headers: Headers,
    receive: Receive,
    *,
    base: str,
    definitions: Definitions,
    limits: BodyLimits,
) -> Asked:
    """The request and how its answer is wanted; `path` is below the base.

    Raises the `FhirError` of whatever is wrong with it, the format asked for included, before
    anything is done.
    """
    method = scope["method"]
    target = route(method, path, definitions)
    query = scope["query_string"]
    parameters = query_pairs(query) if query else ()
    body = b""
    if method in ("POST", "PUT", "PATCH"):
        body = await read_body(receive, headers, limits)
        if target.interaction.startswith("search"):
            parameters += form_of(body, headers)
    kept: Pairs = ()
    if parameters:
        kept = tuple(pair for pair in parameters if pair[0] in _OF_THE_EDGE)
        if kept:
            parameters = tuple(pair for pair in parameters if pair[0] not in _OF_THE_EDGE)
    if method == "DELETE" and CASCADE not in dict(parameters):
        cascade = header_text(headers, b"x-cascade")
        parameters += () if cascade is None else ((CASCADE, cascade),)
    format, indent = _format_of(kept)
    accept = headers.get(b"accept")
    content_type = None
    if target.type != BINARY or format or target.interaction not in _READS or asks_for_fhir(accept):
        content_type = answered_type(accept, format)
    prefer = headers.get(b"prefer")
    preferred = preferences(prefer) if prefer else NO_PREFERENCES
    if method in ("GET", "HEAD") or target.interaction.startswith("search"):
        request = _reading(target, base, parameters, headers, preferred, kept)
    else:
        request = await _writing(
            target, base, parameters, headers, preferred, body, definitions=definitions
        )
    return Asked(request, content_type, indent, preferred, body)


def uri_path(scope: Scope, limit: int) -> str:
    """The decoded path of a request. Raises `UriTooLong` for an address over the limit."""
    raw_path = scope.get("raw_path")
    if raw_path is None:
        return str(scope["path"])
    if len(raw_path) + len(scope["query_string"]) > limit:
        raise UriTooLong(
            f"The address is longer than {limit} bytes: send a search as POST [type]/_search."
        )
    if b"%" not in raw_path and raw_path.isascii():
        return str(scope["path"])
    return path_text(raw_path)


def wants_indent(scope: Scope) -> bool:
    """Whether the query asks for `_pretty`, for answers to requests that are malformed too."""
    return b"_pretty=true" in scope["query_string"].split(b"&")


def wanted_format(scope: Scope) -> str | None:
    """The `_format` of the query, for answers to requests that are malformed too."""
    for pair in scope["query_string"].split(b"&"):
        name, _, value = pair.partition(b"=")
        if name == b"_format":
            return unquote_plus(value.decode("latin-1"))
    return None


def _reading(
    target: Route,
    base: str,
    parameters: Pairs,
    headers: Headers,
    preferred: Preferences,
    kept: Pairs,
) -> Request:
    return Request(
        target.interaction,
        base,
        target.type,
        target.id,
        target.version,
        parameters,
        if_none_match=header_text(headers, b"if-none-match"),
        if_modified_since=header_text(headers, b"if-modified-since"),
        compartment=target.compartment,
        kept=kept,
        handling=preferred.handling or "strict",
        languages=header_text(headers, b"accept-language"),
    )


async def _writing(
    target: Route,
    base: str,
    parameters: Pairs,
    headers: Headers,
    preferred: Preferences,
    body: bytes,
    *,
    definitions: Definitions,
) -> Request:
    interaction = target.interaction
    resource = patch = None
    if interaction in _WRITES_RESOURCE:
        if target.type == BINARY:
            resource = await binary_resource_of(body, headers, definitions, target.id)
        else:
            resource = await resource_of(body, headers, definitions)
    elif interaction.startswith(MARK):
        resource = await operation_input_of(body, headers, definitions)
    elif interaction == BUNDLE:
        resource = await resource_of(body, headers, definitions)
        interaction = bundle_interaction(resource)
    elif interaction in _WRITES_PATCH:
        patch = await patch_of(body, headers, definitions)
    return Request(
        interaction,
        base,
        target.type,
        target.id,
        target.version,
        parameters,
        resource=resource,
        patch=patch,
        if_match=header_text(headers, b"if-match"),
        if_none_match=header_text(headers, b"if-none-match"),
        if_none_exist=_if_none_exist(headers.get(b"if-none-exist")),
        compartment=target.compartment,
        handling=preferred.handling or "strict",
        prefer=preferred.returned,
        languages=header_text(headers, b"accept-language"),
    )


def _format_of(parameters: Pairs) -> tuple[str | None, bool]:
    format, indent = None, False
    for name, value in parameters:
        if name == _FORMAT:
            format = value or None
        elif name == _PRETTY:
            indent = value == "true"
    return format, indent


def _if_none_exist(value: bytes | None) -> Pairs | None:
    if value is None:
        return None
    address, mark, query = value.partition(b"?")
    return query_pairs(query if mark and b"=" not in address else value)
