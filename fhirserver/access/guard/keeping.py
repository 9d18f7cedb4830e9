"""What concerns the store as a whole: an administrator's, and never the audit trail's end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fhirserver.access.policy import AUDIT
from fhirserver.access.restriction import Restriction
from fhirserver.errors import Forbidden
from fhirserver.search.expression import EVERYTHING
from fhirserver.store.port import Entered, Expunge, Kept, Store, Unchanged


class Keeping:
    """Verbs that see more than one caller's part of the store."""

    def __init__(self, store: Store, restriction: Restriction) -> None:
        self._store = store
        self._restriction = restriction

    async def reindex(self, entered: Sequence[Entered], unchanged: Unchanged | None = None) -> int:
        for item in entered:
            self._check(item.type, "u")
        return await self._store.reindex(entered, unchanged)

    async def expunge(self, what: Expunge) -> int:
        """As the store's; of all types but the audit trail, where no type is named."""
        if what.type is not None:
            self._check(what.type, "d")
            return await self._store.expunge(what)
        types = sorted(self._restriction.definitions.resource_types - {AUDIT})
        for type in types:
            self._check(type, "d")
        gone = 0
        for type in types:
            if gone < what.limit:
                some = replace(what, type=type, limit=what.limit - gone)
                gone += await self._store.expunge(some)
        return gone

    async def restore(self, versions: Sequence[Kept]) -> None:
        raise Forbidden("A store is restored by a command, and not by a request.")

    def _check(self, type: str, letter: str) -> None:
        is_open = self._restriction.of(type, letter) == EVERYTHING
        if not self._restriction.grant.is_administrator or type == AUDIT or not is_open:
            raise Forbidden(f"This is an administrator's, for all of {type}.")
