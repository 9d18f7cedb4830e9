"""Handing over: what a process recorded is left to one beside it, which files.

A file of the journal that is handed over is nobody's, as if its process had ended; who files it
removes it, and so it is known when that is done. Where nobody listens to the bell, or nothing
gets done, one files by oneself: two who do it at once do it once (`fhirserver.audit.segment`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final

from fhirserver.audit.bell import Bell
from fhirserver.audit.journal import Journal
from fhirserver.audit.segment import Pace, Segments

MOST_WAITING: Final = 512 * 1024 * 1024
"""Bytes of the journal beyond which recording waits for filing."""

PATIENCE: Final = 5.0
"""Seconds in which no file of the journal goes, after which one files by oneself."""

_LOG = logging.getLogger("fhirserver.audit")
_SOON = 0.001  # seconds between looks whether what is being put is there
_LOOK = 0.02  # seconds between looks whether files have gone
_AGAIN = 0.2  # seconds after which it is rung again


class Handover:
    """To the process that files, as far as there is one, from one tenant's journal."""

    def __init__(self, journal: Journal, bell: Bell) -> None:
        self._journal = journal
        self._bell = bell
        self._passed: dict[str, int] = {}
        self.is_too_much = False

    def is_there(self) -> bool:
        """Whether somebody files."""
        return self._bell.is_heard()

    def ring(self) -> bool:
        """Asks who files to look; whether somebody does."""
        return self._bell.ring()

    async def leave(self) -> None:
        """Leaves all that this process has put."""
        self._journal.hand_over()
        while self._journal.is_due:
            await asyncio.sleep(_SOON)
            if self._journal.is_due:
                self._journal.hand_over()
        self.is_too_much = self.waits_too_much()
        self._bell.ring()

    def is_left(self, key: str) -> bool:
        """Whether a segment that this process put is others' to file."""
        return not self._journal.has(key)

    async def settle(self, segments: Segments) -> None:
        """What others are to file by now is filed when it returns: by them, as long as they go
        on, else from here."""
        if not await self._is_done():
            others = self._of_others()
            lying = {name: size for name, size in others.items() if not self._journal.is_held(name)}
            await segments.settle()
            self._passed = lying  # what is in them still is damaged, or waits for a backup's end

    async def _is_done(self) -> bool:
        """Waits until others have filed; False where they do not."""
        waiting = {
            name for name, size in self._of_others().items() if self._passed.get(name) != size
        }
        last = time.monotonic()
        rung = 0.0
        while waiting:
            if not self.is_there() or self._journal.is_kept():
                return False
            if time.monotonic() - rung > _AGAIN:  # what others hand over by now is wanted as well
                self._bell.ring(urgent=True)
                rung = time.monotonic()
            await asyncio.sleep(_LOOK)
            left = waiting & self._of_others().keys()
            if left != waiting:
                waiting, last = left, time.monotonic()
            elif time.monotonic() - last > PATIENCE:
                _LOG.warning("the process that files audit events does not go on")
                return False
        return True

    async def until_less(self, segments: Segments) -> None:
        """Waits until there is less to be filed; files where nobody does."""
        last, before = time.monotonic(), self._waiting()
        while self.waits_too_much():
            await asyncio.sleep(_LOOK)
            waiting = self._waiting()
            if waiting < before:
                last = time.monotonic()
            elif not self.is_there() or time.monotonic() - last > PATIENCE:
                await segments.settle(pace=_UntilLess(self))
            before = waiting
        self.is_too_much = False

    def waits_too_much(self) -> bool:
        """Whether recording is to wait. While a backup is taken, what is filed lies there too."""
        return self._waiting() > MOST_WAITING and not self._journal.is_kept()

    def _of_others(self) -> dict[str, int]:
        """The bytes of the files that others are to file, by their names."""
        own = self._journal.own()
        return {name: size for name, size in self._journal.waiting().items() if name not in own}

    def _waiting(self) -> int:
        return sum(self._journal.waiting().values())


class _UntilLess(Pace):
    """Until recording can go on."""

    def __init__(self, handover: Handover) -> None:
        self._handover = handover

    def is_over(self) -> bool:
        return not self._handover.waits_too_much()
