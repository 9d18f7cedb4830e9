"""Slicing: which values of a repeating element belong to which slice.

https://hl7.org/fhir/R4/profiling.html#slicing. A value belongs to the first slice that it
matches; whether it does may be unknown, as when a value set is not here: then nothing is told.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from fhirserver.validation.finding import Finding, error, under
from fhirserver.validation.member import Item
from fhirserver.validation.scope import Scope

Match: TypeAlias = Callable[[Item, Scope], bool | None]
ItemCheck: TypeAlias = Callable[[Item, Scope], list[Finding]]


@dataclass(frozen=True, slots=True)
class Slice:
    """A slice: what belongs to it, how many there may be, and what else must hold of each.

    `inner` are its own slices.
    """

    name: str
    match: Match
    min: int
    max: int | None
    check: ItemCheck | None
    inner: Slicing | None


@dataclass(frozen=True, slots=True)
class Slicing:
    """The slices of one element. `by` names the profile in texts."""

    path: str
    by: str
    rules: str
    ordered: bool
    slices: tuple[Slice, ...]

    def check(self, items: Sequence[Item], scope: Scope) -> list[Finding]:
        """The findings about the values of the element in one object."""
        found: list[Finding] = []
        groups: list[list[Item]] = [[] for _ in self.slices]
        doubtful = [False] * len(self.slices)
        last = -1
        is_after = False
        for item in items:
            index = self._index(item, scope, doubtful)
            if index is None:
                if self.rules == "closed" and not any(doubtful):
                    found.append(self._told(f"'{self.path}' takes no value but its slices", item))
                is_after = True
                continue
            groups[index].append(item)
            if self.ordered and index < last:
                name = self.slices[index].name
                found.append(self._told(f"the slice '{name}' is out of its order", item))
            if self.rules == "openAtEnd" and is_after:
                found.append(self._told("values of no slice come after those of slices", item))
            last = max(last, index)
        for part, group, unsure in zip(self.slices, groups, doubtful, strict=True):
            found += self._slice(part, group, scope, unsure=unsure)
        return found

    def _index(self, item: Item, scope: Scope, doubtful: list[bool]) -> int | None:
        for index, part in enumerate(self.slices):
            matched = part.match(item, scope)
            if matched:
                return index
            if matched is None:
                doubtful[index] = True
        return None

    def _slice(
        self, part: Slice, group: list[Item], scope: Scope, *, unsure: bool
    ) -> list[Finding]:
        found: list[Finding] = []
        count = len(group)
        if count < part.min and not unsure:
            text = f"the slice '{part.name}' of '{self.path}' is there {part.min} times or more"
            found.append(error("structure", f"{self.by}: {text}, found {count}."))
        if part.max is not None and count > part.max:
            text = f"the slice '{part.name}' of '{self.path}' is there {part.max} times at most"
            found.append(error("structure", f"{self.by}: {text}, found {count}."))
        if part.check is not None:
            for item in group:
                found += under(item.place, part.check(item, scope))
        if part.inner is not None:
            found += part.inner.check(group, scope)
        return found

    def _told(self, text: str, item: Item) -> Finding:
        return error("structure", f"{self.by}: {text}.", item.place)
