"""The elements of a StructureDefinition as a tree, with the slices beside what they slice.

https://hl7.org/fhir/R4/elementdefinition.html#id: `Patient.identifier:mrn.type`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Final

from fhirserver.errors import Invalid
from fhirserver.model.json import Resource

MOST_ELEMENTS: Final = 20_000
_DEEPEST: Final = 60


class Unusable(Invalid):
    """A profile that cannot be worked with; the text says why."""


class Node:
    """One element: its definition as JSON, its children by name, its slices by slice name.

    A slice of a slice (`a/b`) is a slice of that one. `definition` is empty for an element that a
    differential passes over on the way to a deeper one.
    """

    __slots__ = ("children", "definition", "name", "slice_name", "slices")

    def __init__(self, name: str, definition: Resource, slice_name: str | None = None) -> None:
        self.name = name
        self.slice_name = slice_name
        self.definition = definition
        self.children: dict[str, Node] = {}
        self.slices: dict[str, Node] = {}

    def copy(self) -> Node:
        """A copy that shares nothing that is changed in place."""
        made = Node(self.name, deepcopy(self.definition), self.slice_name)
        made.children = {name: child.copy() for name, child in self.children.items()}
        made.slices = {name: child.copy() for name, child in self.slices.items()}
        return made


def tree(elements: Sequence[Resource]) -> Node:
    """The tree of a snapshot or differential. Raises `Unusable` for paths that make none."""
    if not elements:
        raise Unusable("The definition has no elements.")
    if len(elements) > MOST_ELEMENTS:
        raise Unusable(f"The definition has more than {MOST_ELEMENTS} elements.")
    name = _path(elements[0]).partition(".")[0]
    root = Node(name, {})
    for definition in elements:
        path = _path(definition)
        steps = _steps(definition, path)
        if steps[0][0] != name or len(steps) > _DEEPEST:
            raise Unusable(f"The path '{path}' does not begin with '{name}'.")
        node = root
        for step, slice_name in steps[1:]:
            node = _step(node, step, slice_name)
        node.definition = definition
    return root


def flat(node: Node, path: str = "", id: str = "") -> Iterator[Resource]:
    """The elements of a tree in order, with the paths and ids that follow from it."""
    own = f"{path}.{node.name}" if path else node.name
    own_id = f"{id}.{node.name}" if id else node.name
    if node.slice_name is not None:
        own_id = f"{own_id}:{node.slice_name}"
    rest = {name: item for name, item in node.definition.items() if name not in ("id", "path")}
    yield {"id": own_id, "path": own} | rest
    for child in node.children.values():
        yield from flat(child, own, own_id)
    for part in node.slices.values():
        yield from flat(part, path, id)


def _path(definition: Resource) -> str:
    path = definition.get("path")
    if not isinstance(path, str) or not path:
        raise Unusable("An element of the definition has no path.")
    return path


def _steps(definition: Resource, path: str) -> list[tuple[str, str | None]]:
    """The names and slice names on the way, by the id, or where that is no help by the path."""
    names = path.split(".")
    parts = str(definition.get("id", path)).split(".")
    if len(parts) != len(names):
        parts = list(names)
    steps: list[tuple[str, str | None]] = []
    for name, part in zip(names, parts, strict=True):
        slice_name = part.partition(":")[2] or None
        steps.append((name, slice_name))
    if "sliceName" in definition and steps[-1][1] is None:
        steps[-1] = (steps[-1][0], str(definition["sliceName"]))
    return steps


def _step(node: Node, name: str, slice_name: str | None) -> Node:
    child = node.children.get(name)
    if child is None:
        child = node.children[name] = Node(name, {})
    if slice_name is None:
        return child
    parts = slice_name.split("/")
    for count in range(1, len(parts) + 1):
        prefix = "/".join(parts[:count])
        part = child.slices.get(prefix)
        if part is None:
            part = child.slices[prefix] = Node(name, {}, prefix)
        child = part
    return child
