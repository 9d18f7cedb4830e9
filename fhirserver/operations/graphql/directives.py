"""Directives of fields: those of GraphQL, and those of FHIR that make answers flat.

https://hl7.org/fhir/R4/graphql.html#flatten
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from fhirserver.errors import Invalid
from fhirserver.model.json import Json
from fhirserver.operations.graphql.query import Asked

if TYPE_CHECKING:
    from graphql.language import DirectiveNode


class Directives(NamedTuple):
    """`shown` by @skip and @include; `slice` is the FHIRPath that names slices."""

    shown: bool = True
    flatten: bool = False
    first: bool = False
    singleton: bool = False
    slice: str | None = None


PLAIN = Directives()


def directives(asked: Asked, nodes: Sequence[DirectiveNode]) -> Directives:
    """What the directives say. Raises `Invalid` for one that is unknown or has odd arguments."""
    if not nodes:
        return PLAIN
    out = PLAIN
    for node in nodes:
        given = asked.arguments(node.arguments or ())
        out = _with(out, node.name.value, given)
    if out.slice is not None and not out.flatten:
        raise Invalid("@slice needs @flatten beside it.")
    return out


def _with(out: Directives, name: str, given: dict[str, Json]) -> Directives:
    match name, given:
        case "include", {"if": bool(value)}:
            return out._replace(shown=out.shown and value)
        case "skip", {"if": bool(value)}:
            return out._replace(shown=out.shown and not value)
        case "flatten", {}:
            return out._replace(flatten=True)
        case "first", {}:
            return out._replace(first=True)
        case "singleton", {}:
            return out._replace(singleton=True)
        case "slice", {"path": str(path)}:
            return out._replace(slice=path)
        case (("include" | "skip" | "slice"), _):
            argument = "path" if name == "slice" else "if"
            raise Invalid(f"The directive @{name} needs its argument '{argument}'.")
        case _:
            raise Invalid(f"There is no directive @{name}.")
