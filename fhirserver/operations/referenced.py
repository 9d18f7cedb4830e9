"""What resources refer to, and what that refers to, and so on: for packages that are whole.

Only literal references to this server are followed; those to a version give that version's
resource as it is now.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from fhirserver.definitions.registry import Definitions
from fhirserver.interactions.context import Context
from fhirserver.model.json import Json, Resource, decode
from fhirserver.model.reference import literal, references
from fhirserver.store.port import Key, Version

_AT_ONCE = 100  # resources that are read before others may have a turn


class Referenced(NamedTuple):
    """The resources in the order they were found. `cut`: there would have been more."""

    versions: list[Version]
    cut: bool


def targets(definitions: Definitions, resource: Resource, base: str) -> list[Key]:
    """The resources of this server that a resource refers to, each once."""
    found: dict[Key, None] = {}
    for holder, _ in references(resource):
        parts = literal(holder["reference"])
        if parts is not None and parts.base in ("", base) and parts.type in definitions.types:
            found[Key(parts.type, parts.id)] = None
    return list(found)


def binaries(resource: Resource, base: str) -> list[Key]:
    """The Binary resources of this server that hold the content of attachments, each once."""
    found: dict[Key, None] = {}
    stack: list[Json] = [resource]
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            url = node.get("url")
            parts = literal(url) if isinstance(url, str) else None
            if parts is not None and parts.type == "Binary" and parts.base in ("", base):
                found[Key(parts.type, parts.id)] = None
            stack.extend(node.values())
        elif isinstance(node, list):
            stack.extend(node)
    return list(found)


async def referenced(
    context: Context,
    base: str,
    resources: Iterable[Resource],
    known: Collection[Key],
    most: int,
    *,
    attachments: bool = False,
) -> Referenced:
    """What the resources lead to by their references, but those `known`; at most so many.

    With `attachments`, also where these have their content.
    """

    def leads_to(resource: Resource) -> list[Key]:
        found = targets(context.definitions, resource, base)
        return found + binaries(resource, base) if attachments else found

    seen = set(known)
    out: list[Version] = []
    fresh = list(resources)
    while fresh:
        wanted = {key: None for resource in fresh for key in leads_to(resource) if key not in seen}
        seen.update(wanted)
        keys = list(wanted)
        fresh = []
        for start in range(0, len(keys), _AT_ONCE):
            for version in await context.store.read_many(keys[start : start + _AT_ONCE]):
                if len(out) >= most:
                    return Referenced(out, cut=True)
                out.append(version)
                fresh.append(decode(version.body or b"{}"))
    return Referenced(out, cut=False)
