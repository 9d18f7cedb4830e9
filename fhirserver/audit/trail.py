"""The trail: takes events in, chains them, and makes them durable, many in one write.

Events that arrive while a write is on its way form the next group. A process records in a lane
of its own, so that workers do not wait for each other; a lane whose write failed, for whatever
reason, is left, and the next event begins another: what was left behind is a chain still.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, TypeAlias

from fhirserver.audit.chain import Place, genesis, links
from fhirserver.audit.checkpoint import Checkpoint, Checkpoints, key_name
from fhirserver.audit.event import event_content
from fhirserver.audit.filing import Filing
from fhirserver.audit.handover import Handover
from fhirserver.audit.recorder import Event
from fhirserver.audit.segment import Segments
from fhirserver.errors import FhirError, Unavailable

AT_ONCE: Final = 256
"""The most events of one segment."""

_LOG = logging.getLogger("fhirserver.audit")
_INTERVAL = 10.0  # seconds between checkpoints of a lane that grows
_UNRECORDED = "The audit trail cannot be written, so nothing is answered. Try again later."


@dataclass(slots=True)
class _Lane:
    """Where this process records: its number, that of its last event, and that one's link."""

    lane: int
    link: bytes
    number: int = 0
    noted: int = 0


_Waiting: TypeAlias = tuple[Sequence[bytes], asyncio.Future[None]]


class Trail:
    """A `Recorder` over one tenant's store. To be used from one event loop.

    `now` gives microseconds since 1970. Every `interval` seconds a checkpoint is kept, and what
    processes that ended left unfiled is filed.
    """

    def __init__(
        self,
        segments: Segments,
        checkpoints: Checkpoints,
        key: bytes,
        tenant: str,
        now: Callable[[], int],
        interval: float = _INTERVAL,
        handover: Handover | None = None,
    ) -> None:
        self._segments = segments
        self._filing = Filing(segments, handover)
        self._checkpoints = checkpoints
        self._key = key
        self._tenant = tenant
        self._now = now
        self._interval = interval
        self._lane: _Lane | None = None
        self._waiting: list[_Waiting] = []
        self._owed: list[bytes] = []
        self._writing: asyncio.Task[None] | None = None
        self._watch: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Files what processes that ended have left. Raises `Damaged` for another key."""
        await self._checkpoints.last_lane()
        await self._filing.tend()

    async def record(self, *events: Event) -> None:
        """As `Recorder.record`."""
        await self.append([event_content(event, self._now()) for event in events])

    async def append(self, events: Sequence[bytes]) -> None:
        """Durable when it returns. Raises `Unavailable`."""
        if not events:
            return
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((events, done))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())
        await done

    def owe(self, events: Sequence[bytes]) -> None:
        """Keeps events of what was done already, and could not be recorded: they are the next."""
        self._owed += events

    async def catch_up(self) -> None:
        """Records what is owed. Raises `Unavailable` where that cannot be done yet."""
        if not self._owed:
            return
        owed, self._owed = self._owed, []
        try:
            await self.append(owed)
        except BaseException:
            self._owed = [*owed, *self._owed]
            raise

    async def settle(self) -> None:
        """Files all that is recorded by now, of whatever process, so that a search finds it."""
        await self._filing.settle()

    async def close(self) -> None:
        """Files what is recorded, and ends the lane, if one was begun, with an event about it."""
        if self._watch is not None:
            self._watch.cancel()
            with suppress(asyncio.CancelledError):
                await self._watch
        with suppress(FhirError):
            await self.catch_up()
        if self._owed:
            _LOG.error("%d changes were made that the audit trail does not have", len(self._owed))
        try:
            if self._lane is not None:
                with suppress(FhirError):
                    await self.record(Event("stop"))
                    await self._filing.end()
                    await self._note(is_closed=True)
        finally:
            self._lane = None
            await self._segments.close()

    async def checkpoint(self) -> None:
        """Notes how far the lane has come, if it has come further."""
        lane = self._lane
        if lane is not None and lane.noted < lane.number:
            await self._note()

    # --- recording ----------------------------------------------------------------------

    async def _write(self) -> None:
        """Makes durable what waits, until nothing does."""
        try:
            while self._waiting:
                await self._gather()
                waiting, self._waiting = self._waiting, []
                try:
                    await self._keep([content for events, _ in waiting for content in events])
                except Exception as error:  # noqa: BLE001 - who waits must be told, whatever it was
                    _LOG.error("audit events cannot be recorded: %s", type(error).__name__)
                    for _, done in waiting:
                        if not done.done():
                            refusal = Unavailable(_UNRECORDED, headers={"Retry-After": "5"})
                            done.set_exception(refusal)
                else:
                    for _, done in waiting:
                        if not done.done():
                            done.set_result(None)
        finally:
            self._writing = None

    async def _gather(self) -> None:
        """Lets join what is asked already: until two turns of the loop brought nothing more."""
        count = 0
        while count < len(self._waiting) < AT_ONCE:
            count = len(self._waiting)
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    async def _keep(self, events: list[bytes]) -> None:
        await self._filing.make_room()
        lane = self._lane
        if lane is None:
            lane = self._lane = await self._open()
            events = [event_content(Event("start"), self._now()), *events]
        for start in range(0, len(events), AT_ONCE):
            some = events[start : start + AT_ONCE]
            first = Place(lane.lane, lane.number + 1)
            made = links(self._key, lane.link, first, some)
            try:
                segment = await self._segments.keep(first, made, some)
            except BaseException:
                self._lane = None
                raise
            lane.number, lane.link = lane.number + len(some), made[-1]
            self._filing.add(segment, len(some))
        self._filing.keep_up()

    # --- lanes and checkpoints ----------------------------------------------------------

    async def _open(self) -> _Lane:
        """A lane of one's own, noted before anything is in it."""
        number = await self._checkpoints.last_lane() + 1
        while True:
            lane = _Lane(number, genesis(self._key, self._tenant, number))
            is_free = not await self._segments.has(number)
            if is_free and await self._checkpoints.open(self._checkpoint(lane)):
                break
            number += 1
        if self._watch is None or self._watch.done():
            self._watch = asyncio.create_task(self._note_in_turns())
        return lane

    def _checkpoint(self, lane: _Lane, *, is_closed: bool = False) -> Checkpoint:
        return Checkpoint(
            self._tenant,
            lane.lane,
            lane.number,
            lane.link.hex(),
            self._now(),
            key_name(self._key),
            is_closed,
        )

    async def _note(self, *, is_closed: bool = False) -> None:
        lane = self._lane
        if lane is None:
            return
        made = self._checkpoint(lane, is_closed=is_closed)
        await self._checkpoints.save(made)
        lane.noted = made.number
        _LOG.debug("audit lane %d at %d, link %s", made.lane, made.number, made.link)

    async def _note_in_turns(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            try:
                await self.catch_up()
                await self.checkpoint()
                await self._filing.tend()
            except Exception as error:  # noqa: BLE001 - the next turn tries again; it is logged
                _LOG.error("the audit trail cannot be kept up: %s", type(error).__name__)
