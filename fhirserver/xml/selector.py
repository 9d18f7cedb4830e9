"""Selectors of XML Patch: a part of XPath 1.0, followed at a bounded cost.

RFC 5261, 4.1: steps from parent to child, with conditions on position, attributes and values.
Beyond it there are `//`, paths in conditions (values of FHIR are attributes of children),
`and`, `or`, `not()`, `!=`, `position()` and `last()`. Nothing else of XPath is understood.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, TypeAlias

from fhirserver.errors import TooCostly
from fhirserver.xml.tree import Comment, Element, Instruction, Node, Text


class Attribute(NamedTuple):
    """An attribute of an element that has it."""

    owner: Element
    name: str


class Namespace(NamedTuple):
    """A prefix that an element declares."""

    owner: Element
    prefix: str


Selected: TypeAlias = Node | Attribute | Namespace
Axis: TypeAlias = Literal["child", "self", "attribute", "namespace"]
Value: TypeAlias = bool | float | str | list[Selected]


class Budget:
    """How many nodes may yet be looked at."""

    def __init__(self, nodes: int) -> None:
        self._left = nodes

    def spend(self, nodes: int) -> None:
        """Raises `TooCostly` when there are no more."""
        self._left -= nodes
        if self._left < 0:
            raise TooCostly("The selectors of the patch look at too much: make them narrower.")


class At(NamedTuple):
    """The node that a condition is about, the `position`-th of `last`."""

    node: Selected
    position: int
    last: int
    document: Element
    budget: Budget


Condition: TypeAlias = Callable[[At], Value]


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a path: `deep` takes it from every element further down too (`//`).

    `test` chooses among the children; `name` is that of the attribute or prefix, None for any.
    """

    axis: Axis
    deep: bool
    test: Callable[[Node], bool]
    name: str | None
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Path:
    """A path; an `absolute` one starts above the root, wherever it stands."""

    steps: tuple[Step, ...]
    absolute: bool

    def select(self, root: Element, budget: Budget) -> list[Selected]:
        """What the path selects in the document of a root, in order. Raises `TooCostly`."""
        document = Element("", {}, {}, [root])
        return self.follow(document, document, budget)

    def follow(self, node: Selected, document: Element, budget: Budget) -> list[Selected]:
        """What the path selects from a node."""
        found: list[Selected] = [document if self.absolute else node]
        for step in self.steps:
            found = _taken(step, found, document, budget)
        return found


def _taken(
    step: Step, contexts: list[Selected], document: Element, budget: Budget
) -> list[Selected]:
    found: list[Selected] = []
    seen: set[int] = set()
    for context in contexts:
        for holder in _below(context) if step.deep else (context,):
            if id(holder) in seen:
                continue
            if step.deep:
                seen.add(id(holder))
            nodes = _candidates(step, holder, budget)
            for condition in step.conditions:
                last = len(nodes)
                budget.spend(last)
                nodes = [
                    node
                    for position, node in enumerate(nodes, 1)
                    if _holds(condition(At(node, position, last, document, budget)), position)
                ]
            found += nodes
    return found


def _below(node: Selected) -> Iterator[Selected]:
    """A node and all elements within it, in order."""
    yield node
    stack = list(reversed(node.children)) if isinstance(node, Element) else []
    while stack:
        child = stack.pop()
        if isinstance(child, Element):
            yield child
            stack.extend(reversed(child.children))


def _candidates(step: Step, holder: Selected, budget: Budget) -> list[Selected]:
    budget.spend(1)
    if step.axis == "self":
        return [holder]
    if not isinstance(holder, Element):
        return []
    match step.axis:
        case "child":
            budget.spend(len(holder.children))
            return [child for child in holder.children if step.test(child)]
        case "attribute":
            names = holder.attributes if step.name is None else (step.name,)
            return [Attribute(holder, name) for name in names if name in holder.attributes]
        case "namespace":
            return [
                Namespace(holder, name)
                for name in holder.prefixes
                if name and step.name in (None, name)
            ]


def _holds(value: Value, position: int) -> bool:
    if isinstance(value, float):
        return value == position
    return bool(value)


# --- conditions -----------------------------------------------------------------------------


def compared(one: Value, other: Value, budget: Budget, *, equal: bool) -> bool:
    """Whether two values are equal, or unequal, as XPath compares (1.0, 3.4)."""
    if isinstance(one, list):
        if isinstance(other, bool):
            return (bool(one) is other) is equal
        budget.spend(len(one))
        texts = [string(node, budget) for node in one]
        return any(compared(text, other, budget, equal=equal) for text in texts)
    if isinstance(other, list):
        return compared(other, one, budget, equal=equal)
    if isinstance(one, bool) or isinstance(other, bool):
        return (bool(one) is bool(other)) is equal
    if isinstance(one, float) or isinstance(other, float):
        return (_number(one) == _number(other)) is equal
    return (one == other) is equal


def string(node: Selected, budget: Budget) -> str:
    """The string value of a node: of an element all text in it."""
    match node:
        case Attribute(owner, name):
            return owner.attributes[name]
        case Namespace(owner, prefix):
            return owner.prefixes[prefix]
        case Text(text) | Comment(text) | Instruction(_, text):
            return text
        case Element():
            budget.spend(len(node.children))
            return "".join(
                string(child, budget)
                for child in node.children
                if isinstance(child, Element | Text)
            )


def _number(value: float | str) -> float:
    try:
        return float(value)
    except ValueError:
        return float("nan")


NUMBERS: Final[dict[str, Condition]] = {
    "position": lambda at: float(at.position),
    "last": lambda at: float(at.last),
}
"""The functions that give a number."""
