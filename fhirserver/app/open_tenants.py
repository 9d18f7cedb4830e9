"""The tenants beside the default one that this worker has open.

One is opened with its first request. What becomes of its record (suspended, deleted, other
settings) holds in every worker within `FRESH` seconds; a store that cannot be asked refuses.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from typing import Final
from weakref import WeakValueDictionary

from fhirserver.app.ids import new_id, now
from fhirserver.app.running import Running, open_running
from fhirserver.app.stores import open_store
from fhirserver.app.tenants import Held, TenantTable
from fhirserver.errors import FhirError, NotFound, Unavailable
from fhirserver.imaging.rendering.processes import Processes
from fhirserver.jobs.table import JobTable
from fhirserver.settings import Settings

FRESH: Final = 1.0
"""Seconds for which it is not asked again what has become of a tenant."""

GRACE: Final = 30.0
"""Seconds that requests under way get when their tenant is closed."""

_LOG = logging.getLogger("fhirserver.tenants")


def no_tenant() -> NotFound:
    """The refusal for a tenant that never was, is suspended or deleted: always the same."""
    return NotFound("Nothing is here.")


class OpenTenant:
    """A tenant that is open: it stays so inside `with`, which gives what runs for it.

    `revision` is that of the record it was opened by; `looked` and `used` are instants.
    """

    __slots__ = ("_is_free", "looked", "revision", "running", "used", "users")

    def __init__(self, running: Running, revision: int) -> None:
        self.running = running
        self.revision = revision
        self.looked = self.used = time.monotonic()
        self.users = 0
        self._is_free: asyncio.Event | None = None

    def __enter__(self) -> Running:
        self.users += 1
        return self.running

    def __exit__(self, *_: object) -> None:
        self.users -= 1
        self.used = time.monotonic()
        if self._is_free is not None and not self.users:
            self._is_free.set()

    async def close(self) -> None:
        """Closes it when its last request has ended, or was given its time."""
        if self.users:
            self._is_free = asyncio.Event()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._is_free.wait(), GRACE)
        await self.running.close()


class OpenTenants:
    """`settings` are those of the server, `table` is that of its tenants, `pictures` the processes
    that draw for all of them."""

    def __init__(
        self, settings: Settings, table: TenantTable, pictures: Processes | None = None
    ) -> None:
        self._pictures = pictures
        self._settings = settings
        self._table = table
        self._open: dict[str, OpenTenant] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._closing: set[asyncio.Task[None]] = set()
        self._watch: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to watch what becomes of tenants, and to do what jobs they had."""
        self._watch = asyncio.create_task(self._run())

    def ready(self, name: str) -> OpenTenant | None:
        """The tenant, if it is open and was looked at just now; to be entered at once."""
        found = self._open.get(name)
        return found if found and time.monotonic() - found.looked <= FRESH else None

    async def find(self, name: str) -> OpenTenant:
        """The tenant, opened if it is not; to be entered at once.

        Raises `NotFound` where there is none that serves, `Unavailable` when none more can be
        opened.
        """
        return self.ready(name) or await self._looked_up(name)

    async def close(self) -> None:
        """Closes all, when requests under way have ended."""
        if self._watch is not None:
            self._watch.cancel()
            with suppress(asyncio.CancelledError):
                await self._watch
        for name in list(self._open):
            self._retire(name)
        await asyncio.gather(*self._closing)

    async def _looked_up(self, name: str) -> OpenTenant:
        lock = self._locks.get(name)
        if lock is None:
            lock = self._locks[name] = asyncio.Lock()
        async with lock:
            held = await self._table.get(name)
            found = self._open.get(name)
            if held is None or held.tenant.state != "active":
                self._retire(name)
                raise no_tenant()
            if found is not None and found.revision != held.revision:
                self._retire(name)
                found = None
            if found is None:
                await self._make_room()
                found = await self._opened(held)
                self._open[name] = found
            found.looked = time.monotonic()
            return found

    async def _opened(self, held: Held) -> OpenTenant:
        name = held.tenant.name
        try:
            settings = held.tenant.settings_by(self._settings)
        except ValueError as error:
            _LOG.error("tenant %s cannot be opened: its settings do not fit", name)
            raise Unavailable("This server cannot serve now. Tell its operator.") from error
        running = await open_running(settings, pictures=self._pictures)
        try:
            await running.start(settings.base_url or "")
        except BaseException:
            await running.close()
            raise
        return OpenTenant(running, held.revision)

    async def _make_room(self) -> None:
        """Closes the tenant unused longest, when there are as many as may be."""
        if len(self._open) < self._settings.max_open_tenants:
            return
        unused = [(found.used, name) for name, found in self._open.items() if not found.users]
        if not unused:
            raise Unavailable(
                "The server is busy for others. Try again.", headers={"Retry-After": "2"}
            )
        chosen = min(unused)[1]
        for _, name in sorted(unused):
            if not await _has_jobs(self._open[name].running.jobs):
                chosen = name
                break
        self._retire(chosen)

    def _retire(self, name: str) -> None:
        """Takes the tenant out of use; it is closed when its last request has ended."""
        found = self._open.pop(name, None)
        if found is not None:
            task = asyncio.create_task(found.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def _run(self) -> None:
        try:
            await self._resume_jobs()
        except FhirError as error:
            _LOG.warning("jobs of tenants wait for a request: %s", error.text)
        while True:
            await asyncio.sleep(FRESH)
            for name in list(self._open):
                with suppress(FhirError):  # requests are refused, or find out themselves
                    await self._looked_up(name)

    async def _resume_jobs(self) -> None:
        """Opens tenants with jobs that were not finished when a server ended."""
        async for tenant in self._table.all():
            if tenant.state != "active" or len(self._open) >= self._settings.max_open_tenants:
                continue
            with suppress(FhirError, ValueError):
                if await self._waits(tenant.settings_by(self._settings)):
                    await self._looked_up(tenant.name)

    async def _waits(self, settings: Settings) -> bool:
        store = await open_store(settings)
        try:
            return await _has_jobs(JobTable(store.records, now=now, new_id=new_id))
        finally:
            await store.close()


async def _has_jobs(jobs: JobTable) -> bool:
    async for _ in jobs.unfinished():
        return True
    return False
