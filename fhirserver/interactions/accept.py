"""Whether a resource that was sent may be stored: validation, with its questions answered."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from fhirserver.errors import Invalid, Unprocessable
from fhirserver.interactions.context import Context
from fhirserver.interactions.questions import judged
from fhirserver.interactions.request import Request
from fhirserver.interactions.validation_mode import OFF, mode_of
from fhirserver.model.json import Json, Resource
from fhirserver.model.outcome import Issue

_NO_TYPES: Final[Mapping[str, str]] = MappingProxyType({})


class Accepted(NamedTuple):
    """A resource that may be stored, and what there is to tell of it nevertheless."""

    resource: Resource
    issues: tuple[Issue, ...] = ()


async def accept(
    context: Context,
    request: Request,
    type: str,
    resource: Json,
    types: Mapping[str, str] = _NO_TYPES,
) -> Accepted:
    """The resource that was sent to be stored as a `type`, if it may be.

    `types` are those of resources that are written together with it, by full URL. Raises
    `Invalid` for what is no resource of that type, and `Unprocessable`, with every finding, for
    one that breaks the rules of FHIR where that is not let pass.
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
    issues: tuple[Issue, ...] = ()
    mode = mode_of(context.policy, type)
    if mode != OFF:
        issues = tuple(await judged(context, request, resource, types=types))
        if mode == "reject":
            refuse_errors(type, issues)
    if not isinstance(resource.get("meta") or {}, dict):
        raise Unprocessable("The element meta is an object.", expression=f"{type}.meta")
    return Accepted(resource, issues)


def refuse_errors(type: str, issues: tuple[Issue, ...]) -> None:
    """Raises `Unprocessable`, with every finding, if one of them is an error."""
    errors = [issue for issue in issues if issue.is_error]
    if errors:
        first = f"{errors[0].expression}: {errors[0].text}"
        more = f" There are {len(errors) - 1} more errors." if len(errors) > 1 else ""
        text = f"The {type} breaks the rules of FHIR R4. {first}{more}"
        raise Unprocessable(text, issues=issues)


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
