"""The guarded store: the port of a store, in which what the caller may not see is not there."""

from __future__ import annotations

from collections.abc import Callable

from fhirserver.access.guard.keeping import Keeping
from fhirserver.access.guard.reading import Reading
from fhirserver.access.guard.reasons import Reasons
from fhirserver.access.guard.searching import Searching
from fhirserver.access.guard.writing import Writing
from fhirserver.access.hops import Hops
from fhirserver.access.judge import Judge
from fhirserver.access.restriction import Restriction
from fhirserver.search.expression import EVERYTHING
from fhirserver.store.parted import Parted
from fhirserver.store.port import Store


class GuardedStore(Parted):
    """`writes`: for a request that writes, which reads what it may write over.

    `reasons` tells the audit trail why something is shown or is not.
    """

    def __init__(
        self,
        store: Store,
        restriction: Restriction,
        hops: Hops,
        judge: Judge,
        now: Callable[[], int],
        reasons: Reasons,
        *,
        writes: bool = False,
    ) -> None:
        reading = Reading(store, restriction, judge, "rud" if writes else "r")
        super().__init__(
            store,
            reading,
            Searching(store, restriction, hops, reading),
            Writing(store, restriction, hops, reading, now),
            Keeping(store, restriction),
        )
        self.reasons = reasons
        self._restriction = restriction

    def shows_all(self, type: str, letter: str) -> bool:
        """Whether the letter is allowed for whatever there is of a type."""
        return self._restriction.of(type, letter) == EVERYTHING

    async def close(self) -> None:
        """Nothing: a store is closed by who opened it."""
