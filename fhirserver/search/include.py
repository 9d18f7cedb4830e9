"""What else an answer holds: `_include` and `_revinclude`.

https://hl7.org/fhir/R4/search.html#include. The pure part: from the resources of a page to the
keys and queries that they ask for. Whoever asks the store bounds how often it is repeated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from fhirserver.definitions.registry import Definitions
from fhirserver.model.json import Resource
from fhirserver.search.entry import Reference
from fhirserver.search.expression import (
    And,
    Expression,
    Or,
    Query,
    ReferenceIs,
    Target,
    TokenIs,
    TokenValue,
    UriIs,
    UriMode,
)
from fhirserver.search.index import Indexer
from fhirserver.search.request import ANY, Include

Key: TypeAlias = tuple[str, str]
"""The type and id of a resource."""


class Wanted(NamedTuple):
    """What an `_include` asks for: resources by key, and others by canonical URL."""

    keys: tuple[Key, ...]
    canonicals: tuple[str, ...]


def included(
    include: Include, resources: Iterable[Resource], indexer: Indexer, base_url: str = ""
) -> Wanted:
    """What the resources refer to by the include's parameter, each once, in their order."""
    keys: dict[Key, None] = {}
    canonicals: dict[str, None] = {}
    for resource in resources:
        if include.source in (ANY, resource["resourceType"]):
            for reference in indexer.references(resource, include.param, base_url):
                _sort_out(reference, include.target, keys, canonicals)
    return Wanted(tuple(keys), tuple(canonicals))


def _sort_out(
    reference: Reference, target: str | None, keys: dict[Key, None], canonicals: dict[str, None]
) -> None:
    type_, id_ = reference
    if type_ == "":
        if not id_.startswith("urn:"):
            canonicals[id_] = None
    elif target in (None, type_) and "/" not in id_:
        keys[type_, id_] = None


def canonical_query(
    definitions: Definitions, include: Include, canonicals: Sequence[str], count: int
) -> Query | None:
    """The query for resources of the canonical URLs, newest first; None if there can be none.

    Absolute references to other servers are among the URLs; nothing here has them.
    """
    types = (include.target,) if include.target else tuple(sorted(definitions.resource_types))
    types = tuple(type_ for type_ in types if "url" in definitions.search_parameters(type_))
    if not types or not canonicals:
        return None
    parts = tuple(map(_of_url, canonicals))
    return Query(types, parts[0] if len(parts) == 1 else Or(parts), count=count)


def _of_url(canonical: str) -> Expression:
    url, _, version = canonical.partition("|")
    is_url = UriIs("url", UriMode.EQUALS, (url,))
    if not version:
        return is_url
    return And((is_url, TokenIs("version", (TokenValue(None, version.casefold()),))))


def including_query(include: Include, resources: Iterable[Resource], count: int) -> Query | None:
    """The query that a `_revinclude` asks for: who refers to the resources. None if nobody can.

    A resource with a canonical URL is also referred to by that.
    """
    targets: dict[Target, None] = {}
    for resource in resources:
        if include.target in (None, resource["resourceType"]):
            targets |= _names_of(resource)
    if not targets:
        return None
    param = None if include.param == ANY else include.param
    types = () if include.source == ANY else (include.source,)
    return Query(types, ReferenceIs(param, tuple(targets)), count=count)


def _names_of(resource: Mapping[str, object]) -> dict[Target, None]:
    names = {Target(str(resource["resourceType"]), str(resource["id"])): None}
    url, version = resource.get("url"), resource.get("version")
    if isinstance(url, str) and url:
        names[Target("", url)] = None
        if isinstance(version, str) and version:
            names[Target("", f"{url}|{version}")] = None
    return names
