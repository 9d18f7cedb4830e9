"""Filing for all tenants of a server, in a process of its own (`fhirserver.app.filing_process`)."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from fhirserver.app.audit import segments_of
from fhirserver.app.errors import NotRunnable
from fhirserver.app.stores import open_inner, sealed_by
from fhirserver.app.tenants import TenantTable, tenant_folder
from fhirserver.audit.bell import Listener
from fhirserver.audit.due import Due
from fhirserver.audit.journal import FOLDER, Journal
from fhirserver.audit.segment import Pace, Segments
from fhirserver.errors import FhirError
from fhirserver.settings import DEFAULT_TENANT, Settings
from fhirserver.settings.reading import read
from fhirserver.store.port import ServerStore
from fhirserver.store.sqlite import SqliteStore

_LOG = logging.getLogger("fhirserver.audit")
_FAILED: Final = 3
_LOOK: Final = 0.25  # seconds between looks whether it is time to file
_SWEEP: Final = 10.0  # seconds between looks for what nobody rang for, as its process was killed
_TURN: Final = 0.5  # seconds of a tenant, after which it is another's turn
_SHORT: Final = 96  # events of a commit, where others wait for it
_REST: Final = 5.0  # seconds in which it is not tried again, where it failed
_IDLE: Final = 60.0  # seconds without anything to file, after which a store is closed
_ENDING: Final = 5.0  # seconds that it goes on when it is to stop


class _Turn(Pace):
    """A tenant's turn. While others write as well, it leaves them the store between commits."""

    def __init__(self, inner: ServerStore, begun: float) -> None:
        self._inner = inner
        self._begun = begun
        self._last = begun

    def at_once(self) -> int:
        return _SHORT if self._others_write() else super().at_once()

    async def rest(self) -> None:
        if self._others_write():
            await asyncio.sleep(time.monotonic() - self._last)
        self._last = time.monotonic()

    def is_over(self) -> bool:
        return time.monotonic() - self._begun > _TURN

    def _others_write(self) -> bool:
        return isinstance(self._inner, SqliteStore) and self._inner.others_write


@dataclass(slots=True)
class _Place:
    """A tenant's store that is open, by the record of that revision; `inner` is what it seals."""

    inner: ServerStore
    store: ServerStore
    segments: Segments
    revision: int
    used: float = 0.0


class Filer:
    """Files what is handed over. All that it is given is the default tenant's."""

    def __init__(self, settings: Settings, inner: ServerStore, store: ServerStore) -> None:
        self._settings = settings
        self._table = TenantTable(store.records)
        self._default = _Place(inner, store, segments_of(settings, store), 0)
        self._open: dict[str, _Place] = {}
        self._resting: dict[str, float] = {}

    def waiting(self) -> dict[str, int]:
        """The tenants with something in their journals, and how many bytes it is."""
        data = self._settings.data
        journals = {DEFAULT_TENANT: data / "audit" / FOLDER}
        for folder in tenant_folder(data, "*").parent.glob("*"):
            journals[folder.name] = folder / "audit" / FOLDER
        sizes = {name: Journal(path).waiting() for name, path in journals.items()}
        return {name: sum(size.values()) for name, size in sizes.items() if size}

    async def file(self, name: str) -> bool:
        """Files what a tenant's processes left, for some time; whether there may be more."""
        begun = time.monotonic()
        if self._resting.get(name, begun) > begun:
            return False
        try:
            place = await self._place(name)
            if place is None:
                return False
            place.used = begun
            await place.segments.settle(of_living=False, pace=_Turn(place.inner, begun))
        except Exception as error:  # noqa: BLE001 - it is not the other tenants'; logged
            # Its events are in the journal still; the server files them where this goes on.
            _LOG.error("audit events cannot be filed yet: %s", type(error).__name__)
            self._resting[name] = begun + _REST
            return False
        return time.monotonic() - begun > _TURN

    async def close_idle(self) -> None:
        """Closes the stores of tenants that had nothing to file for long."""
        last = time.monotonic() - _IDLE
        for name in [name for name, place in self._open.items() if place.used < last]:
            await self._close(name)

    async def close(self) -> None:
        """Closes all but the default tenant's store."""
        for name in list(self._open):
            await self._close(name)

    async def _place(self, name: str) -> _Place | None:
        """A tenant that is not to go, opened if it is not."""
        if name == DEFAULT_TENANT:
            return self._default
        held = await self._table.get(name)
        place = self._open.get(name)
        is_there = held is not None and held.tenant.state in ("active", "suspended")
        if place is not None and held is not None and is_there and place.revision == held.revision:
            return place
        await self._close(name)
        if held is None or not is_there:
            return None
        await self._make_room()
        settings = held.tenant.settings_by(self._settings)
        inner = await open_inner(settings)
        store = await sealed_by(settings, inner)
        try:
            place = _Place(inner, store, segments_of(settings, store), held.revision)
        except BaseException:
            await store.close()
            raise
        self._open[name] = place
        return place

    async def _make_room(self) -> None:
        if len(self._open) >= self._settings.max_open_tenants:
            await self._close(min(self._open, key=lambda name: self._open[name].used))

    async def _close(self, name: str) -> None:
        place = self._open.pop(name, None)
        if place is not None:
            await place.segments.close()
            await place.store.close()


async def serve(settings: Settings, listener: Listener, stops: asyncio.Event) -> None:
    """Files what the bell is rung for until `stops` is set, and then what is there for a while.

    Raises `FhirError`, `NotRunnable`, `OSError` where it cannot start.
    """
    inner = await open_inner(settings)
    store = await sealed_by(settings, inner)
    filer = Filer(settings, inner, store)
    rung = asyncio.Event()
    asyncio.get_running_loop().add_reader(listener, rung.set)
    try:
        await _file_until(filer, listener, rung, stops)
    finally:
        asyncio.get_running_loop().remove_reader(listener)
        await filer.close()
        await store.close()


async def _file_until(
    filer: Filer, listener: Listener, rung: asyncio.Event, stops: asyncio.Event
) -> None:
    swept, end, due = time.monotonic(), 0.0, Due()
    due.hear(dict.fromkeys(filer.waiting(), True), swept)
    while True:
        ready = due.ready(time.monotonic(), filer.waiting() if due else {})
        for name in ready:
            if not await filer.file(name):
                due.done(name)
        rung.clear()
        now = time.monotonic()
        due.hear(listener.heard(), now)
        if stops.is_set():
            if end == 0.0:
                end = now + _ENDING
                due.hear(dict.fromkeys(filer.waiting(), True), now)
            if not due or now > end:
                return
        elif not ready:
            await _first_of(rung, stops, _LOOK if due else _SWEEP)
        if now - swept > _SWEEP:
            swept = now
            due.find(filer.waiting(), now)
            await filer.close_idle()
            gc.collect()


async def _first_of(rung: asyncio.Event, stops: asyncio.Event, seconds: float) -> None:
    tasks = [asyncio.ensure_future(event.wait()) for event in (rung, stops)]
    await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()


async def _run(settings: Settings, listener: Listener, told: Sequence[int]) -> None:
    loop, stops = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stops.set)
    if told:
        stops.set()

    def orphaned() -> None:
        while os.read(0, 1024):
            pass
        with suppress(RuntimeError):  # it has ended
            loop.call_soon_threadsafe(stops.set)

    threading.Thread(target=orphaned, name="parent", daemon=True).start()
    await serve(settings, listener, stops)


def run(listener: Listener, told: Sequence[int]) -> int:
    """Files by the settings of the environment; the number that the process ends with.

    `told` are the signals that came before.
    """
    settings = read()
    logging.basicConfig(level="WARNING", format="%(asctime)s %(levelname)s %(name)s - %(message)s")
    logging.getLogger("fhirserver").setLevel(settings.log_level.upper())
    gc.freeze()
    gc.disable()  # events make no cycles; looking for some took a twentieth to a tenth of the time
    try:
        asyncio.run(_run(settings, listener, told))
    except (NotRunnable, FhirError, OSError) as error:
        _LOG.error("audit events are filed by the server itself: %s", error)
        return _FAILED
    return 0
