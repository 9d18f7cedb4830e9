"""Whether a write would change anything.

Two versions have the same content when they are the same JSON apart from the order of
properties and from `meta.versionId` and `meta.lastUpdated`. The digits of a decimal are part
of its value (https://hl7.org/fhir/R4/datatypes.html#decimal).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from fhirserver.model.json import Json, Resource, decode
from fhirserver.model.resource import Draft

_STAMP: Final = b'","lastUpdated":"'
_STAMPED: Final = len(_STAMP) + len("0000-00-00T00:00:00.000Z")
_SERVER_META: Final = ("versionId", "lastUpdated")


def same_content(stored: bytes, draft: Draft) -> bool:
    """Whether the stored form of a version says what `draft`, of the same resource, says."""
    tail = stored[stored.index(_STAMP) + _STAMPED :]
    if tail == draft.tail:
        return True
    if len(tail) != len(draft.tail):
        return False
    return same(_without_stamp(decode(stored)), _without_stamp(decode(draft.data)))


def same(one: Json, other: Json) -> bool:
    """Whether two JSON values are the same, to the last digit, in any order of properties."""
    if isinstance(one, Decimal) and isinstance(other, Decimal):
        return one.as_tuple() == other.as_tuple()
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return len(one) == len(other) and all(
            name in other and same(value, other[name]) for name, value in one.items()
        )
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def _without_stamp(resource: Resource) -> Resource:
    meta = {name: value for name, value in resource["meta"].items() if name not in _SERVER_META}
    return {**resource, "meta": meta}
