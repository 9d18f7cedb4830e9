"""Contained resources, as search sees them.

https://hl7.org/fhir/R4/search.html#contained, docs/adr/0024-contained-resources.md. A Medication
that MedicationRequest/23 contains as `m1` is a resource of type `#Medication` with the id
`MedicationRequest/23#m1`. Its index entries stand in those of its container, under `CONTAINED`;
references to it, from the container or beside it, are references to that type and id. So
chains reach it, while a search of Medication never sees it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from fhirserver.model.json import Resource
from fhirserver.search.entry import Reference

CONTAINED = "_contained"
"""Of a container: the entries of what it contains, in one `Contained` each."""

CONTAINED_TYPE = "_contained:type"
"""Of a container: the types of what it contains, as tokens."""

CONTAINER = "_container"
"""Of a contained resource: the reference to its container."""

LOCAL_ID = "_id"
"""Of a contained resource: its whole id and that within the container, as tokens."""

MARK = "#"
"""What the type of a contained resource begins with, and parts its id from the container's."""


class Part(NamedTuple):
    """A contained resource, and how it is referred to."""

    reference: Reference
    resource: Resource


def contained_types(types: Iterable[str]) -> tuple[str, ...]:
    """The types as those of contained resources."""
    return tuple(MARK + type_ for type_ in types)


def is_contained(type: str) -> bool:
    return type.startswith(MARK)


def parts(resource: Resource, address: str) -> list[Part]:
    """What the resource at `Type/id` contains; nothing for what has no type or id.

    Of several with one id the first counts, as for references.
    """
    return [
        Part(Reference(MARK + item["resourceType"], f"{address}{MARK}{id_}"), item)
        for id_, item in held(resource).items()
    ]


def held(resource: Resource) -> dict[str, Resource]:
    """What a resource contains, by the ids within it; the first of several with one id."""
    found: dict[str, Resource] = {}
    contained = resource.get("contained")
    for item in contained if isinstance(contained, list) else ():
        if isinstance(item, dict):
            type_, id_ = item.get("resourceType"), item.get("id")
            if isinstance(type_, str) and isinstance(id_, str) and type_ and id_:
                found.setdefault(id_, item)
    return found


def local_id(id: str) -> str:
    """The id within the container; that of a resource that is not contained is its own."""
    _, mark, local = id.partition(MARK)  # what stands behind it may be anything
    return local if mark else id


def container_key(id: str) -> tuple[str, str]:
    """The type and id of what the contained resource `Container/id#local` is in."""
    type_, _, rest = id.partition("/")
    return type_, rest.partition(MARK)[0]
