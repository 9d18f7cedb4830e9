"""The trail: takes events in, chains them, and makes them durable, many in one commit.

Events that arrive while a commit is on its way form the next one. A process records in a lane
of its own, so that workers do not wait for each other; a lane whose commit failed, for whatever
reason, is left, and the next event begins another: what was left behind is a chain still.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from fhirserver.audit.chain import TYPE, Place, chained, genesis, link
from fhirserver.audit.checkpoint import Checkpoint, Checkpoints, key_name
from fhirserver.audit.event import Made, event_content
from fhirserver.audit.recorder import Event
from fhirserver.errors import FhirError, Unavailable
from fhirserver.model.resource import draft_head
from fhirserver.store.port import Change, Store

AT_ONCE: Final = 256
"""The most events of one commit."""

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


class Trail:
    """A `Recorder` over one tenant's store. To be used from one event loop.

    `entries` gives the index entries of an event, by its content.
    """

    def __init__(
        self,
        store: Store,
        checkpoints: Checkpoints,
        key: bytes,
        tenant: str,
        now: Callable[[], int],
        interval: float = _INTERVAL,
    ) -> None:
        self._store = store
        self._checkpoints = checkpoints
        self._key = key
        self._tenant = tenant
        self._now = now
        self._interval = interval
        self._lane: _Lane | None = None
        self._waiting: list[Made] = []
        self._group: asyncio.Future[None] | None = None
        self._drain: asyncio.Task[None] | None = None
        self._watch: asyncio.Task[None] | None = None

    async def record(self, *events: Event) -> None:
        """As `Recorder.record`."""
        await self.append([event_content(event, self._now()) for event in events])

    async def append(self, events: Sequence[Made]) -> None:
        """Durable when it returns. Raises `Unavailable`."""
        if not events:
            return
        self._waiting.extend(events)
        group = self._group
        if group is None:
            group = self._group = asyncio.get_running_loop().create_future()
            group.add_done_callback(_seen)
        if self._drain is None:
            self._drain = asyncio.create_task(self._run())
        await asyncio.shield(group)

    async def close(self) -> None:
        """Ends the lane, if one was begun, with an event that says so."""
        if self._watch is not None:
            self._watch.cancel()
            with suppress(asyncio.CancelledError):
                await self._watch
        if self._lane is not None:
            with suppress(FhirError):
                await self.record(Event("stop"))
                await self._note(is_closed=True)
            self._lane = None

    async def checkpoint(self) -> None:
        """Notes how far the lane has come, if it has come further."""
        lane = self._lane
        if lane is not None and lane.noted < lane.number:
            await self._note()

    async def _run(self) -> None:
        """Commits what waits until nothing does."""
        try:
            while self._waiting:
                events, self._waiting = self._waiting, []
                group, self._group = self._group, None
                assert group is not None
                try:
                    await self._commit(events)
                except Exception as error:  # noqa: BLE001 - whoever waits must be told, whatever it was
                    self._lane = None
                    _LOG.error("audit events cannot be recorded: %s", type(error).__name__)
                    group.set_exception(Unavailable(_UNRECORDED, headers={"Retry-After": "5"}))
                else:
                    group.set_result(None)
        finally:
            self._drain = None

    async def _commit(self, events: Sequence[Made]) -> None:
        lane = self._lane
        if lane is None:
            lane = self._lane = await self._open()
            events = [event_content(Event("start"), self._now()), *events]
        size = AT_ONCE if self._store.atomic else 1
        for start in range(0, len(events), size):
            await self._commit_some(lane, events[start : start + size])

    async def _commit_some(self, lane: _Lane, events: Sequence[Made]) -> None:
        number, before, key = lane.number, lane.link, self._key
        changes = []
        for made in events:
            number += 1
            id = Place(lane.lane, number).id
            before = link(key, before, id, made.content)
            body = chained(draft_head(TYPE, id, 1), made.content, before)
            changes.append(Change(TYPE, id, 1, "POST", body, made.entries))
        await self._store.commit(changes)
        lane.number, lane.link = number, before

    async def _open(self) -> _Lane:
        """A lane of one's own, noted before anything is in it."""
        number = await self._checkpoints.last_lane() + 1
        while True:
            lane = _Lane(number, genesis(self._key, self._tenant, number))
            if await self._checkpoints.open(self._checkpoint(lane)):
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
        number = lane.number
        made = self._checkpoint(lane, is_closed=is_closed)
        await self._checkpoints.save(made)
        lane.noted = number
        _LOG.debug("audit lane %d at %d, link %s", made.lane, made.number, made.link)

    async def _note_in_turns(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            try:
                await self.checkpoint()
            except Exception as error:  # noqa: BLE001 - the next turn tries again; it is logged
                _LOG.error("a checkpoint cannot be kept: %s", type(error).__name__)


def _seen(group: asyncio.Future[None]) -> None:
    """Nobody may be left who waits: then the failure has been logged."""
    if not group.cancelled():
        group.exception()
