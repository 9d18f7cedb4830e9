"""Whether the trail is whole: what was removed, altered, reordered or put in, by its place.

Needs the audit key, and the checkpoints of the data folder where the store itself may have been
put back to an older state. It reads only, and may run beside a server that records.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from fhirserver.audit.chain import TYPE, Found, Place, found, genesis, link, place_of
from fhirserver.audit.checkpoint import Checkpoint, Checkpoints, Damaged, key_name
from fhirserver.audit.segment import Segments
from fhirserver.errors import FhirError
from fhirserver.model.temporal import interval
from fhirserver.store.port import LogQuery, Store, Version

_AHEAD: Final = 10_000  # so many events may come before one that is missing
_CLOCKS: Final = 60_000_000  # microseconds by which clocks of workers may differ
_RECORDED: Final = re.compile(rb'"recorded":"([^"]{20,40})"')


class Problem(NamedTuple):
    """What is wrong, and where: an event's id, or a lane."""

    place: str
    text: str


@dataclass(slots=True)
class Verified:
    """What was looked at, and what was found wrong: nothing, where the trail is whole."""

    events: int = 0
    lanes: int = 0
    problems: list[Problem] = field(default_factory=list)


class _Lane:
    """The walk along one lane, up to `number`; `ahead` is what was met that comes later.

    `noted` are the links that checkpoints say, by number; `beside` the numbers of events that
    were found beside the log.
    """

    def __init__(self, key: bytes, tenant: str, lane: int, report: list[Problem]) -> None:
        self.lane = lane
        self.number = 0
        self.noted: dict[int, str] = {}
        self.ahead: dict[int, Found] = {}
        self.beside: set[int] = set()
        self._key = key
        self._before = genesis(key, tenant, lane)
        self._report = report

    def take(self, number: int, event: Found) -> None:
        """The next event of the log."""
        if number in self.beside:
            self.beside.remove(number)
        elif not self._add(number, event):
            self._tell(number, "is there twice")

    def find(self, number: int, event: Found) -> None:
        """An event that was found beside the log, which may have it as well."""
        if self._add(number, event):
            self.beside.add(number)

    def _add(self, number: int, event: Found) -> bool:
        """Whether it was not met before."""
        if number <= self.number or number in self.ahead:
            return False
        self.ahead[number] = event
        self._go_on()
        return True

    def skip(self) -> None:
        """Goes on behind what is missing."""
        first = min(self.ahead)
        self._missing(self.number + 1, first - 1)
        self.number = first - 1
        self._go_on(is_known=False)

    def end(self, last: int) -> None:
        """The lane had come at least to that number."""
        if last > self.number:
            self._missing(self.number + 1, last, "cut off")

    def _go_on(self, *, is_known: bool = True) -> None:
        while (event := self.ahead.pop(self.number + 1, None)) is not None:
            self.number += 1
            id = Place(self.lane, self.number).id
            expected = link(self._key, self._before, id, event.content)
            if is_known and not hmac.compare_digest(expected, event.link):
                self._tell(self.number, "was altered, or is not in its place")
            noted = self.noted.get(self.number)
            if noted is not None and noted != event.link.hex():
                self._tell(self.number, "is another than the checkpoint says")
            self._before, is_known = event.link, True

    def _missing(self, first: int, last: int, how: str = "removed") -> None:
        if first == last:
            self._tell(first, f"was {how}")
        elif first < last:
            until = Place(self.lane, last).id
            self._tell(first, f"and all up to {until} ({last - first + 1} events) were {how}")

    def _tell(self, number: int, text: str) -> None:
        self._report.append(Problem(Place(self.lane, number).id, text))


class Verification:
    """One look at the trail of a tenant."""

    def __init__(
        self, store: Store, segments: Segments, checkpoints: Checkpoints, key: bytes, tenant: str
    ) -> None:
        self._store = store
        self._segments = segments
        self._checkpoints = checkpoints
        self._key = key
        self._tenant = tenant
        self._out = Verified()
        self._lanes: dict[int, _Lane] = {}
        self._last: dict[int, int] = {}

    async def run(self, told: Callable[[int], None] = lambda events: None) -> Verified:
        """The findings; `told` hears how many events were looked at.

        Little of it is in memory: what is not filed is read after the log, and what was filed in
        between is looked up.
        """
        await self._read_checkpoints()
        async for version in self._store.log(LogQuery((TYPE,))):
            self._out.events += 1
            told(self._out.events)
            lane = self._look(version)
            if lane is not None and len(lane.ahead) > _AHEAD:
                await self._read_unfiled(lane.lane)
                await self._catch_up(lane, _AHEAD // 2)  # not again for each event
        await self._read_unfiled()
        await self._end()
        return self._out

    async def _read_unfiled(self, only: int | None = None) -> None:
        """Looks at what is not filed, of all lanes or of one."""
        async for segment in self._segments.listed():
            if only is None and not segment.events:
                self._tell(segment.key, "and what follows was damaged before it was filed")
            for linked in segment.events:
                place = place_of(linked.id)
                assert place is not None
                if only in (None, place.lane):
                    lane = self._lane(place.lane)
                    await self._look_up(lane, place.number)
                    lane.find(place.number, Found(linked.link, linked.content))

    async def _look_up(self, lane: _Lane, until: int) -> None:
        """Looks up what a lane lacks before a number: it may have been filed since."""
        while lane.number + 1 < until:
            version = await self._store.read(TYPE, Place(lane.lane, lane.number + 1).id)
            event = None if version is None else found(version)
            if event is None:
                return
            lane.find(lane.number + 1, event)

    async def _catch_up(self, lane: _Lane, most: int) -> None:
        """Goes on along a lane, behind what is nowhere, until no more than `most` are ahead."""
        while len(lane.ahead) > most:
            first = min(lane.ahead)
            await self._look_up(lane, first)
            if lane.number < first:
                lane.skip()

    async def _read_checkpoints(self) -> None:
        copies = self._checkpoints.copies()  # first: a lane's is made after that in the store
        stored = [item async for item in self._checkpoints.stored()]
        for item in (*stored, *copies):
            if isinstance(item, Damaged):
                self._tell("checkpoint", item.text)
            elif not self._is_ours(item):
                self._tell(f"lane {item.lane}", "its checkpoint is of another key or tenant")
            else:
                self._note(item)
        known = {item.lane for item in stored if isinstance(item, Checkpoint)}
        for lane in sorted(set(range(1, max(self._last, default=0) + 1)) - known):
            self._tell(f"lane {lane}", "its checkpoint was removed from the store")

    def _is_ours(self, item: Checkpoint) -> bool:
        return item.key == key_name(self._key) and item.tenant == self._tenant

    def _note(self, item: Checkpoint) -> None:
        self._last[item.lane] = max(item.number, self._last.get(item.lane, 0))
        if item.number:
            self._lane(item.lane).noted[item.number] = item.link

    def _look(self, version: Version) -> _Lane | None:
        """Looks at a version of the log; its lane, if it is an event in its place."""
        place = place_of(version.id)
        if place is None or place.number < 1 or place.lane < 1:
            self._tell(version.id, "was put in: the server gave no such id")
            return None
        event = found(version)
        if event is None:
            how = "was deleted" if version.body is None else "was altered"
            self._tell(version.id, how)
            return None
        recorded = _RECORDED.search(event.content)
        if recorded is None or version.last_updated < _instant(recorded[1]) - _CLOCKS:
            self._tell(version.id, "has another time than it was recorded at")
        lane = self._lane(place.lane)
        lane.take(place.number, event)
        return lane

    async def _end(self) -> None:
        known = set(self._last)
        if not self._lanes.keys() <= known:  # lanes may have been begun meanwhile
            known.update(
                [
                    item.lane
                    async for item in self._checkpoints.stored()
                    if isinstance(item, Checkpoint) and self._is_ours(item)
                ]
            )
        for number, lane in sorted(self._lanes.items()):
            if number not in known:
                self._tell(f"lane {number}", "was put in: there is no checkpoint of it")
            last = self._last.get(number, 0)
            await self._catch_up(lane, 0)
            await self._look_up(lane, last + 1)
            lane.end(last)
            self._out.events += len(lane.beside)
        self._out.lanes = len(self._last.keys() | (self._lanes.keys() & known))

    def _lane(self, number: int) -> _Lane:
        lane = self._lanes.get(number)
        if lane is None:
            lane = _Lane(self._key, self._tenant, number, self._out.problems)
            self._lanes[number] = lane
        return lane

    def _tell(self, place: str, text: str) -> None:
        self._out.problems.append(Problem(place, text))


def _instant(text: bytes) -> int:
    try:
        return interval(text.decode("ascii")).start
    except (FhirError, ValueError):
        return 1 << 62  # no time at all
