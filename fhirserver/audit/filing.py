"""Filing: what a process recorded becomes AuditEvents of the store, beside its requests.

Where a process that files is there (`Handover`), all is left to it but what is little and wanted
at once. Else what waits, told here by the keys of its segments, is filed in turns that leave most
of the time to requests, and at once where somebody searches the trail.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from typing import Final

from fhirserver.audit.handover import Handover
from fhirserver.audit.segment import FILED_AT_ONCE, Segments

MANY_UNFILED: Final = 60_000
"""Events that wait to be filed, from which on filing does not leave time to requests."""

MOST_UNFILED: Final = 120_000
"""Beyond that, recording waits for filing."""

_LOG = logging.getLogger("fhirserver.audit")
_REST = 4.0  # times what filing took, that the loop has nothing to do before it goes on
_SHARE = 0.5  # seconds of which the events are handed over together
_GAP = 0.05  # seconds in which nobody recorded: then there is time to file


class Filing:
    """Files what one process records, or has it filed. To be used from its event loop."""

    def __init__(self, segments: Segments, handover: Handover | None = None) -> None:
        self._segments = segments
        self._handover = handover
        self._unfiled: deque[tuple[str, int]] = deque()
        self._events = 0
        self._added = 0.0
        self._lock = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def add(self, segment: str, count: int) -> None:
        """A segment of so many events was kept, and is to be filed."""
        self._unfiled.append((segment, count))
        self._events += count
        self._added = time.monotonic()

    async def make_room(self) -> None:
        """Before more is recorded: waits for filing where too much is to be filed. Raises what
        keeps it from being filed."""
        if self._handover is not None and self._handover.is_too_much:
            await self._handover.until_less(self._segments)
        if self._events > MOST_UNFILED:
            await self.file_all()

    def keep_up(self) -> None:
        """Sees to it that what was added is filed."""
        if self._task is None:
            self._task = asyncio.create_task(self._in_turns())

    async def file_all(self) -> None:
        """Files what was added by now, and was not handed over."""
        async with self._lock:  # what is being filed counts as not filed yet
            while self._unfiled:
                await self._file_some()

    async def settle(self) -> None:
        """All that is recorded by now, of whatever process, is filed when it returns."""
        if self._events > FILED_AT_ONCE:
            await self._hand_over()
        await self.file_all()
        if self._handover is None:
            await self._segments.settle()
        else:
            await self._handover.settle(self._segments)

    async def tend(self) -> None:
        """Sees to it that what could not be filed is, and what processes that ended have left."""
        if self._task is None:
            await self.end()
            if self._handover is None or not self._handover.ring():
                await self._segments.settle()

    async def end(self) -> None:
        """All that was added is filed, or handed over."""
        if not await self._hand_over():
            await self.file_all()

    async def _hand_over(self) -> bool:
        """Whether what was added is left to the process that files."""
        if self._handover is None or not self._handover.is_there():
            return False
        async with self._lock:
            await self._handover.leave()
            left = self._handover.is_left  # not what was put since
            self._unfiled = deque(one for one in self._unfiled if not left(one[0]))
            self._events = sum(count for _, count in self._unfiled)
        return True

    async def _in_turns(self) -> None:
        """Hands over or files what was added, until there is no more."""
        try:
            while self._unfiled:
                if self._handover is not None and self._handover.is_there():
                    await asyncio.sleep(_SHARE)
                    if await self._hand_over():
                        continue
                begun = time.monotonic()
                async with self._lock:
                    await self._file_some()
                if self._events <= MANY_UNFILED:
                    await self._give_way((time.monotonic() - begun) * _REST)
        except Exception as error:  # noqa: BLE001 - it is recorded and will be filed; logged
            _LOG.error("audit events cannot be filed yet: %s", type(error).__name__)
        finally:
            self._task = None

    async def _give_way(self, seconds: float) -> None:
        """Waits until the loop had nothing to do for so long, or nobody records any more."""
        while seconds > 0:
            now, used = time.monotonic(), time.thread_time()
            await asyncio.sleep(_GAP)
            if self._added < now:
                return
            seconds -= time.monotonic() - now - (time.thread_time() - used)

    async def _file_some(self) -> None:
        some: list[tuple[str, int]] = []
        count = 0
        while self._unfiled and count < FILED_AT_ONCE:
            some.append(self._unfiled.popleft())
            count += some[-1][1]
        try:
            await self._segments.file([key for key, _ in some])
        except BaseException:
            self._unfiled.extendleft(reversed(some))
            raise
        self._events -= count
