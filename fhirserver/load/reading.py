"""From files to units.

A transaction stays one; a batch may be sent in parts. Resources that a Bundle only carries
(collection, searchset) and those in lines are put, many in one transaction; so are single
resources, among them documents and messages, which are stored as they are.
"""

from __future__ import annotations

from collections.abc import Iterator

from fhirserver.errors import FhirError
from fhirserver.load.finding import Refusal
from fhirserver.load.repeatable import put, repeatable
from fhirserver.load.source import Content, Opened, Source
from fhirserver.load.unit import Piece, Unit
from fhirserver.model.json import Json, Resource, decode
from fhirserver.model.outcome import issues_of

_GROUP = 200
_GROUP_BYTES = 1_000_000
_SENT = ("transaction", "batch")
_RESOURCE = "resource"
_CARRIERS = ("collection", "searchset")
_REFUSED = {
    "": "It is no FHIR resource: it has no resourceType.",
    "history": "It is a history, which tells what was done elsewhere: load an export with "
    "--restore, or make it a collection.",
    "batch-response": "It is the answer to a batch, not data.",
    "transaction-response": "It is the answer to a transaction, not data.",
}

_NOT_STORED = {*_SENT, *_CARRIERS, *_REFUSED}


def units(source: Source, content: Content) -> Iterator[Unit | Refusal]:
    """The units of a file in order, and what of it cannot be read.

    Raises `OSError`, `EOFError` or `zlib.error` where the file itself is broken.
    """
    if source.format == "ndjson":
        with source.open() as opened:
            yield from _of_lines(source, content.digest, opened)
        return
    try:
        value = decode(content.data)
    except FhirError as error:
        yield Refusal(source.path, None, None, error.text, None, issues_of(error))
        return
    yield from _of_file(source, content.digest, value)


def _of_file(source: Source, digest: str, value: Json) -> Iterator[Unit | Refusal]:
    kind = _kind(value)
    if kind in _REFUSED:
        yield Refusal(source.path, None, None, _REFUSED[kind])
        return
    pieces = _pieces(value, kind, digest)
    if not pieces:
        yield Refusal(source.path, None, None, "It has no entries that hold a resource.")
    elif kind == "transaction" or _is_linked(kind, pieces):
        yield _whole(source, digest, kind, tuple(pieces), source.size)
    else:
        for first in range(0, len(pieces), _GROUP):
            group = pieces[first : first + _GROUP]
            share = source.size * len(group) // len(pieces)
            yield _group(source, digest, group, share, kind)


def _of_lines(source: Source, digest: str, opened: Opened) -> Iterator[Unit | Refusal]:
    """Groups of lines; a line with a Bundle that is to be opened is a unit of its own."""
    group: list[Piece] = []
    weight = told = 0

    def unit() -> Unit:
        nonlocal told
        before, told = told, opened.disk.tell()
        return _group(source, digest, group, told - before)

    for line, data in enumerate(opened.content):
        found = _of_line(source, digest, line, data)
        if isinstance(found, Piece):
            group.append(found)
            weight += len(data)
        elif found is not None:
            yield found
        if len(group) == _GROUP or weight > _GROUP_BYTES:
            yield unit()
            group, weight = [], 0
    if group:
        yield unit()


def _of_line(source: Source, digest: str, line: int, data: bytes) -> Piece | Unit | Refusal | None:
    if data.isspace():
        return None
    try:
        value = decode(data)
    except FhirError as error:
        return Refusal(source.path, line, None, error.text, None, issues_of(error))
    kind = _kind(value)
    if kind in _REFUSED:
        return Refusal(source.path, line, None, _REFUSED[kind])
    if kind == _RESOURCE:
        return Piece(line, put(value, digest, str(line)))
    pieces = _pieces(value, kind, digest, f"{line}.")
    if not pieces:
        return Refusal(source.path, line, None, "It has no entries that hold a resource.")
    return _whole(source, digest, kind, tuple(Piece(line, piece.entry) for piece in pieces), 0)


def _group(source: Source, digest: str, pieces: list[Piece], size: int, kind: str = "") -> Unit:
    type_ = "batch" if kind == "batch" else "transaction"
    start, end = pieces[0].position, pieces[-1].position + 1
    return Unit(source, digest, start, end, type_, tuple(pieces), False, size)


def _whole(source: Source, digest: str, kind: str, pieces: tuple[Piece, ...], size: int) -> Unit:
    type_ = kind if kind in _SENT else "transaction"
    start, end = pieces[0].position, pieces[-1].position + 1
    return Unit(source, digest, start, end, type_, pieces, True, size)


def _kind(value: Json) -> str:
    """The type of a Bundle that is not itself stored; "resource" or "" (none) for the rest."""
    if not isinstance(value, dict) or not isinstance(value.get("resourceType"), str):
        return ""
    kind = value.get("type")
    is_other = value["resourceType"] != "Bundle" or not isinstance(kind, str)
    return _RESOURCE if is_other or kind not in _NOT_STORED else kind


def _pieces(value: Resource, kind: str, digest: str, prefix: str = "") -> list[Piece]:
    """What is sent of a file or line, numbered by its entries."""
    if kind == _RESOURCE:
        return [Piece(0, put(value, digest, "0"))]
    entries = value.get("entry")
    numbered = list(enumerate(entries)) if isinstance(entries, list) else []
    if kind in _SENT:
        return [Piece(i, repeatable(entry, digest, f"{prefix}{i}")) for i, entry in numbered]
    return [
        Piece(i, put(entry["resource"], digest, f"{prefix}{i}", _urn(entry)))
        for i, entry in numbered
        if _is_carried(entry)
    ]


def _is_carried(entry: Json) -> bool:
    """Whether an entry of a collection or searchset holds a resource that is data."""
    if not isinstance(entry, dict) or not _kind(entry.get("resource")):
        return False
    search = entry.get("search")
    return not (isinstance(search, dict) and search.get("mode") == "outcome")


def _urn(entry: Json) -> str | None:
    url = entry.get("fullUrl")
    return url if isinstance(url, str) and url.startswith("urn:") else None


def _is_linked(kind: str, pieces: list[Piece]) -> bool:
    """Whether resources may refer to each other in ways that only their Bundle explains."""
    return kind in _CARRIERS and any("fullUrl" in piece.entry for piece in pieces)
