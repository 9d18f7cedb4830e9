"""The entries of a batch or transaction as requests.

https://hl7.org/fhir/R4/bundle-definitions.html#Bundle.entry.request. An entry becomes the
same `Request` that it would be over HTTP.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, cast

from fhirserver.errors import FhirError, Invalid, TooLarge, UnsupportedMediaType
from fhirserver.interactions.context import Context
from fhirserver.interactions.operation import MARK
from fhirserver.interactions.parameters import OF_THE_EDGE
from fhirserver.interactions.query import query_pairs
from fhirserver.interactions.request import Request
from fhirserver.interactions.route import BUNDLE, Route, route
from fhirserver.model.json import Json, Resource, decode
from fhirserver.model.outcome import Issue, issues_of
from fhirserver.store.port import Stale
from fhirserver.validation import validate
from fhirserver.xml import from_xml

Verb: TypeAlias = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]

VERBS: Final = ("DELETE", "POST", "PUT", "PATCH", "GET", "HEAD")
"""The methods of entries in the order of their processing (PUT and PATCH are one step)."""

_BODIED = frozenset({"create", "update", "conditional-update"})
_PATCHED = frozenset({"patch", "conditional-patch"})
_JSON_PATCH = "application/json-patch+json"
_XML_PATCH = "application/xml-patch+xml"
_READERS: Final[Mapping[str, Callable[[Context, bytes], Json | bytes]]] = {
    _JSON_PATCH: lambda context, data: decode(data),
    _XML_PATCH: lambda context, data: data,
    "application/fhir+json": lambda context, data: decode(data),
    "application/json": lambda context, data: decode(data),
    "application/fhir+xml": lambda context, data: from_xml(data, context.definitions),
    "application/xml": lambda context, data: from_xml(data, context.definitions),
}
"""What a Binary may hold a patch as."""


@dataclass(slots=True)  # frozen would cost three times the time to make
class BundleEntry:
    """An entry at `index`, and the request it makes."""

    index: int
    full_url: str | None
    verb: Verb
    request: Request


def entries_of(context: Context, bundle: Resource) -> list[Json]:
    """The entries of a Bundle, still unread. Raises `Invalid` or `TooLarge`."""
    entries = bundle.get("entry", [])
    if not isinstance(entries, list):
        raise Invalid("Bundle.entry is a list.", expression="Bundle.entry")
    most = context.policy.max_bundle_entries
    if len(entries) > most:
        raise TooLarge(f"A Bundle may have {most} entries, this one has {len(entries)}.")
    return entries


def envelope_issues(context: Context, bundle: Resource) -> list[Issue]:
    """What is wrong with a Bundle apart from the resources in it."""
    if context.policy.validation == "off":
        return []
    entries = [
        {name: value for name, value in entry.items() if name != "resource"} or entry
        if isinstance(entry, dict)
        else entry
        for entry in entries_of(context, bundle)
    ]
    envelope = {**bundle, "entry": entries} if entries else bundle
    issues = validate(envelope, definitions=context.definitions)
    return [issue for issue in issues if issue.is_error]


def read_entry(context: Context, bundle: Request, index: int, entry: Json) -> BundleEntry:
    """The request of an entry; what `bundle`, the request for the whole, prefers goes for it.

    Raises a `FhirError` for an entry that cannot be a request.
    """
    if not isinstance(entry, dict):
        raise Invalid("An entry is an object.")
    asked = entry.get("request")
    if not isinstance(asked, dict):
        raise Invalid("Say in request.method and request.url what is to be done.")
    verb, url = _text(asked, "method"), _text(asked, "url")
    if verb not in VERBS or url is None:
        raise Invalid(f"request.method is one of {', '.join(VERBS)}, and request.url is a URL.")
    path, _, query = url.removeprefix(f"{bundle.base}/").partition("?")
    target = route(verb, path, context.definitions)
    if target.interaction == BUNDLE:
        raise Invalid("A Bundle within a Bundle is not processed: send it by itself.")
    resource = entry.get("resource")
    if resource is not None and verb in ("GET", "HEAD", "DELETE"):
        raise Invalid(f"{verb} takes no resource.", expression="resource")
    request = Request(
        target.interaction,
        bundle.base,
        target.type,
        target.id,
        target.version,
        tuple(pair for pair in query_pairs(query) if pair[0] not in OF_THE_EDGE),
        resource=_body(target, verb, resource),
        patch=_patch(context, resource) if target.interaction in _PATCHED else None,
        if_match=_text(asked, "ifMatch"),
        if_none_match=_text(asked, "ifNoneMatch"),
        if_modified_since=_text(asked, "ifModifiedSince"),
        if_none_exist=_if_none_exist(target, _text(asked, "ifNoneExist")),
        compartment=target.compartment,
        handling=bundle.handling,
        prefer=bundle.prefer,
        grant=bundle.grant,
        origin=bundle.origin,
    )
    return BundleEntry(index, _text(entry, "fullUrl"), cast(Verb, verb), request)


def _body(target: Route, verb: str, resource: Json) -> Resource | None:
    if target.interaction.startswith(MARK) and verb == "POST":
        return {"resourceType": "Parameters"} if resource is None else cast(Resource, resource)
    return resource if target.interaction in _BODIED else None


class entry_errors:  # noqa: N801 - used as a function
    """Makes the refusals that arise within it name the entry."""

    __slots__ = ("_index",)

    def __init__(self, index: int) -> None:
        self._index = index

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, FhirError) and not isinstance(error, Stale):
            located(error, self._index)


def located(error: FhirError, index: int) -> FhirError:
    """The refusal, now saying which entry it is about."""
    place = f"Bundle.entry[{index}]"
    error.issues = tuple(
        Issue(
            issue.severity,
            issue.code,
            _under(place, issue.expression),
            f"Entry {index}: {issue.text}",
        )
        for issue in issues_of(error)
    )
    error.text = f"Entry {index}: {error.text}"
    return error


def _under(place: str, expression: str) -> str:
    first, dot, rest = expression.partition(".")
    if not first[:1].isupper():
        return f"{place}.{expression}" if expression else place
    return f"{place}.resource{dot}{rest}"


def _text(holder: Resource, name: str) -> str | None:
    value = holder.get(name)
    if value is None or isinstance(value, str):
        return value
    raise Invalid(f"'{name}' is a text.")


def _if_none_exist(target: Route, text: str | None) -> tuple[tuple[str, str], ...] | None:
    if text is None:
        return None
    if target.interaction != "create":
        raise Invalid("ifNoneExist is for POST.", expression="request.ifNoneExist")
    address, mark, query = text.partition("?")
    return query_pairs(query if mark and "=" not in address else text)


def _patch(context: Context, resource: Json) -> Json | bytes:
    """The patch that a Binary holds, or the Parameters themselves."""
    if not isinstance(resource, dict):
        raise Invalid("A patch is a Parameters or Binary resource.", expression="resource")
    if resource.get("resourceType") != "Binary":
        return resource
    read = _READERS.get(str(resource.get("contentType")).partition(";")[0].strip().lower())
    if read is None:
        raise UnsupportedMediaType(
            f"A patch in a Binary is of contentType {_JSON_PATCH} or {_XML_PATCH}.",
            expression="Binary.contentType",
        )
    try:
        data = b64decode(str(resource.get("data", "")), validate=True)
    except (Base64Error, ValueError):
        raise Invalid("Binary.data is not base64.", expression="Binary.data") from None
    return read(context, data)
