"""What a reference refers to, as far as the resource itself can tell.

https://hl7.org/fhir/R4/references.html: contained resources by `#id`, entries of the Bundle by
`fullUrl`; the type of a target from the text of the reference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from fhirserver.model.json import Resource
from fhirserver.model.reference import literal


class Scope:
    """The resource in which references are followed, and who follows those that lead out.

    Fragments of a contained resource lead to what its `container` holds. `spent` are the steps
    of what is evaluated in it, where these are counted together.
    """

    __slots__ = ("container", "resolve", "root", "spent")

    def __init__(
        self,
        root: Resource,
        resolve: Callable[[str], Resource | None] | None = None,
        container: Resource | None = None,
    ) -> None:
        self.root = root
        self.resolve = resolve
        self.container = root if container is None else container
        self.spent = 0

    def target(self, reference: str) -> Resource | None:
        """The resource of a reference, if it can be reached."""
        if reference.startswith("#"):
            return self._contained(reference[1:])
        found = self._entry(reference)
        if found is None and self.resolve is not None:
            found = self.resolve(reference)
        return found

    def _contained(self, id_: str) -> Resource | None:
        if not id_:
            return self.container
        for holder in (self.container, *self._entries()):
            for resource in _objects(holder.get("contained")):
                if resource.get("id") == id_:
                    return resource
        return None

    def _entry(self, reference: str) -> Resource | None:
        for entry in _objects(self.root.get("entry")):
            url = entry.get("fullUrl")
            resource = entry.get("resource")
            if not isinstance(url, str) or not isinstance(resource, dict):
                continue
            if url == reference or url.endswith(f"/{reference}"):
                return resource
        return None

    def _entries(self) -> Iterator[Resource]:
        for entry in _objects(self.root.get("entry")):
            resource = entry.get("resource")
            if isinstance(resource, dict):
                yield resource


def reference_of(value: Any) -> str | None:
    """The text of a reference: of a Reference, a canonical or a uri."""
    if isinstance(value, dict):
        value = value.get("reference")
    return value if isinstance(value, str) else None


def refers_to(value: Any, types: frozenset[str], scope: Scope | None) -> bool:
    """Whether a reference leads to a resource of one of some types.

    The text tells the type, then `Reference.type`; only what neither tells is followed.
    """
    reference = reference_of(value)
    if reference is not None:
        head, slash, rest = reference.partition("/")
        if slash and head in types and "/" not in rest:
            return True
        found = literal(reference)
        if found is not None:
            return found.type in types
    if isinstance(value, dict) and isinstance(value.get("type"), str):
        return value["type"] in types
    target = None if reference is None or scope is None else scope.target(reference)
    return target is not None and target.get("resourceType") in types


def _objects(values: Any) -> Iterator[Resource]:
    if isinstance(values, list):
        for value in values:
            if isinstance(value, dict):
                yield value
