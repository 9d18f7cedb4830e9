"""Whether a resource that was sent may be stored: what is decided without the store."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from fhirserver.errors import Invalid, Unprocessable
from fhirserver.interactions.context import Context
from fhirserver.model.json import Json, Resource
from fhirserver.model.outcome import Issue
from fhirserver.validation import validate


def accept(context: Context, type: str, resource: Json) -> Resource:
    """The resource that was sent to be stored as a `type`, if it may be.

    Raises `Invalid` for what is no resource of that type, and `Unprocessable`, with every
    finding, for one that breaks the rules of FHIR.
    """
    if not isinstance(resource, dict):
        raise Invalid(f"There is no resource: send a {type}.")
    given = resource.get("resourceType")
    if given != type:
        if not isinstance(given, str) or given not in context.definitions.resource_types:
            raise Invalid(
                f"Say in resourceType what the resource is: a {type} is expected here.",
                expression="resourceType",
            )
        raise Invalid(
            f"A {given} was sent where a {type} is expected.", expression=f"{given}.resourceType"
        )
    if context.policy.validation == "reject":
        check_valid(context, resource)
    if not isinstance(resource.get("meta") or {}, dict):
        raise Unprocessable("The element meta is an object.", expression=f"{type}.meta")
    return resource


def check_valid(context: Context, resource: Resource) -> None:
    """Raises `Unprocessable`, with every finding, for a resource that breaks the rules."""
    issues = validate(resource, definitions=context.definitions)
    errors = [issue for issue in issues if issue.is_error]
    if errors:
        raise Unprocessable(
            f"The {resource['resourceType']} breaks the rules of FHIR R4 in {len(errors)} places.",
            issues=issues,
        )


def check_fragments(resource: Resource, encoded: bytes) -> None:
    """Raises `Unprocessable` for a reference to a contained resource that is not there.

    `encoded` is the resource as compact JSON, in which most show that they have none.
    """
    if _SIGN not in encoded:
        return
    fragments = set(_FRAGMENT.findall(encoded))
    if resource["resourceType"] not in _HOLDERS and fragments <= {
        id.encode() for id in _contained_ids(resource)
    }:
        return
    issues = list(_dangling(resource, resource["resourceType"]))
    if issues:
        raise Unprocessable("A reference points to nothing.", issues=issues)


_SIGN: Final = b'"reference":"#'
_FRAGMENT: Final = re.compile(rb'"reference":"#([^"]*)"')
_HOLDERS: Final = frozenset({"Bundle", "Parameters"})  # resources that hold whole others


def _contained_ids(container: Resource) -> set[str]:
    contained = container.get("contained")
    found = {
        item["id"]
        for item in (contained if isinstance(contained, list) else ())
        if isinstance(item, dict) and isinstance(item.get("id"), str)
    }
    return found | {""}  # '#' alone means the container


def _dangling(container: Resource, place: str) -> Iterator[Issue]:
    ids = _contained_ids(container)
    stack: list[tuple[Json, str, bool]] = [(container, place, True)]
    while stack:
        node, here, is_ours = stack.pop()
        if isinstance(node, list):
            stack.extend((item, f"{here}[{index}]", is_ours) for index, item in enumerate(node))
        elif isinstance(node, dict):
            if "resourceType" in node and not is_ours:
                yield from _dangling(node, here)  # the resource of an entry or a parameter
                continue
            reference = node.get("reference")
            if isinstance(reference, str) and reference[:1] == "#" and reference[1:] not in ids:
                text = f"There is no contained resource with the id '{reference[1:]}'."
                yield Issue("error", "not-found", f"{here}.reference", text)
            stack.extend(
                (value, f"{here}.{name}", name == "contained") for name, value in node.items()
            )
