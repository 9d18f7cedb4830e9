"""Where terminology comes from: what every source of definitions and concepts answers.

The questions are synchronous and about one concept or a lazy run of them, so that a store can
answer from its indexes while everything that decides stays free of I/O. The store gives an
implementation to a question that runs on it (`fhirserver.store.concepts`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from fhirserver.definitions.value_set import Filter
from fhirserver.model.json import Resource
from fhirserver.terminology.concept import Concept, SystemInfo
from fhirserver.terminology.words import Query


class System(Protocol):
    """The concepts of one version of one code system."""

    @property
    def info(self) -> SystemInfo: ...

    @property
    def is_complete(self) -> bool:
        """Whether a code that is not here is not in the code system either."""

    def find(self, code: str) -> Concept | None:
        """The concept of a code, compared as the system says (case)."""

    def is_below(self, code: str, ancestor: str) -> bool:
        """Whether `ancestor` is above `code`, at any distance."""

    def children(self, code: str) -> Sequence[str]:
        """The codes right below."""

    def above(self, code: str) -> Sequence[str]:
        """All codes above, the nearest first."""

    def select(self, filters: Sequence[Filter]) -> Iterator[Concept]:
        """The concepts that meet all filters, in the order of the system.

        An infinite system (a grammar) raises `TooCostly`.
        """

    def corrected(self, query: Query) -> Query:
        """The query with words that no name has replaced by the nearest that one has."""

    def search(self, query: Query, filters: Sequence[Filter]) -> Iterator[Concept]:
        """Those among them whose names or code have the words, in no certain order.

        A source may stop after as many as `fhirserver.terminology.words.CANDIDATES`, the
        likeliest.
        """

    def size(self) -> int | None:
        """How many concepts it has; None for infinitely many."""


class Source(Protocol):
    """Definitions by canonical URL, all versions of them."""

    def code_systems(self, url: str) -> Sequence[System]: ...

    def supplements(self, url: str) -> Sequence[System]:
        """The supplements to the code system of that URL."""

    def value_sets(self, url: str) -> Sequence[Resource]: ...

    def concept_maps(self, url: str | None) -> Sequence[Resource]:
        """The concept maps of that URL, or all where it is None."""
