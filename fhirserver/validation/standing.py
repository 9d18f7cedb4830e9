"""Where extensions stand: whether their definitions let them, for the resource around to tell.

https://hl7.org/fhir/R4/defining-extensions.html#context
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any, Final, NamedTuple

from fhirserver.definitions.registry import Definitions
from fhirserver.definitions.structure import Context
from fhirserver.fhirpath import FhirPathError, Node
from fhirserver.fhirpath import compile as compile_expression
from fhirserver.fhirpath import element as path_node
from fhirserver.fhirpath.node import Collection as PathItems
from fhirserver.validation.finding import Finding, error, warning
from fhirserver.validation.invariant import surroundings
from fhirserver.validation.location import found_at, steps_to
from fhirserver.validation.question import Standing
from fhirserver.validation.scope import Scope

_STEP: Final = re.compile(r"\.(`?[A-Za-z_][\w-]*`?)(?:\[\d+\])?(?:\.ofType\((\w+)\))?")


def is_one_of(places: Collection[str], contexts: Collection[Context]) -> bool:
    """Whether an element with these names is meant by one of some contexts."""
    elements = {item.expression for item in contexts if item.type == "element"}
    return "Element" in elements or not elements.isdisjoint(places)


def places_of(definitions: Definitions, path: str) -> frozenset[str]:
    """The names by which a context may mean an element of a type or backbone path."""
    if "." not in path:
        return frozenset(definitions.bases(path))
    owner = definitions.structure(path.partition(".")[0])
    element = owner.elements.get(path) if owner else None
    names = {path}
    for type in element.types if element else ():
        names.update(definitions.bases(type.code))
    return frozenset(names)


def settle(
    found: list[Finding], type: str, definitions: Definitions, scope: Scope
) -> list[Finding]:
    """The findings about the resource of a scope, with those about contexts decided."""
    if not any(isinstance(item, Standing) for item in found):
        return found
    kept: list[Finding] = []
    for item in found:
        if isinstance(item, Standing):
            kept += _judged(item, _Holder.of(item, type, definitions, scope), scope)
        else:
            kept.append(item)
    return kept


class _Holder(NamedTuple):
    """The element that an extension is on: all its names, itself, and the extension."""

    names: Collection[str]
    node: Node
    extension: Any

    @classmethod
    def of(cls, item: Standing, type: str, definitions: Definitions, scope: Scope) -> _Holder:
        names, at = _names(item.expression, type, definitions)
        place = item.expression.rpartition(".")[0]
        way = steps_to(scope.resource, place)
        value = found_at(scope.resource, way)
        beside = None
        if not isinstance(value, dict) and (name := _last_name(way)) is not None:
            hidden = (*way[:name], f"_{way[name]}", *way[name + 1 :])
            beside = found_at(scope.resource, hidden)
        extension = found_at(scope.resource, steps_to(scope.resource, item.expression))
        return cls(names, path_node(value, at, beside), extension)


def _last_name(way: tuple[str | int, ...]) -> int | None:
    return next((n for n in range(len(way) - 1, -1, -1) if isinstance(way[n], str)), None)


def _judged(item: Standing, holder: _Holder, scope: Scope) -> Iterator[Finding]:
    try:
        if item.contexts and not _is_meant(item.contexts, holder, scope):
            wanted = ", ".join(sorted(context.expression for context in item.contexts))
            text = f"The extension '{item.url}' is for {wanted}, and does not belong here."
            yield error("extension", text, item.expression)
            return
        for rule in item.invariants:
            variables: dict[str, PathItems] = {
                "extension": [path_node(holder.extension, "Extension")]
            }
            holds = compile_expression(rule).holds(
                holder.node, *surroundings(scope), variables=variables
            )
            if holds is False:
                text = f"The extension '{item.url}' is only for elements where {rule}."
                yield error("extension", text, item.expression)
    except FhirPathError as refusal:
        text = f"Where '{item.url}' may stand could not be evaluated: {refusal.text}"
        yield warning("processing", text, item.expression)


def _is_meant(contexts: Collection[Context], holder: _Holder, scope: Scope) -> bool:
    """Whether the element is one that the contexts of an extension name."""
    if is_one_of(holder.names, contexts):
        return True
    value = holder.node.value
    resource, root, services = surroundings(scope)
    for context in contexts:
        if context.type == "extension" and isinstance(value, dict):
            if value.get("url") == context.expression:
                return True
        elif context.type == "fhirpath":
            nodes = compile_expression(context.expression).select_from(
                resource, resource, root, services
            )
            if any(node.value is value or node.value == value for node in nodes):
                return True
    return False


def _names(expression: str, type: str, definitions: Definitions) -> tuple[set[str], str]:
    """All names of the element that holds the extension at the place, and where it is defined."""
    steps = _STEP.findall(expression)[:-1]
    names = set(definitions.bases(type))
    at = type
    for name, chosen in steps:
        name = name.strip("`")
        property = f"{name}{chosen[:1].upper()}{chosen[1:]}"
        child = definitions.children(at).get(property)
        ends = (name, property, f"{name}[x]") if chosen else (name,)
        names = {f"{place}.{end}" for place in names for end in ends}
        if child is None:
            break
        at = child.path
        names |= places_of(definitions, child.path) | set(definitions.bases(child.type))
    return names, at
