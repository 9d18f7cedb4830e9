"""What the files of an export hold.

Current versions are one to a line in `[type].ndjson`, in the bytes that are served. A stored
Bundle of a kind that a load would open is wrapped in a transaction that puts it. A history is
one file of Bundles of type history (https://hl7.org/fhir/R4/http.html#history), oldest first.
The manifest comes last: without it an export is not whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, Literal

import msgspec

from fhirserver.model.temporal import format_instant, interval
from fhirserver.store.port import Method, Version

MANIFEST: Final = "manifest.json"
HISTORY: Final = "history"
STORED: Final = frozenset({"document", "message"})
"""Types of Bundles that a load stores as they are."""


class File(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file by its name; `type` is that of its resources, none for a history."""

    name: str
    count: int
    type: str | None = None


class Manifest(msgspec.Struct, frozen=True, omit_defaults=True):
    """`kind` tells whether the files hold current versions or all of them."""

    software: str
    kind: Literal["current", "history"]
    files: tuple[File, ...]
    types: tuple[str, ...] = ()
    since: str | None = None


class Request(msgspec.Struct):
    method: Method
    url: str


class Response(msgspec.Struct):
    status: str
    etag: str
    lastModified: str  # noqa: N815  FHIR's name


class _Entry(msgspec.Struct):
    request: Request
    response: Response | None = None
    resource: msgspec.Raw = msgspec.Raw()


class _Meta(msgspec.Struct):
    versionId: str  # noqa: N815
    lastUpdated: str  # noqa: N815


class _Resource(msgspec.Struct):
    resourceType: str  # noqa: N815
    id: str = ""
    meta: _Meta | None = None
    type: msgspec.Raw = msgspec.Raw()
    entry: msgspec.Raw = msgspec.Raw()


_BUNDLE: Final = msgspec.json.Decoder(list[_Entry])
_RESOURCE: Final = msgspec.json.Decoder(_Resource)
_STORED: Final = frozenset(f'"{type}"'.encode() for type in STORED)
_CREATED: Final = "201 Created"
_STATUS: Final = {"POST": _CREATED, "PUT": "200 OK", "PATCH": "200 OK", "DELETE": "204 No Content"}


def current_line(version: Version) -> bytes:
    """The line of a current version."""
    body = version.body or b""
    if version.type == "Bundle" and bytes(_RESOURCE.decode(body).type) not in _STORED:
        url = f"Bundle/{version.id}".encode()
        return (
            b'{"resourceType":"Bundle","type":"transaction","entry":[{"resource":%b,'
            b'"request":{"method":"PUT","url":"%b"}}]}\n' % (body, url)
        )
    return body + b"\n"


def history_line(versions: Sequence[Version]) -> bytes:
    """The line of some versions, in their order."""
    entries = b",".join(map(_entry, versions))
    return b'{"resourceType":"Bundle","type":"history","entry":[%b]}\n' % entries


def versions_of(line: bytes) -> Iterator[Version]:
    """The versions that a line of an export holds, in its order.

    Raises `ValueError` for a line that is none.
    """
    try:
        told = _RESOURCE.decode(line)
        kind = bytes(told.type)
        if told.resourceType != "Bundle" or kind not in (b'"history"', b'"transaction"'):
            yield _current(line.rstrip(), told)
            return
        for entry in _BUNDLE.decode(told.entry):
            yield _past(entry) if kind == b'"history"' else _wrapped(entry)
    except (msgspec.MsgspecError, AttributeError) as error:
        raise ValueError(f"it is not a line of an export ({error})") from error


def _entry(version: Version) -> bytes:
    type, id, number, instant, method, body = version
    url = type if method == "POST" else f"{type}/{id}"
    status = _CREATED if number == 1 else _STATUS[method]
    told = msgspec.json.encode(
        {
            "request": Request(method, url),
            "response": Response(status, f'W/"{number}"', format_instant(instant)),
        }
    )
    return told if body is None else b'{"resource":%b,%b' % (body, told[1:])


def _past(entry: _Entry) -> Version:
    """The version of an entry of a history."""
    if entry.response is None:
        raise ValueError("an entry of a history has no response")
    body = bytes(entry.resource) or None
    type, _, id = entry.request.url.partition("/")
    if body is not None:
        id = _RESOURCE.decode(body).id
    number = int(entry.response.etag[3:-1])
    instant = interval(entry.response.lastModified).start
    return Version(type, id, number, instant, entry.request.method, body)


def _wrapped(entry: _Entry) -> Version:
    body = bytes(entry.resource)
    return _current(body, _RESOURCE.decode(body))


def _current(body: bytes, told: _Resource) -> Version:
    """The version of a resource; by which method it was made is not told."""
    if told.meta is None:
        raise ValueError(f"{told.resourceType}/{told.id} has no version")
    instant = interval(told.meta.lastUpdated).start
    number = int(told.meta.versionId)
    return Version(told.resourceType, told.id, number, instant, "PUT", body)
