"""Bundles as JSON bytes, joined from the bytes of stored resources without decoding them.

https://hl7.org/fhir/R4/bundle.html: searchset, history, batch-response and
transaction-response.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple, TypeAlias

from fhirserver.model.json import encode
from fhirserver.model.temporal import format_instant
from fhirserver.search.contained import is_contained
from fhirserver.store.port import Version

BundleType: TypeAlias = Literal["searchset", "history", "batch-response", "transaction-response"]
SearchMode: TypeAlias = Literal["match", "include", "outcome"]


class EntryRequest(NamedTuple):
    """How a version came about, for a history entry: `PUT` and `Patient/1`."""

    method: str
    url: str


class EntryResponse(NamedTuple):
    """What an entry of a batch or transaction came to, or the state of a history entry.

    `status` is the number, with words if you like (`201 Created`). `version` becomes the weak
    ETag and `last_modified` (microseconds since 1970) the instant. `location` is written as
    it is given, `outcome` is an OperationOutcome as JSON bytes.
    """

    status: str
    location: str | None = None
    version: int | None = None
    last_modified: int | None = None
    outcome: bytes | None = None


class Entry(NamedTuple):
    """One entry. `resource` is a whole resource as JSON bytes, as `Version.body` holds it.

    `score` tells how well a match fits.
    """

    full_url: str | None = None
    resource: bytes | None = None
    search_mode: SearchMode | None = None
    request: EntryRequest | None = None
    response: EntryResponse | None = None
    score: float | None = None


class Link(NamedTuple):
    """`relation` is self, first, previous, next or last; `url` is absolute."""

    relation: str
    url: str


def bundle(
    type: BundleType,
    entries: Iterable[Entry],
    *,
    total: int | None = None,
    links: Sequence[Link] = (),
    timestamp: int | None = None,
) -> bytes:
    """A Bundle as JSON bytes; `timestamp` in microseconds since 1970."""
    head = f'{{"resourceType":"Bundle","type":"{type}"'
    if timestamp is not None:
        head += f',"timestamp":"{format_instant(timestamp)}"'
    if total is not None:
        head += f',"total":{total}'
    parts = [head.encode()]
    if links:
        parts += (b',"link":', encode([link._asdict() for link in links]))
    body = b",".join(map(_entry, entries))
    if body:
        parts += (b',"entry":[', body, b"]")
    parts.append(b"}")
    return b"".join(parts)


def full_url(base: str, version: Version) -> str:
    """The address of a resource of this server, whatever its version.

    A contained one has that of its container, with its own id behind `#`.
    """
    if is_contained(version.type):
        return f"{base}/{version.id}"
    return f"{base}/{version.type}/{version.id}"


def _entry(entry: Entry) -> bytes:
    parts = []
    if entry.full_url is not None:
        parts.append(b'"fullUrl":' + encode(entry.full_url))
    if entry.resource is not None:
        parts.append(b'"resource":' + entry.resource)
    if entry.score is not None:
        search = {"mode": entry.search_mode, "score": entry.score}
        parts.append(b'"search":' + encode(search))
    elif entry.search_mode is not None:
        parts.append(_SEARCH[entry.search_mode])
    if entry.request is not None:
        parts.append(b'"request":' + encode(entry.request._asdict()))
    if entry.response is not None:
        parts.append(b'"response":' + _response(entry.response))
    return b"{" + b",".join(parts) + b"}"


_SEARCH: dict[SearchMode, bytes] = {
    "match": b'"search":{"mode":"match"}',
    "include": b'"search":{"mode":"include"}',
    "outcome": b'"search":{"mode":"outcome"}',
}


def _response(response: EntryResponse) -> bytes:
    out = b'{"status":' + encode(response.status)
    if response.location is not None:
        out += b',"location":' + encode(response.location)
    if response.version is not None:
        out += b',"etag":"W/\\"%d\\""' % response.version
    if response.last_modified is not None:
        out += b',"lastModified":"' + format_instant(response.last_modified).encode() + b'"'
    if response.outcome is not None:
        out += b',"outcome":' + response.outcome
    return out + b"}"
