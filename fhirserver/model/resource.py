"""The form in which a version of a resource is kept and served.

`{"resourceType":..,"id":..,"meta":{"versionId":..,"lastUpdated":..` always comes first, so
that the instant of the commit, known only under the store's write lock, can be written
into the bytes without encoding them again.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from fhirserver.model.json import Resource, encode
from fhirserver.model.temporal import format_instant

_UNSET = b"0000-00-00T00:00:00.000Z"


class Body(Protocol):
    """What a version is kept as, but for the instant of its commit."""

    @property
    def data(self) -> bytes:
        """The bytes that are served, with an instant that is none."""

    def stamped(self, microseconds: int) -> bytes:
        """The bytes that are kept, last updated at the instant (microseconds since 1970)."""


class Draft(NamedTuple):
    """The bytes of a version before and after its `meta.lastUpdated`, which is still unset.

    Equal tails mean equal content.
    """

    head: bytes
    tail: bytes

    @property
    def data(self) -> bytes:
        """The bytes with an instant that is none."""
        return self.head + _UNSET + self.tail

    def stamped(self, microseconds: int) -> bytes:
        """The final bytes, last updated at the given instant (microseconds since 1970)."""
        return self.head + format_instant(microseconds).encode() + self.tail


def draft(resource: Resource, id: str, version: int) -> Draft:
    """The stored form of `resource` as version `version` of `[type]/[id]`; leaves it unchanged."""
    meta = dict(resource.get("meta") or {})
    for name in _SERVER_META:
        meta.pop(name, None)
    rest = dict(resource)
    for name in _FIRST:
        rest.pop(name, None)
    head = draft_head(resource["resourceType"], id, version)
    return Draft(head, b'"' + _further(meta) + _further(rest))


def redrafted(body: bytes, type: str, id: str, version: int, instant: int) -> Draft:
    """The draft that the final bytes of a version came from.

    Raises `ValueError` for bytes that are not of that version and instant (microseconds).
    """
    head = draft_head(type, id, version)
    out = Draft(head, body[len(head) + len(_UNSET) :])
    if out.stamped(instant) != body:
        raise ValueError(f"these are not the bytes of {type}/{id}/_history/{version}")
    return out


def draft_head(type: str, id: str, version: int) -> bytes:
    """What comes before the instant."""
    return (
        f'{{"resourceType":"{type}","id":"{id}","meta":{{"versionId":"{version}","lastUpdated":"'
    ).encode()


def _further(members: Resource) -> bytes:
    """Members behind others of an object, and the end of it."""
    return b"," + encode(members)[1:] if members else b"}"


_SERVER_META = ("versionId", "lastUpdated")
_FIRST = ("resourceType", "id", "meta")
