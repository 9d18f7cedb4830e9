"""Break-glass: one patient's record, opened in an emergency, for a few hours.

It is a record of the server's own, which expires by itself: who, whose, why and until when. What
it opens is told in `fhirserver.access.restriction`; how it is asked for is an operation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from fhirserver.store.records import Records

COLLECTION: Final = "access.break-glass"
LONGEST: Final = 4 * 3600 * 1_000_000
"""Microseconds for which a record stays open at the most."""

PURPOSE: Final = "BTG"
"""Purpose of use (v3-ActReason): break the glass."""

_FRESH: Final = 1_000_000
_KEPT: Final = 10_000
_NONE: Final[frozenset[str]] = frozenset()


class Opened(msgspec.Struct, frozen=True):
    """A record that was opened: by `subject`, of `patient` (an id), from and until when.

    Times are microseconds since 1970; `reason` is what the user gave.
    """

    subject: str
    patient: str
    reason: str
    since: int
    until: int


class BreakGlass:
    """The records that are open. `now` gives microseconds since 1970."""

    def __init__(self, records: Records, now: Callable[[], int]) -> None:
        self._records = records
        self._now = now
        self._known: dict[str, tuple[int, tuple[Opened, ...]]] = {}

    async def open(self, subject: str, patient: str, reason: str, lasts: int = LONGEST) -> Opened:
        """Opens the record from now on, no longer than `LONGEST`; again, where it is open."""
        now = self._now()
        until = now + min(max(lasts, 0), LONGEST)
        opened = Opened(subject, patient, reason, now, until)
        key = f"{_prefix(subject)}{patient}"
        await self._records.put(COLLECTION, key, msgspec.json.encode(opened), expires=until)
        self._known.pop(subject, None)
        return opened

    async def close(self, subject: str, patient: str) -> None:
        """Ends it before its time."""
        await self._records.delete(COLLECTION, f"{_prefix(subject)}{patient}")
        self._known.pop(subject, None)

    async def open_for(self, subject: str) -> frozenset[str]:
        """The ids of the patients whose records are open to the subject now.

        What another process opened or ended counts within a second; the end of the time at once.
        """
        now = self._now()
        asked, opened = self._known.get(subject, (0, ()))
        if not asked <= now < asked + _FRESH:
            found = await self._records.list(COLLECTION, prefix=_prefix(subject))
            opened = tuple(msgspec.json.decode(item.body, type=Opened) for item in found)
            if len(self._known) >= _KEPT:
                self._known.clear()
            self._known[subject] = (now, opened)
        if not opened:
            return _NONE
        return frozenset(
            item.patient for item in opened if item.subject == subject and now < item.until
        )


def _prefix(subject: str) -> str:
    return f"{subject}\n"
