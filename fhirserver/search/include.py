"""What else an answer holds: `_include` and `_revinclude`.

https://hl7.org/fhir/R4/search.html#include. The pure part: from the resources of a page to the
keys and queries that they ask for. Whoever asks the store bounds how often it is repeated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from fhirserver.definitions.registry import Definitions
from fhirserver.model.json import Resource
from fhirserver.search.contained import is_contained
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


_LONG_VERSION = 15  # digits


class Wanted(NamedTuple):
    """What an `_include` asks for: resources by key, others in one version, others by URL."""

    keys: tuple[Key, ...]
    versions: tuple[tuple[str, str, int], ...]
    canonicals: tuple[str, ...]


def included(
    include: Include, resources: Iterable[Resource], indexer: Indexer, base_url: str = ""
) -> Wanted:
    """What the resources refer to by the include's parameter, each once, in their order.

    A reference to a version asks for that version, not for the current one.
    """
    keys: dict[Key, None] = {}
    versions: dict[tuple[str, str, int], None] = {}
    canonicals: dict[str, None] = {}
    for resource in resources:
        if include.source not in (ANY, resource["resourceType"]):
            continue
        found = indexer.references(resource, include.param, base_url)
        canonicals |= {id_: None for type_, id_ in found if not type_ and id_[:4] != "urn:"}
        local = [entry for entry in found if entry.type and include.target in (None, entry.type)]
        versioned = dict.fromkeys(at for entry in local if (at := _version(entry)))
        versions |= versioned
        either = {(type_, id_) for type_, id_, _ in versioned}
        for entry in local:
            if "/" not in entry.id and entry not in either:
                keys[entry.type, entry.id] = None
    return Wanted(tuple(keys), tuple(versions), tuple(canonicals))


def _version(reference: Reference) -> tuple[str, str, int] | None:
    """The version that an entry `id/_history/version` names, if it is one of ours."""
    id_, slash, version = reference.id.partition("/_history/")
    if not slash or not version.isdecimal() or len(version) > _LONG_VERSION:
        return None
    return reference.type, id_, int(version)


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


def including_query(
    include: Include, resources: Sequence[Resource], count: int, keys: Sequence[Key] = ()
) -> Query | None:
    """The query that a `_revinclude` asks for: who refers to the resources. None if nobody can.

    A resource with a canonical URL is also referred to by that. `keys` are the resources' own,
    where they do not tell it: only what holds a contained resource refers to it.
    """
    targets: dict[Target, None] = {}
    for n, resource in enumerate(resources):
        if include.target in (None, resource["resourceType"]):
            if keys and is_contained(keys[n][0]):
                targets[Target(*keys[n])] = None
            else:
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
