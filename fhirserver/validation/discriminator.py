"""Discriminators: what tells the slices of an element apart.

https://hl7.org/fhir/R4/profiling.html#discriminator. Each has two sides: the values at its path
in the data, and what the slice's definition says about the element there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from operator import eq
from typing import Any, Final, TypeAlias

from fhirserver.definitions.element import Discriminator, element
from fhirserver.fhirpath import FhirPathError
from fhirserver.fhirpath import Node as PathNode
from fhirserver.fhirpath import compile as compile_expression
from fhirserver.fhirpath import element as path_node
from fhirserver.model.json import Json
from fhirserver.validation.binding import Bindings
from fhirserver.validation.invariant import surroundings
from fhirserver.validation.member import Item
from fhirserver.validation.pattern import has_pattern, is_fixed
from fhirserver.validation.scope import NOWHERE, Scope
from fhirserver.validation.slicing import Match
from fhirserver.validation.target import type_of
from fhirserver.validation.tree import Node

Test: TypeAlias = Callable[[Json], bool | None]
TreeOf: TypeAlias = Callable[[str], Node | None]

_STEP: Final = re.compile(r"extension\('([^']*)'\)|(resolve\(\))|ofType\((\w+)\)|(\$this)|(\w+)")
_WALKED: Final = re.compile(r"[a-z]\w*(\.[a-z]\w*)*")


class Discriminators:
    """Makes the matches of slices. `tree_of` gives the tree of a profile or type."""

    def __init__(self, bindings: Bindings, tree_of: TreeOf) -> None:
        self._bindings = bindings
        self._tree_of = tree_of

    def match(self, part: Node, discriminators: Sequence[Discriminator]) -> Match | None:
        """What belongs to a slice; None where nothing tells."""
        made = [self._one(part, item) for item in discriminators]
        known = [match for match in made if match is not None]
        if not known:
            return None
        if len(known) == 1:
            return known[0]
        return lambda item, scope: _all([match(item, scope) for match in known])

    def _one(self, part: Node, discriminator: Discriminator) -> Match | None:
        path = discriminator.path
        # Which profiles a target has to conform to is told by the reference.
        holder = path.removesuffix("resolve()") if discriminator.type == "profile" else path
        target = self.locate(part, holder)
        if target is None:
            return None
        values = _values(path)
        match discriminator.type:
            case "value" | "pattern":
                test = self._requirement(target)
                if test is None:
                    return None
                steps = self._properties(part, path)
                return _some(values, test) if steps is None else _some_at(steps, test)
            case "exists":
                return _existence(target, values)
            case "type":
                return _typed(target, path, values)
            case "profile":
                return _conforming(target, path, values)
            case _:
                return None

    # --- the side of the definition -------------------------------------------------------

    def locate(self, node: Node, path: str) -> Node | None:
        """The element of a slice's definition at the path of a discriminator."""
        at: Node | None = node
        for url, resolves, _, this, name in _STEP.findall(path):
            if at is None:
                return None
            if this or not (url or resolves or name):
                continue
            if resolves:
                at = self._of_types(at, "targetProfile")
            elif url:
                at = self._extension(at, url)
            else:
                at = self._child(at, name)
        return at

    def _properties(self, node: Node, path: str) -> tuple[str, ...] | None:
        """The properties on a way that leads through no choice; None for any other way."""
        if not _WALKED.fullmatch(path):
            return None
        at: Node | None = node
        for name in path.split("."):
            at = at and (at.children.get(name) or self._profiled(at).get(name))
        return None if at is None else tuple(path.split("."))

    def _child(self, node: Node, name: str) -> Node | None:
        for names in (node.children, self._profiled(node)):
            found = names.get(name) or names.get(f"{name}[x]")
            if found is not None:
                return found
        return None

    def _profiled(self, node: Node) -> dict[str, Node]:
        profile = self._of_types(node, "profile")
        return {} if profile is None else profile.children

    def _of_types(self, node: Node, name: str) -> Node | None:
        for type in node.definition.get("type", ()):
            for url in type.get(name, ()):
                found = self._tree_of(url)
                if found is not None:
                    return found
        return None

    def _extension(self, node: Node, url: str) -> Node | None:
        extensions = self._child(node, "extension")
        for part in extensions.slices.values() if extensions is not None else ():
            stated = self._child(part, "url")
            if stated is not None and stated.definition.get("fixedUri") == url:
                return part
        return self._tree_of(url)

    def _requirement(self, node: Node) -> Test | None:
        """What the definition asks of a value: fixed, pattern, required codes, in the depth."""
        stated = element(node.definition) if node.definition else None
        tests: list[Test] = []
        if stated is not None and isinstance(stated.fixed, str):
            tests.append(partial(eq, stated.fixed))
        elif stated is not None and stated.fixed is not None:
            tests.append(partial(_is, stated.fixed))
        elif stated is not None and stated.pattern is not None:
            tests.append(partial(_has, stated.pattern))
        elif stated is not None and stated.binding is not None:
            required = stated.binding.strength == "required"
            tests += [_in_set(self._bindings, stated.binding.value_set)] if required else []
        if not tests:
            for name, child in (node.children or self._profiled(node)).items():
                test = self._requirement(child)
                if test is not None:
                    tests.append(_inside(name, test))
        if not tests:
            return None
        return tests[0] if len(tests) == 1 else lambda value: _all([test(value) for test in tests])


def _is(fixed: Json, value: Json) -> bool | None:
    return is_fixed(value, fixed)


def _has(pattern: Json, value: Json) -> bool | None:
    return has_pattern(value, pattern)


def _inside(name: str, test: Test) -> Test:
    def inside(value: Json) -> bool | None:
        inner = value.get(name) if isinstance(value, dict) else None
        if isinstance(inner, list):
            return _any([test(item) for item in inner])
        return False if inner is None else test(inner)

    return inside


def _in_set(bindings: Bindings, url: str) -> Test:
    def known(value: Any) -> bool | None:
        if isinstance(value, str):
            return bindings.contains(url, None, value)
        if not isinstance(value, dict):
            return False
        codings = value.get("coding", [] if "code" not in value else [value])
        return _any(
            [
                bindings.contains(url, one.get("system"), one["code"])
                for one in codings
                if "code" in one
            ]
        )

    return known


# --- the side of the data -------------------------------------------------------------------

Values: TypeAlias = Callable[[Item, Scope], list[PathNode]]


def _values(path: str) -> Values:
    """The values at a path from an item, as nodes."""
    if path == "$this":
        return lambda item, scope: [_node(item)]
    expression = compile_expression(path)

    def values(item: Item, scope: Scope) -> list[PathNode]:
        try:
            if scope is NOWHERE:
                return expression.select_from(_node(item))
            return expression.select_from(_node(item), *surroundings(scope))
        except FhirPathError:
            return []

    return values


def _node(item: Item) -> PathNode:
    child = item.child
    if child.type == "Resource":
        return path_node(item.value, str((item.value or {}).get("resourceType")))
    return path_node(item.value, child.path, item.extra)


def _some(values: Values, test: Test) -> Match:
    return lambda item, scope: _any([test(node.value) for node in values(item, scope)])


def _some_at(steps: tuple[str, ...], test: Test) -> Match:
    """The same where the values are properties of properties: sooner than by FHIRPath."""
    first, rest = steps[0], steps[1:]

    def match(item: Item, scope: Scope) -> bool | None:
        content = item.value if isinstance(item.value, dict) else item.extra
        found = content.get(first) if isinstance(content, dict) else None
        if rest:
            found = _walked(found, rest)
        if isinstance(found, list):
            return _any([test(value) for value in found])
        return False if found is None else test(found)

    return match


def _walked(value: Json, steps: tuple[str, ...]) -> list[Json]:
    values = value if isinstance(value, list) else [value]
    for name in steps:
        inner: list[Json] = []
        for one in values:
            found = one.get(name) if isinstance(one, dict) else None
            if found is not None:
                inner += found if isinstance(found, list) else [found]
        values = inner
    return values


def _existence(target: Node, values: Values) -> Match | None:
    if target.definition.get("max") == "0":
        return lambda item, scope: not values(item, scope)
    if target.definition.get("min", 0) > 0:
        return lambda item, scope: bool(values(item, scope))
    return None


def _typed(target: Node, path: str, values: Values) -> Match | None:
    codes = frozenset(str(type["code"]) for type in target.definition.get("type", ()))
    if path.endswith("resolve()"):
        return _resolved_type(target, path)
    if not codes:
        codes = frozenset({target.name})

    def match(item: Item, scope: Scope) -> bool | None:
        return any(
            node.type in codes or not codes.isdisjoint(node.shape.line)
            for node in values(item, scope)
        )

    return match


def _resolved_type(target: Node, path: str) -> Match:
    wanted = target.name
    before = _values(path.removesuffix("resolve()").rstrip(".") or "$this")

    def match(item: Item, scope: Scope) -> bool | None:
        types = [
            type_of(node.value["reference"], scope)
            for node in before(item, scope)
            if isinstance(node.value, dict) and "reference" in node.value
        ]
        return _any([None if type is None else type == wanted for type in types])

    return match


def _conforming(target: Node, path: str, values: Values) -> Match | None:
    types = target.definition.get("type", ())
    name = "targetProfile" if path.endswith("resolve()") else "profile"
    urls = [url for type in types for url in type.get(name, ())]
    if not urls:
        return None

    def match(item: Item, scope: Scope) -> bool | None:
        if scope.conforms is None:
            return None
        nodes = [node.value for node in values(item, scope)]
        return _any([scope.conforms(value, url) for value in nodes for url in urls])

    return match


def _any(answers: Sequence[bool | None]) -> bool | None:
    if True in answers:
        return True
    return None if None in answers else False


def _all(answers: Sequence[bool | None]) -> bool | None:
    if False in answers:
        return False
    return None if None in answers else True
