"""Profiles, tags and security labels as the sets that they are.

https://hl7.org/fhir/R4/resource-operation-meta-add.html: a tag or label is the same by system
and code, a profile by its URL.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from fhirserver.model.json import Json, Resource

LABELS: Final = ("profile", "security", "tag")


def added(meta: Resource, more: Resource) -> Resource:
    """The meta with the labels of `more` that it did not have."""
    out = dict(meta)
    for name in LABELS:
        have = list(_listed(meta, name))
        same = {_identity(item) for item in have}
        for item in _listed(more, name):
            if _identity(item) not in same:
                same.add(_identity(item))
                have.append(item)
        if have:
            out[name] = have
    return out


def removed(meta: Resource, less: Resource) -> Resource:
    """The meta without the labels of `less`."""
    out = dict(meta)
    for name in LABELS:
        gone = {_identity(item) for item in _listed(less, name)}
        have = [item for item in _listed(meta, name) if _identity(item) not in gone]
        if have:
            out[name] = have
        else:
            out.pop(name, None)
    return out


def _listed(meta: Resource, name: str) -> Iterator[Json]:
    items = meta.get(name)
    return iter(items if isinstance(items, list) else ())


def _identity(item: Json) -> tuple[str, str]:
    if isinstance(item, dict):
        return str(item.get("system", "")), str(item.get("code", ""))
    return "", str(item)
