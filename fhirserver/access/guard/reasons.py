"""Why a caller is shown what is shown, and not what is not.

For the audit trail alone: nothing of it may reach an answer.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal, NamedTuple, TypeAlias

from fhirserver.access.consent import Consents
from fhirserver.access.guard.reading import Reading
from fhirserver.access.judge import Judge
from fhirserver.access.restriction import Facts, Restriction
from fhirserver.search.expression import EVERYTHING, NOTHING
from fhirserver.store.port import Key, Store, Version

Says: TypeAlias = Literal["permit", "part", "deny"]

_NOBODY: Final[frozenset[str]] = frozenset()


class Decision(NamedTuple):
    """What the consents (ids) of a patient say of what was asked; `part`: of some, no."""

    patient: str
    consents: tuple[str, ...]
    says: Says
    organization: str | None


class Reasons:
    """Of one restriction, which rests on `facts`, over the unguarded store."""

    def __init__(self, store: Store, restriction: Restriction, facts: Facts, judge: Judge) -> None:
        grant, definitions = restriction.grant, restriction.definitions
        self.opened = facts.opened if grant.may_break_glass else _NOBODY
        self._store = store
        self._restriction = restriction
        self._definitions = definitions
        self._judge = judge
        self._consents: Consents | None = facts.consents if grant.is_held_to_consents else None
        self._usual: Reading | None = None
        if self.opened:
            usual = Restriction(grant, definitions, Facts(facts.own, facts.consents))
            self._usual = Reading(store, usual, judge)
            self._of_usual = usual
        self._reading = Reading(store, restriction, judge)
        self._without = Restriction(grant, definitions, Facts(facts.own, None, facts.opened))
        self._without_reading = Reading(store, self._without, judge)

    @property
    def decides(self) -> bool:
        """Whether there are consents that the caller is held to."""
        return self._consents is not None

    async def is_by_emergency(self, version: Version, letter: str) -> bool:
        """Whether a version would not be shown, had no record been opened in an emergency.

        As a version of the past, it is judged by the current one as well.
        """
        if self._usual is None:
            return False
        shown = self._of_usual.of(version.type, letter)
        if not await self._usual.fits(version, shown):
            return True
        head = await self._store.read(version.type, version.id)
        return head is None or not await self._usual.fits(head, shown)

    def security_context(self, binary: Version) -> Key | None:
        """The resource that the securityContext of a Binary names."""
        return self._judge.security_context(binary)

    async def stored(self, type: str, id: str, version: int | None = None) -> Version | None:
        """What is stored under an id, whoever may see it."""
        return await self._store.read(type, id, version)

    def of_shown(self, patients: Iterable[str]) -> list[Decision]:
        """The decisions that permitted what was shown of patients."""
        return [item for id in patients for item in self._decided(id, "permit")]

    def of_named(self, patients: Iterable[str], type: str, letter: str) -> list[Decision]:
        """What consents say of the type about patients whom a request named."""
        if self._consents is None:
            return []
        return [item for id in patients for item in self._decided(id, self._says(id, type, letter))]

    async def of_withheld(
        self, version: Version, patients: Iterable[str], letter: str
    ) -> list[Decision]:
        """The decisions that withhold a version, or a resource to be written, about patients.

        None where it would not be the caller's anyway.
        """
        if self._consents is None or version.body is None:
            return []
        fits, type = self._judge.fits, version.type
        if await self._reading.fits(version, self._restriction.of(type, letter)):
            return []  # shown, or opened in an emergency: it was refused for something else
        if not await self._without_reading.fits(version, self._without.of(type, letter)):
            return []
        return [
            item
            for id in patients
            if fits(version, self._consents.denied_of(self._definitions, id, type, letter))
            for item in self._decided(id, "deny")
        ]

    def _says(self, patient: str, type: str, letter: str) -> Says:
        assert self._consents is not None
        denied = self._consents.denied_of(self._definitions, patient, type, letter)
        if denied == NOTHING:
            return "permit"
        return "deny" if denied == EVERYTHING else "part"

    def _decided(self, patient: str, says: Says) -> list[Decision]:
        if self._consents is None:
            return []
        found = self._consents.of(patient)
        if not found:
            return []
        return [Decision(patient, found, says, self._consents.viewer.organization)]
