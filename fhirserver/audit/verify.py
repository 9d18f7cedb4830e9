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
    """The walk along one lane. `noted` are the links that checkpoints say, by number."""

    def __init__(self, key: bytes, tenant: str, lane: int, report: list[Problem]) -> None:
        self.lane = lane
        self.number = 0
        self.noted: dict[int, str] = {}
        self._key = key
        self._before = genesis(key, tenant, lane)
        self._ahead: dict[int, Found] = {}
        self._report = report

    def take(self, number: int, event: Found, *, is_copy: bool = False) -> None:
        """The next event that was met; a copy may have been met before."""
        if number <= self.number or number in self._ahead:
            if not is_copy:
                self._tell(number, "is there twice")
            return
        self._ahead[number] = event
        self._go_on()
        if len(self._ahead) > _AHEAD:
            self.skip()

    def skip(self) -> None:
        """Goes on behind what is missing."""
        while self._ahead:
            first = min(self._ahead)
            self._missing(self.number + 1, first - 1)
            self.number = first - 1
            self._go_on(is_known=False)

    def end(self, last: int) -> None:
        """The lane had come at least to that number."""
        self.skip()
        if last > self.number:
            self._missing(self.number + 1, last, "cut off")

    def _go_on(self, *, is_known: bool = True) -> None:
        while (event := self._ahead.pop(self.number + 1, None)) is not None:
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
        """The findings; `told` hears how many events were looked at."""
        await self._read_checkpoints()
        unfiled: list[tuple[Place, Found]] = []
        async for segment in self._segments.listed():
            if not segment.events:
                self._tell(segment.key, "and what follows was damaged before it was filed")
            for linked in segment.events:
                place = place_of(linked.id)
                assert place is not None
                unfiled.append((place, Found(linked.link, linked.content)))
        async for version in self._store.log(LogQuery((TYPE,))):
            self._look(version)
            self._out.events += 1
            told(self._out.events)
        for place, event in unfiled:
            lane = self._lane(place.lane)
            self._out.events += place.number > lane.number
            lane.take(place.number, event, is_copy=True)
        self._end()
        return self._out

    async def _read_checkpoints(self) -> None:
        stored = [item async for item in self._checkpoints.stored()]
        for item in (*stored, *self._checkpoints.copies()):
            if isinstance(item, Damaged):
                self._tell("checkpoint", item.text)
            elif item.key != key_name(self._key) or item.tenant != self._tenant:
                self._tell(f"lane {item.lane}", "its checkpoint is of another key or tenant")
            else:
                self._note(item)
        known = {item.lane for item in stored if isinstance(item, Checkpoint)}
        for lane in sorted(set(range(1, max(self._last, default=0) + 1)) - known):
            self._tell(f"lane {lane}", "its checkpoint was removed from the store")

    def _note(self, item: Checkpoint) -> None:
        self._last[item.lane] = max(item.number, self._last.get(item.lane, 0))
        if item.number:
            self._lane(item.lane).noted[item.number] = item.link

    def _look(self, version: Version) -> None:
        place = place_of(version.id)
        if place is None or place.number < 1 or place.lane < 1:
            self._tell(version.id, "was put in: the server gave no such id")
            return
        event = found(version)
        if event is None:
            how = "was deleted" if version.body is None else "was altered"
            self._tell(version.id, how)
            return
        recorded = _RECORDED.search(event.content)
        if recorded is None or version.last_updated < _instant(recorded[1]) - _CLOCKS:
            self._tell(version.id, "has another time than it was recorded at")
        self._lane(place.lane).take(place.number, event)

    def _end(self) -> None:
        for number, lane in sorted(self._lanes.items()):
            if number not in self._last:
                self._tell(f"lane {number}", "was put in: there is no checkpoint of it")
            lane.end(self._last.get(number, 0))
        self._out.lanes = len(self._last)

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
