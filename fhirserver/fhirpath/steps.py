"""Plain paths over nodes, one step at a time: for nodes that know their place and for JSON of
no known type, where `fhirserver.fhirpath.paths` has nothing to compile.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import assert_never

from fhirserver.fhirpath.node import Collection, Item, Node, members, system, wrap
from fhirserver.fhirpath.paths import (
    ExtensionOf,
    Names,
    OfType,
    Step,
    WhereRefers,
    WhereText,
    is_of,
    names_type,
)
from fhirserver.fhirpath.references import Scope, refers_to
from fhirserver.fhirpath.syntax import TypeSpecifier


def follow(path: tuple[Step, ...], item: Item, scope: Scope) -> Collection:
    """What a path reaches from one item."""
    items: list[Item] = [item]
    for step in path:
        items = [reached for one in items for reached in _follow(step, one, scope)]
    return items


def _follow(step: Step, item: Item, scope: Scope) -> Iterable[Item]:
    match step:
        case Names(name, first):
            return [item] if first and _is_named(item, name) else member(item, name)
        case OfType(type_):
            return [item] if matches(item, type_) else []
        case WhereText(name, text):
            found = [system(one) for one in member(item, name)]
            return [item] if found == [text] else []
        case WhereRefers(type_):
            return [item] if _refers(item, type_, scope) else []
        case ExtensionOf(url):
            return [one for one in member(item, "extension") if _url(one) == url]
        case _:
            assert_never(step)


def member(item: Item, name: str) -> Iterator[Item]:
    """The items of one member; none of a value that has no members."""
    if not isinstance(item, Node):
        return
    element = item.shape.members.get(name)
    if element is not None:
        yield from members(item, name, element)
    elif not item.shape.is_typed and isinstance(item.value, dict):
        yield from wrap(item.value.get(name), item.shape)


def matches(item: Item, type_: TypeSpecifier) -> bool:
    """Whether `ofType` keeps an element; values of FHIRPath's own types are no concern here."""
    return isinstance(item, Node) and is_of(item.shape, type_)


def _is_named(item: Item, name: str) -> bool:
    if not isinstance(item, Node):
        return False
    if item.shape.is_typed:
        return names_type(item.shape, name)
    return isinstance(item.value, dict) and item.value.get("resourceType") == name


def _refers(item: Item, type_: TypeSpecifier, scope: Scope) -> bool:
    if not isinstance(item, Node):
        return False
    definitions = item.shape.shapes.definitions
    types = frozenset(
        name for name in definitions.resource_types if definitions.is_subtype(name, type_.name)
    )
    return type_.namespace != "System" and refers_to(item.value, types, scope)


def _url(item: Item) -> str | None:
    value = item.value if isinstance(item, Node) else None
    return value.get("url") if isinstance(value, dict) else None
