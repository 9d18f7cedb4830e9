"""The load itself: units read ahead, several under way, refusals taken apart.

A group that is refused is sent in halves until the resource that is at fault stands alone. A
unit may be refused because what it refers to comes later; so what was refused for the state
of the store is tried once more at the end.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from fhirserver.load.finding import Refusal
from fhirserver.load.journal import END, Journal
from fhirserver.load.reading import units
from fhirserver.load.source import Source
from fhirserver.load.target import Denied, Target
from fhirserver.load.unit import Unit

_STATE = (404, 409, 412)
"""Statuses that may come from what is not there yet."""


class Watcher(Protocol):
    """Is told how a load goes on."""

    def advanced(self, size: int, loaded: int) -> None:
        """So many more bytes of files were dealt with; so many resources are loaded by now."""

    def refused(self, refusal: Refusal) -> None:
        """Something was not taken."""


@dataclass(slots=True)
class Tally:
    """How many resources were loaded, and how many refusals there were.

    `before` counts the files, and parts of files, that an earlier load had done.
    """

    loaded: int = 0
    before: int = 0
    refused: int = 0


@dataclass(slots=True)
class _File:
    """A file under way: how many units are, whether it was read to the end, and all went well."""

    source: Source
    digest: str
    units: int = 0
    is_read: bool = False
    is_clean: bool = True


class Load:
    """Loads sources into a target, with up to `in_flight` units under way."""

    def __init__(
        self, target: Target, journal: Journal, watcher: Watcher, in_flight: int = 4
    ) -> None:
        self.tally = Tally()
        self._target = target
        self._journal = journal
        self._watcher = watcher
        self._in_flight = in_flight
        self._tasks: set[asyncio.Task[None]] = set()
        self._busy: set[str] = set()
        self._loaded = Journal(None)  # by this load
        self._denied = Journal(None)  # for good, by this load
        self._waiting: dict[Source, None] = {}
        self._is_second = False

    async def run(self, sources: Iterable[Source]) -> Tally:
        """Loads them all. Raises `Unreachable` when the target cannot go on."""
        await self._pass(sources)
        if self._waiting:
            self._is_second = True
            await self._pass(list(self._waiting))
        return self.tally

    async def _pass(self, sources: Iterable[Source]) -> None:
        try:
            for source in sources:
                try:
                    await self._load(source)
                except (OSError, EOFError, zlib.error) as error:
                    self._refuse(Refusal(source.path, None, None, f"It cannot be read: {error}."))
                    self._advance(source.size)
            await self._room(0)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _load(self, source: Source) -> None:
        content = await asyncio.to_thread(source.content)
        if self._journal.has(content.digest, 0, END):
            self.tally.before += 1
            self._advance(source.size)
            return
        file = _File(source, content.digest)
        found = units(source, content)
        while (unit := await asyncio.to_thread(next, found, None)) is not None:
            if isinstance(unit, Refusal):
                file.is_clean = False
                if not self._is_second:
                    self._refuse(unit)
                    self._advance(source.size if unit.position is None else 0)
            elif self._denied.has(unit.digest, unit.start, unit.end):
                file.is_clean = False
            elif not self._is_done(unit):
                await self._start(file, unit)
        file.is_read = True
        self._finish(file)

    def _is_done(self, unit: Unit) -> bool:
        if self._loaded.has(unit.digest, unit.start, unit.end):
            return True
        if self._journal.has(unit.digest, unit.start, unit.end):
            self.tally.before += 1
            self._advance(unit.size)
            return True
        return False

    async def _start(self, file: _File, unit: Unit) -> None:
        keys = unit.keys
        if keys & self._busy:
            await self._room(0)
        await self._room(self._in_flight - 1)
        self._busy |= keys
        file.units += 1
        task = asyncio.create_task(self._send(file, unit))
        self._tasks.add(task)
        task.add_done_callback(lambda _: self._busy.difference_update(keys))

    async def _room(self, most: int) -> None:
        """Waits until no more than `most` units are under way; raises what one of them raised."""
        while len(self._tasks) > most:
            done, self._tasks = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()

    async def _send(self, file: _File, unit: Unit) -> None:
        file.is_clean &= await self._settle(unit)
        self._advance(unit.size)
        file.units -= 1
        self._finish(file)

    def _finish(self, file: _File) -> None:
        if file.is_read and not file.units and file.is_clean:
            self._journal.add(file.digest, 0, END)

    async def _settle(self, unit: Unit) -> bool:
        """Sends a unit, if need be in parts; whether all of it is loaded."""
        denied = await self._target.send(unit.bundle)
        is_whole_denied = any(one.entry is None for one in denied)
        if is_whole_denied and not unit.is_whole and len(unit.pieces) > 1:
            first, second = unit.halves()
            return await self._settle(first) & await self._settle(second)
        may_wait = denied and not self._is_second
        if may_wait and all(one.status in _STATE for one in denied):
            self._waiting[unit.source] = None
            return False
        span = (unit.digest, unit.start, unit.end)
        if denied:
            self._denied.add(*span)
        else:
            self._journal.add(*span)
            self._loaded.add(*span)
        self.tally.loaded += 0 if is_whole_denied else len(unit.pieces) - len(denied)
        for one in denied:
            self._refuse(_refusal(unit, one))
        return not denied

    def _refuse(self, refusal: Refusal) -> None:
        self.tally.refused += 1
        self._watcher.refused(refusal)

    def _advance(self, size: int) -> None:
        if not self._is_second:
            self._watcher.advanced(size, self.tally.loaded)


def _refusal(unit: Unit, denied: Denied) -> Refusal:
    index = denied.entry
    if index is None and len(unit.pieces) == 1:
        index = 0
    if index is None:
        return Refusal(unit.source.path, None, "Bundle", denied.text, denied.status, denied.issues)
    position, resource = unit.pieces[index].position, unit.resource_at(index)
    return Refusal(unit.source.path, position, resource, denied.text, denied.status, denied.issues)
