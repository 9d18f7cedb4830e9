"""Writes of what may be written, judged as it was and as it will be.

What a change rests on is judged on the version that it names, which must still be the current
one inside the commit, and on the entries that it brings. So nobody moves a resource into or out
of what is theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from fhirserver.access.guard.reading import Reading
from fhirserver.access.hops import Hops
from fhirserver.access.judge import LABELS
from fhirserver.access.policy import AUDIT
from fhirserver.access.restriction import Restriction
from fhirserver.errors import Forbidden
from fhirserver.model.json import decode
from fhirserver.search.entry import Reference
from fhirserver.search.expression import EVERYTHING, IdIs
from fhirserver.search.match import Document, match
from fhirserver.store.port import (
    Change,
    Committed,
    Expectation,
    Stale,
    Store,
    Unchanged,
    Version,
)

_LETTERS: Final = {"POST": "c", "PUT": "u", "PATCH": "u", "DELETE": "d"}


class Writing:
    """`now` gives microseconds since 1970."""

    def __init__(
        self,
        store: Store,
        restriction: Restriction,
        hops: Hops,
        reading: Reading,
        now: Callable[[], int],
    ) -> None:
        self._store = store
        self._restriction = restriction
        self._hops = hops
        self._reading = reading
        self._now = now

    async def commit(
        self,
        changes: Sequence[Change],
        before: Sequence[Expectation] = (),
        after: Sequence[Expectation] = (),
        unchanged: Unchanged | None = None,
        note: bytes | None = None,
    ) -> Committed:
        for change in changes:
            await self._check(change)
        return await self._store.commit(
            changes, self._expected(before), self._expected(after), unchanged, note
        )

    async def _check(self, change: Change) -> None:
        if change.type == AUDIT:
            raise Forbidden("The audit trail is not written by requests.")
        letter = _LETTERS[change.method]
        self._restriction.check(change.type, letter)
        before = await self._before(change)
        if before is not None:
            await self._check_before(before, letter)
            if change.method == "PATCH":  # what is patched is shown, and can be asked by a test
                await self._check_before(before, "r")
        if change.body is not None:
            self._check_after(change, letter)
            self._check_labels(change, before)

    async def _before(self, change: Change) -> Version | None:
        """The version that the change follows. Raises `Stale` when there is no such version."""
        if change.version == 1:
            return None
        found = await self._store.read(change.type, change.id, change.version - 1)
        if found is None:
            raise Stale("The version that is to be changed is not there.")
        return found

    async def _check_before(self, before: Version, letter: str) -> None:
        # What is created or updated may have been deleted before; it must have been the
        # caller's then.
        allowed = self._restriction.of(before.type, letter)
        if not await self._reading.fits(before, allowed):
            raise Forbidden(f"Your access does not include to change this {before.type}.")

    def _check_after(self, change: Change, letter: str) -> None:
        allowed = self._restriction.of(change.type, letter)
        if allowed != EVERYTHING:
            document = Document(change.type, change.id, self._now(), change.entries)
            if not match(allowed, document):
                raise Forbidden(f"Your access does not include a {change.type} such as this.")
        patients = self._restriction.confined(change.type, letter)
        if patients is not None and self._is_about_others(change, patients):
            raise Forbidden(f"This {change.type} is also about others than your access includes.")

    def _is_about_others(self, change: Change, patients: frozenset[str]) -> bool:
        return any(
            isinstance(entry, Reference)
            and entry.type == "Patient"
            and entry.id.partition("/")[0] not in patients
            for param in self._restriction.record_params(change.type)
            for entry in change.entries.get(param, ())
        )

    def _check_labels(self, change: Change, before: Version | None) -> None:
        """Raises `Forbidden` for other labels than before, where these are not the caller's."""
        if self._restriction.grant.may_set_labels:
            return
        labels = frozenset(change.entries.get(LABELS, ()))
        had = frozenset[object]()
        if before is not None and before.body is not None:
            had = self._reading.judge.labels(decode(before.body))
        if labels != had:
            raise Forbidden("Your access does not include to set or take away security labels.")

    def _expected(self, expectations: Sequence[Expectation]) -> list[Expectation]:
        """The expectations as the searches were asked that they come from."""
        out = []
        for item in expectations:
            if item.ids and isinstance(item.where, IdIs):
                out.append(item)  # of what was read by its key
                continue
            try:
                types, where = self._hops.asked(item.types, item.where)
            except Forbidden:
                if item.ids:
                    raise
                continue  # nothing is expected where nothing may be seen
            out.append(Expectation(types, where, item.ids))
        return out
