"""Where a value stands: the resource it is in, what contains that, and the Bundle around.

https://hl7.org/fhir/R4/fhirpath.html#variables tells `%resource` from `%rootResource`;
https://hl7.org/fhir/R4/bundle.html#references how links lead to other entries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final

from fhirserver.model.json import Json, Resource
from fhirserver.model.reference import literal

ALL_REJECT: Final[Mapping[str, str]] = MappingProxyType({})
"""The modes of profiles where none is told: what breaks one is an error."""

NO_TYPES: Final[Mapping[str, str]] = MappingProxyType({})
"""The types of resources by the references that lead to them, where none is known."""


class Scope:
    """`resource` is the nearest one, `root` the one that contains it or itself.

    `outer` is the scope of the Bundle or Parameters that holds it; `full_url` is the entry's.
    `modes` tells of profiles, by canonical URL, that they only warn or are off; `types` of what
    type the resources are that some references lead to.
    """

    def __init__(
        self,
        resource: Resource,
        root: Resource | None = None,
        outer: Scope | None = None,
        full_url: str | None = None,
        modes: Mapping[str, str] | None = None,
        types: Mapping[str, str] | None = None,
    ) -> None:
        self.resource = resource
        self.root = resource if root is None else root
        self.outer = outer
        self.full_url = full_url
        self.modes: Mapping[str, str] = modes or (outer.modes if outer else ALL_REJECT)
        self.types: Mapping[str, str] = types or (outer.types if outer else NO_TYPES)
        self.conforms: Callable[[Json, str], bool | None] | None = None
        self.structures: Any = outer.structures if outer else None  # `structure.Structures`
        self.advice: bool = outer.advice if outer else False  # whether what is only advice is told
        self.asks_displays: bool = outer.asks_displays if outer else False
        self.surroundings: Any = None  # what `invariant` makes of this for FHIRPath

    @property
    def is_contained(self) -> bool:
        return self.root is not self.resource

    @cached_property
    def contained(self) -> dict[str, Resource]:
        """The contained resources by id; '' is the one that contains them."""
        found = {"": self.root}
        for item in _objects(self.root.get("contained")):
            id = item.get("id")
            if isinstance(id, str):
                found[id] = item
        return found

    @cached_property
    def entries(self) -> dict[str, Resource]:
        """If the resource is a Bundle, its resources by full URL."""
        found: dict[str, Resource] = {}
        if self.resource.get("resourceType") == "Bundle":
            for entry in _objects(self.resource.get("entry")):
                url, resource = entry.get("fullUrl"), entry.get("resource")
                if isinstance(url, str) and isinstance(resource, dict):
                    found.setdefault(url, resource)
                    found[f"{url}/_history/{_version(resource)}"] = resource
        return found

    @cached_property
    def _full_urls(self) -> dict[int, str]:
        return {
            id(resource): url.partition("/_history/")[0] for url, resource in self.entries.items()
        }

    def full_url_of(self, resource: Resource) -> str | None:
        """The full URL of the entry that holds a resource."""
        return self._full_urls.get(id(resource))

    def target(self, reference: str) -> Resource | None:
        """The resource of a reference, if it is contained or in a Bundle around."""
        if reference[:1] == "#":
            return self.contained.get(reference[1:])
        if not reference:
            return None
        full_url: str | None = self.full_url
        scope = self.outer
        while scope is not None:
            if scope.entries:
                found = scope.entries.get(reference.partition("#")[0])
                if found is None:
                    found = scope.entries.get(_resolved(reference, full_url))
                if found is not None:
                    return found
            full_url, scope = scope.full_url, scope.outer
        return None


NOWHERE: Final = Scope({})
"""The scope of a value by itself."""


def _resolved(reference: str, full_url: str | None) -> str:
    """A relative reference as a full URL, on the server of the entry it stands in."""
    if full_url is None:
        return reference
    parts = literal(reference)
    own = literal(full_url)
    if parts is None or parts.base or own is None:
        return reference
    version = f"/_history/{parts.version}" if parts.version else ""
    return f"{own.base}/{parts.type}/{parts.id}{version}"


def _version(resource: Resource) -> Json:
    meta = resource.get("meta")
    return meta.get("versionId") if isinstance(meta, dict) else None


def _objects(value: Json) -> Iterator[Resource]:
    if isinstance(value, list):
        for item in value:
            if isinstance(item, dict):
                yield item
