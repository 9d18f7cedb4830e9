"""The port of concepts: code systems in the store, with indexes, beside the resources.

A CodeSystem's concepts change in the commit that changes the resource (`Change.concepts`), so
that the two never disagree. A code system too large for a resource is staged in many small
commits that nobody sees, and taken into use by the commit of a CodeSystem of its URL and
version that has no concepts of its own (`content` not-present).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

from fhirserver.errors import NotSupported
from fhirserver.terminology.concept import Concept
from fhirserver.terminology.source import Source

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SystemCount:
    """A code system that is in use, and how many concepts of it are here."""

    url: str
    version: str | None
    content: str
    concepts: int


class ClosureCode(NamedTuple):
    """A code of a closure table, and the version of the table that added it."""

    system: str
    code: str
    version: int


class ClosureTable(NamedTuple):
    """The codes of a closure table, and the version that it had before the last call."""

    codes: list[ClosureCode]
    before: int


class ConceptStore(Protocol):
    """The verbs of concepts."""

    async def ask(self, question: Callable[[Source], T]) -> T:
        """What the question makes of the store's terminology, as it is at one instant.

        The question may be asked again from the beginning, in another thread.
        """

    async def code_systems(self) -> list[SystemCount]:
        """The code systems in use, by URL and version."""

    async def stage(
        self,
        url: str,
        version: str | None,
        concepts: Iterable[Concept],
        told: Callable[[int], None],
    ) -> int:
        """Loads the concepts of a code system, unseen; how many they are.

        `told` hears how many are in. What was staged for the URL and version before is dropped.
        """

    async def begin_closure(self, name: str) -> None:
        """Begins a closure table; one of that name loses its codes."""

    async def extend_closure(
        self, name: str, codes: Sequence[tuple[str, str]], most: int
    ) -> ClosureTable | None:
        """All codes of the table with these (system, code), which make its next version if any
        is new; None if the table was not begun. Raises `TooCostly` for more than `most`."""


class _NoConcepts:
    """Stands in for a store that keeps no concepts: it says so."""

    async def ask(self, question: Callable[[Source], T]) -> T:
        raise NotSupported(_NONE)

    async def code_systems(self) -> list[SystemCount]:
        return []

    async def stage(
        self,
        url: str,
        version: str | None,
        concepts: Iterable[Concept],
        told: Callable[[int], None],
    ) -> int:
        raise NotSupported(_NONE)

    async def begin_closure(self, name: str) -> None:
        raise NotSupported(_NONE)

    async def extend_closure(
        self, name: str, codes: Sequence[tuple[str, str]], most: int
    ) -> ClosureTable | None:
        raise NotSupported(_NONE)


_NONE = "This kind of store keeps no code systems yet: terminology needs the SQLite store."
NO_CONCEPTS: ConceptStore = _NoConcepts()
