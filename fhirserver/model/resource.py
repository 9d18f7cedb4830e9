"""The form in which a version of a resource is kept and served.

`{"resourceType":..,"id":..,"meta":{"versionId":..,"lastUpdated":..` always comes first, so
that the instant of the commit, known only under the store's write lock, can be written
into the bytes without encoding them again.
"""

from __future__ import annotations

from typing import NamedTuple

from fhirserver.model.json import Resource, encode
from fhirserver.model.temporal import format_instant

_UNSET = "0000-00-00T00:00:00.000Z"


class Draft(NamedTuple):
    """The bytes of a version whose `meta.lastUpdated` begins at `offset` and is still unset."""

    data: bytes
    offset: int

    def stamped(self, microseconds: int) -> bytes:
        """The final bytes, last updated at the given instant (microseconds since 1970)."""
        end = self.offset + len(_UNSET)
        return self.data[: self.offset] + format_instant(microseconds).encode() + self.data[end:]

    @property
    def tail(self) -> bytes:
        """All that follows `lastUpdated`: equal tails mean equal content."""
        return self.data[self.offset + len(_UNSET) :]


def draft(resource: Resource, id: str, version: int) -> Draft:
    """The stored form of `resource` as version `version` of `[type]/[id]`; leaves it unchanged."""
    type_ = resource["resourceType"]
    meta = resource.get("meta") or {}
    out = {
        "resourceType": type_,
        "id": id,
        "meta": {"versionId": str(version), "lastUpdated": _UNSET}
        | {name: value for name, value in meta.items() if name not in _SERVER_META},
    }
    for name, value in resource.items():
        if name not in out:
            out[name] = value
    return Draft(encode(out), len(_head(type_, id, version)))


def redrafted(body: bytes, type: str, id: str, version: int, instant: int) -> Draft:
    """The draft that the final bytes of a version came from.

    Raises `ValueError` for bytes that are not of that version and instant (microseconds).
    """
    out = Draft(body, len(_head(type, id, version)))
    if not body.startswith(_head(type, id, version)) or out.stamped(instant) != body:
        raise ValueError(f"these are not the bytes of {type}/{id}/_history/{version}")
    return out


def _head(type: str, id: str, version: int) -> bytes:
    """What comes before the instant."""
    return (
        f'{{"resourceType":"{type}","id":"{id}","meta":{{"versionId":"{version}","lastUpdated":"'
    ).encode()


_SERVER_META = frozenset({"versionId", "lastUpdated"})
