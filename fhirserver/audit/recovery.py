"""Events of commits whose process ended before it recorded them.

A commit's note stays in the store until its events are durable (`audit.notes`). What is still
there after a while is compared with the trail, and what the trail does not have is recorded: as
of the time of the commit, by whom the note says, and with the text that nobody was answered.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

from fhirserver.audit.accounting import seen
from fhirserver.audit.chain import TYPE
from fhirserver.audit.event import access_content
from fhirserver.audit.notes import Made, Note, Notes
from fhirserver.audit.patients import Patients
from fhirserver.audit.trail import Trail
from fhirserver.model.json import decode
from fhirserver.search.expression import (
    And,
    Expression,
    Query,
    ReferenceIs,
    Target,
    TokenIs,
    TokenValue,
)
from fhirserver.store.port import Noted, ServerStore, Stale
from fhirserver.store.records import ABSENT

LATE: Final = "not answered: it was made, its process ended, and another recorded it"
"""The outcome's text of such an event."""

CLAIMS: Final = "audit.recovery"

_LOG = logging.getLogger("fhirserver.audit")
_INTERVAL: Final = 10.0  # seconds between two looks
_PATIENCE: Final = 15.0  # seconds that a commit's own process has to record it
_CLAIM: Final = 60_000_000  # microseconds after which a claim is void
_PAGE: Final = 100


class Recovery:
    """Looks every `interval` seconds for notes that are `patience` seconds old.

    How old a note is, is told by how long this process has seen it, not by clocks. `now` gives
    microseconds since 1970; references below `base` are local.
    """

    def __init__(
        self,
        store: ServerStore,
        trail: Trail,
        notes: Notes,
        patients: Patients,
        now: Callable[[], int],
        patience: float = _PATIENCE,
        interval: float = _INTERVAL,
    ) -> None:
        self._store = store
        self._trail = trail
        self._notes = notes
        self._patients = patients
        self._now = now
        self._patience = patience
        self._interval = interval
        self._since: dict[int, float] = {}
        self._base = ""
        self._watch: asyncio.Task[None] | None = None

    def start(self, base: str) -> None:
        """Looks from now on."""
        self._base = base
        self._watch = asyncio.create_task(self._look_in_turns())

    async def stop(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            with suppress(asyncio.CancelledError):
                await self._watch

    async def look(self) -> None:
        """Records what has not been recorded for so long. Raises what the last that failed did."""
        due = self._due(await self._notes.left())
        if not due:
            return
        await self._trail.catch_up()
        await self._trail.settle()
        failure: Exception | None = None
        for noted in due:
            try:
                await self._settle(noted)
            except Exception as error:  # noqa: BLE001 - it is not in the way of others; raised
                failure = error
        if failure is not None:
            raise failure

    async def unrecorded(self, note: Note) -> list[Made]:
        """The versions of a note that the trail, as far as it is filed, says nothing of."""
        return [made for made in note.made if not await self._is_recorded(note, made)]

    def _due(self, left: Sequence[Noted]) -> list[Noted]:
        now = time.monotonic()
        self._since = {one.number: self._since.get(one.number, now) for one in left}
        return [one for one in left if now - self._since[one.number] >= self._patience]

    async def _settle(self, noted: Noted) -> None:
        note = self._notes.read(noted.note)
        if note is None:
            _LOG.error("the note of commit %d cannot be read: another audit key?", noted.number)
            return
        lacking = await self.unrecorded(note)
        if lacking and not await self._claim(noted.number):
            return
        events = [event for made in lacking for event in await self._events(note, made)]
        await self._trail.append(events)
        self._notes.forget([noted.number])
        if lacking:
            _LOG.warning("commit %d is on record now: its process had ended", noted.number)

    async def _claim(self, number: int) -> bool:
        """Whether no other process is about to record the commit."""
        expires = self._now() + _CLAIM
        try:
            await self._store.records.put(
                CLAIMS, str(number), b"", expected=ABSENT, expires=expires
            )
        except Stale:
            return False
        return True

    async def _events(self, note: Note, made: Made) -> list[bytes]:
        """One for each patient whose record the version was in, before or after it was made."""
        version = await self._store.read(made.type, made.id, made.version)
        before = await self._store.read(made.type, made.id, made.version - 1)
        patients = dict.fromkeys(
            id
            for one in (version, before)
            if one is not None
            for id in self._patients.of_body(one, self._base)
        )
        access = note.access()
        made.tell(access)
        access.reason = LATE
        when = version.last_updated if version is not None else self._now()
        accesses = [replace(access, patient=id) for id in patients] or [access]
        return [access_content(one, when) for one in accesses]

    async def _is_recorded(self, note: Note, made: Made) -> bool:
        query: Query | None = Query((TYPE,), _about(note, made), count=_PAGE)
        while query is not None:
            page = await self._store.search(query)
            for version in page.versions:
                if _tells(version.body, note, made):
                    return True
            query = replace(query, after=page.next) if page.next is not None else None
        return False

    async def _look_in_turns(self) -> None:
        while True:
            try:
                await self.look()
            except Exception as error:  # noqa: BLE001 - the next turn tries again; it is logged
                _LOG.error("what is not on record cannot be recorded: %s", type(error).__name__)
            await asyncio.sleep(self._interval)


def _about(note: Note, made: Made) -> Expression:
    """What finds events of the note's request about a version; of a deletion they name none."""
    id = made.id if made.method == "DELETE" else f"{made.id}/_history/{made.version}"
    resource = ReferenceIs("entity", (Target(made.type, id),))
    if not note.request_id:
        return resource
    return And((resource, TokenIs("entity:identifier", (TokenValue(None, note.request_id),))))


def _tells(body: bytes | None, note: Note, made: Made) -> bool:
    """Whether an event that was found tells that the note's request made the version."""
    event = decode(body or b"{}")
    is_deletion = event.get("action") == "D"
    return is_deletion == (made.method == "DELETE") and seen(event).request == note.request_id
