"""References and the URLs they hold.

https://hl7.org/fhir/R4/references.html#literal. A reference is relative
(`Patient/1`), absolute (`https://other/fhir/Patient/1`), either of them versioned
(`Patient/1/_history/2`), a URN (`urn:uuid:...`), or contained (`#p`); one without a URL is
logical (`identifier` only).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from fhirserver.model.json import Json, Resource

ID = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII)
"""https://hl7.org/fhir/R4/datatypes.html#id"""

_LITERAL = re.compile(
    r"(?:(?P<base>https?://.+?)/)?(?P<type>[A-Z][A-Za-z]+)/(?P<id>[A-Za-z0-9\-.]{1,64})"
    r"(?:/_history/(?P<version>[A-Za-z0-9\-.]{1,64}))?",
    re.ASCII,
)


class Literal(NamedTuple):
    """A literal reference to a resource on a FHIR server; `base` is '' for a relative one."""

    base: str
    type: str
    id: str
    version: str | None


def literal(url: str) -> Literal | None:
    """The parts of a relative or absolute reference; None for a URN, fragment or other URL."""
    found = _LITERAL.fullmatch(url)
    if not found:
        return None
    base, type_, id_, version = found.groups()
    return Literal(base or "", type_, id_, version)


def own(url: str, base: str) -> str | None:
    """`Type/id` of a reference to a resource of the server whose base URL is `base`, however it is
    written: relative, absolute or versioned; None for any other."""
    parts = literal(url)
    if parts is None or parts.base not in ("", base.rstrip("/")):
        return None
    return f"{parts.type}/{parts.id}"


class Place(NamedTuple):
    """A `Reference` in a resource: the object that holds it and its FHIRPath."""

    holder: Resource
    expression: str


def references(value: Json, expression: str = "") -> Iterator[Place]:
    """Every object within `value` that has a `reference` string, contained ones included."""
    stack: list[tuple[Any, str]] = [(value, expression)]
    while stack:
        node, path = stack.pop()
        if isinstance(node, dict):
            if isinstance(node.get("reference"), str):
                yield Place(node, path)
            stack.extend(
                (child, f"{path}.{name}" if path else name)
                for name, child in node.items()
                if isinstance(child, dict | list)
            )
        elif isinstance(node, list):
            stack.extend(
                (child, f"{path}[{index}]")
                for index, child in enumerate(node)
                if isinstance(child, dict | list)
            )
