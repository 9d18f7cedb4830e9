"""Contained resources, as search sees them.

https://hl7.org/fhir/R4/search.html#contained, docs/adr/0024-contained-resources.md. A Medication
that MedicationRequest/23 contains as `m1` is a resource of type `#Medication` with the id
`MedicationRequest/23#m1`. Its index entries stand in those of its container, under `CONTAINED`;
references to it, from the container or beside it, are references to that type and id. So
chains reach it, while a search of Medication never sees it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from fhirserver.model.json import Resource
from fhirserver.search.entry import Reference

CONTAINED = "_contained"
"""Of a container: the entries of what it contains, in one `Contained` each."""

CONTAINED_TYPE = "_contained:type"
"""Of a container: the types of what it contains, as tokens."""

CONTAINER = "_container"
"""Of a contained resource: the reference to its container."""

LOCAL_ID = "_id"
"""Of a contained resource: its id within the container, as a token."""

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
    found: dict[str, Part] = {}
    for resource_, type_, id_ in _typed(resource.get("contained")):
        reference = Reference(MARK + type_, f"{address}{MARK}{id_}")
        found.setdefault(id_, Part(reference, resource_))
    return list(found.values())


def part(resource: Resource, id: str) -> Resource | None:
    """What a resource contains under `Container/id#local`; None if it does not."""
    local = local_id(id)
    for resource_, _, id_ in _typed(resource.get("contained")):
        if id_ == local:
            return resource_
    return None


def local_id(id: str) -> str:
    """The id within the container; that of a resource that is not contained is its own."""
    return id.rpartition(MARK)[2]


def _typed(contained: Any) -> Iterator[tuple[Resource, str, str]]:
    for resource in contained if isinstance(contained, list) else ():
        if isinstance(resource, dict):
            type_, id_ = resource.get("resourceType"), resource.get("id")
            if isinstance(type_, str) and isinstance(id_, str) and type_ and id_:
                yield resource, type_, id_
