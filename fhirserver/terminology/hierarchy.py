"""What lies below and above a code in its code system.

https://hl7.org/fhir/R4/codesystem.html#hierarchy
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fhirserver.definitions.code_system import CodeSystem


class Hierarchy:
    """The is-a relations of one code system, both ways; a code may have several parents."""

    __slots__ = ("_children", "_parents")

    def __init__(self, system: CodeSystem) -> None:
        self._parents = {code: concept.parents for code, concept in system.concepts.items()}
        children: dict[str, list[str]] = {}
        for code, parents in self._parents.items():
            for parent in parents:
                children.setdefault(parent, []).append(code)
        self._children: Mapping[str, Iterable[str]] = children

    def below(self, code: str) -> frozenset[str]:
        """The code and all its descendants; nothing for an unknown code."""
        return _reach(code, self._children) if code in self._parents else frozenset()

    def above(self, code: str) -> frozenset[str]:
        """The code and all its ancestors; nothing for an unknown code."""
        return _reach(code, self._parents) if code in self._parents else frozenset()


def _reach(code: str, steps: Mapping[str, Iterable[str]]) -> frozenset[str]:
    found = {code}
    todo = [code]
    while todo:
        new = [item for item in steps.get(todo.pop(), ()) if item not in found]
        found.update(new)
        todo += new
    return frozenset(found)
