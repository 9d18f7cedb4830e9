"""Snapshots: the whole of a profile, from its differential and what it is based on.

https://hl7.org/fhir/R4/profiling.html#snapshot
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from fhirserver.model.json import Resource
from fhirserver.validation.tree import Node, Unusable, flat, tree

_ADDED: Final = ("constraint", "condition", "mapping", "alias", "code", "example")
_TYPE_SLICING: Final = {
    "discriminator": [{"type": "type", "path": "$this"}],
    "ordered": False,
    "rules": "open",
}
_CORE: Final = "http://hl7.org/fhir/StructureDefinition/"

Find = Callable[[str], Resource | None]
"""The StructureDefinition of a canonical URL, or of the name of a type."""


class Snapshots:
    """Makes the trees of profiles. `find` gives the definitions that they are based on."""

    def __init__(self, find: Find) -> None:
        self._find = find
        self._trees: dict[str, Node] = {}

    def elements(self, definition: Resource) -> list[Resource]:
        """The elements of the snapshot. Raises `Unusable`."""
        return [_based(element) for element in flat(self.made(definition, ()))]

    def tree(self, definition: Resource) -> Node:
        """The tree of the stated snapshot, or of the one that is made. Raises `Unusable`."""
        return self._tree(definition, ())

    def made(self, definition: Resource, within: tuple[str, ...]) -> Node:
        """The tree that follows from the differential. Raises `Unusable`."""
        url = str(definition.get("url"))
        if url in within:
            raise Unusable(f"The definition is based on itself: {' -> '.join((*within, url))}.")
        base_url = definition.get("baseDefinition")
        if not isinstance(base_url, str):
            raise Unusable(f"The definition '{url}' does not say what it is based on.")
        base = self._find(base_url)
        if base is None:
            raise Unusable(f"The definition '{base_url}', which '{url}' is based on, is not known.")
        if base.get("type") != definition.get("type"):
            raise Unusable(
                f"The definition is for {definition.get('type')}, its base '{base_url}' for "
                f"{base.get('type')}."
            )
        made = self._tree(base, (*within, url)).copy()
        changes = (definition.get("differential") or {}).get("element") or []
        if changes:
            change = tree(changes)
            if change.name != made.name:
                raise Unusable(f"The path '{change.name}' is not that of a {made.name}.")
            self._merge(made, change, made, made.name)
        return made

    def _tree(self, definition: Resource, within: tuple[str, ...]) -> Node:
        url = str(definition.get("url"))
        found = self._trees.get(url)
        if found is None:
            snapshot = (definition.get("snapshot") or {}).get("element")
            found = tree(snapshot) if snapshot else self.made(definition, within)
            self._trees[url] = found
        return found

    # --- merging --------------------------------------------------------------------------

    def _merge(self, base: Node, change: Node, root: Node, path: str) -> None:
        _overlay(base.definition, change.definition)
        if change.children and not base.children:
            self._expand(base, root, path)
        for name, child in change.children.items():
            at = f"{path}.{name}"
            target = base.children.get(name)
            if target is None:
                target = self._of_choice(base, child, at)
            self._merge(target, child, root, at)
        for name, part in change.slices.items():
            target = base.slices.get(name)
            if target is None:
                target = base.slices[name] = _slice(base, name)
            self._merge(target, part, root, path)

    def _of_choice(self, base: Node, change: Node, path: str) -> Node:
        """`valueQuantity` as a slice of `value[x]`."""
        for name, child in base.children.items():
            stem = name.removesuffix("[x]")
            if stem == name or not change.name.startswith(stem):
                continue
            for type in child.definition.get("type", ()):
                code = type["code"]
                if change.name == f"{stem}{code[0].upper()}{code[1:]}":
                    child.definition.setdefault("slicing", dict(_TYPE_SLICING))
                    made = child.slices.get(change.name)
                    if made is None:
                        made = child.slices[change.name] = _slice(child, change.name)
                        made.definition["type"] = [type]
                        made.definition["max"] = "1"
                    return made
        raise Unusable(f"There is no element '{path}'.")

    def _expand(self, node: Node, root: Node, path: str) -> None:
        """Gives a node the children of its type or of the element that it refers to."""
        reference = node.definition.get("contentReference")
        if reference:
            shared = _at(root, str(reference).partition("#")[2])
            node.children = {name: child.copy() for name, child in shared.children.items()}
            node.definition.pop("contentReference")
            node.definition["type"] = shared.definition.get("type", [])
            return
        types = node.definition.get("type") or []
        url = _source(types)
        definition = self._find(url)
        if definition is None:
            raise Unusable(f"The type '{url}' of '{path}' is not known.")
        source = self._tree(definition, ())
        node.children = {name: child.copy() for name, child in source.children.items()}


def _based(element: Resource) -> Resource:
    """The element with what R4 asks of each in a snapshot and the packaged base leaves out."""
    base = {"path": element["path"], "min": element.get("min", 0), "max": element.get("max", "1")}
    return {"min": 0, "max": "1", "base": base} | element


def _source(types: list[Any]) -> str:
    """Where the children of an element of some types are defined."""
    if len(types) != 1:
        return "Element"
    profiles = types[0].get("profile") or []
    return str(profiles[0]) if len(profiles) == 1 else str(types[0].get("code"))


def _slice(base: Node, name: str) -> Node:
    made = base.copy()
    made.slices = {}
    made.slice_name = name
    made.definition.pop("slicing", None)
    made.definition |= {"sliceName": name, "min": 0}
    return made


def _overlay(base: dict[str, Any], change: Mapping[str, Any]) -> None:
    """Writes what a differential says of an element over what was known."""
    for name, value in change.items():
        if name in ("id", "path"):
            continue
        if name in _ADDED:
            known = base.get(name, [])
            base[name] = known + [item for item in value if item not in known]
        elif name.startswith(("fixed", "pattern")):
            for other in [key for key in base if key.startswith(("fixed", "pattern"))]:
                del base[other]
            base[name] = value
        else:
            base[name] = value


def _at(root: Node, path: str) -> Node:
    node = root
    for name in path.split(".")[1:]:
        found = node.children.get(name)
        if found is None:
            raise Unusable(f"There is no element '{path}' to refer to.")
        node = found
    return node
