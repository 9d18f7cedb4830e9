"""A job in the hands of the worker that does it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from fhirserver.errors import FhirError
from fhirserver.jobs.job import Job
from fhirserver.jobs.table import Held, JobTable
from fhirserver.store.port import Stale


class Lost(Exception):
    """The job is no longer this worker's: its lease ran out and another took it."""


class Cancelled(Exception):
    """Somebody cancelled the job."""


class Task:
    """What the work of a job sees of it. `share` is the part of the time that it may take."""

    def __init__(self, table: JobTable, held: Held, *, lease: int, share: float) -> None:
        self._table = table
        self._held = held
        self._lease = lease
        self._share = share
        self._lock = asyncio.Lock()
        self._rested = asyncio.get_running_loop().time()

    @property
    def job(self) -> Job:
        return self._held.job

    async def save(
        self, checkpoint: Any, *, done: int, total: int | None = None, phase: str = ""
    ) -> None:
        """Makes the progress durable: after a crash the work goes on from `checkpoint`.

        Raises `Lost` and `Cancelled`, on which the work is to stop where it is.
        """
        fields = {"checkpoint": checkpoint, "done": done, "total": total, "phase": phase}
        if done > self.job.done:
            fields["attempts"] = 0
        await self.change(lease=self._table.now() + self._lease, **fields)
        if self.job.cancelling:
            raise Cancelled

    async def change(self, **fields: Any) -> None:
        """Changes fields of the job, while it is this worker's. Raises `Lost`."""
        async with self._lock:
            while True:
                try:
                    self._held = await self._table.change(self._held, **fields)
                except Stale:
                    await self._read_again()
                else:
                    return

    async def _read_again(self) -> None:
        held = await self._table.get(self.job.id)
        if held is None or held.job.state != "running" or held.job.owner != self.job.owner:
            raise Lost
        self._held = held

    async def rest(self) -> None:
        """Lets others work: for so long that the job takes no more than its share."""
        loop = asyncio.get_running_loop()
        worked = loop.time() - self._rested
        await asyncio.sleep(worked * (1 / self._share - 1))
        self._rested = loop.time()

    async def keep(self) -> None:
        """Renews the lease until it is cancelled or the job is lost."""
        while True:
            await asyncio.sleep(self._lease / 3 / 1_000_000)
            try:
                await self.change(lease=self._table.now() + self._lease)
            except Lost:
                return
            except FhirError:  # the store is away, perhaps not for as long as the lease
                continue


Work: TypeAlias = Callable[[Task], Awaitable[Any]]
"""What a kind of job does, from the task's checkpoint on; gives the resource that results.

It may be begun again at any time, and finds then what an earlier beginning did after the
last checkpoint: doing that twice must do no harm.
"""
