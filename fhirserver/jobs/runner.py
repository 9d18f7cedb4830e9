"""Who does the jobs: some lanes in each worker, each one job at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from fhirserver.errors import FhirError, TooCostly
from fhirserver.jobs.table import Held, JobTable
from fhirserver.jobs.task import Cancelled, Lost, Task, Work
from fhirserver.store.port import Stale

_LOG = logging.getLogger("fhirserver.jobs")
_SECOND: Final = 1_000_000

LEASE: Final = 10 * _SECOND
"""Microseconds after which a job whose worker is silent goes to another."""

_ATTEMPTS: Final = 6
_LONGEST_WAIT: Final = 300 * _SECOND


class Runner:
    """Does jobs of the kinds in `kinds`. `owner` names this worker among all of the store.

    `poll` is how often, in seconds, it looks for jobs of others; `share` the part of the time
    that a job may take from requests.
    """

    def __init__(
        self,
        table: JobTable,
        kinds: Mapping[str, Work],
        *,
        owner: str,
        poll: float = 1.0,
        share: float = 0.5,
        lease: int = LEASE,
    ) -> None:
        self._table = table
        self._kinds = kinds
        self._owner = owner
        self._poll = poll
        self._share = share
        self._lease = lease
        self._woken = asyncio.Event()
        self._lanes: list[asyncio.Task[None]] = []

    def start(self, lanes: int = 2) -> None:
        """Begins to look for jobs."""
        self._table.wake = self._woken.set
        self._lanes = [asyncio.create_task(self._run()) for _ in range(lanes)]

    async def stop(self) -> None:
        """Ends; jobs under way go back to the table, for another worker to go on."""
        for lane in self._lanes:
            lane.cancel()
        await asyncio.gather(*self._lanes, return_exceptions=True)
        self._lanes.clear()

    async def do(self, held: Held) -> None:
        """Does one job now, if it is free and nobody else takes it."""
        with suppress(Stale):
            await self._do(await self._take(held))

    async def _run(self) -> None:
        while True:
            try:
                if await self._do_next():
                    continue
            except FhirError as error:  # the store is away: it is looked for again
                _LOG.warning("jobs wait: %s", error.text)
            except Exception as error:  # noqa: BLE001  a lane that ended would not come back
                _LOG.error("jobs wait: %s", type(error).__name__)
            self._woken.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), self._poll)

    async def _do_next(self) -> bool:
        """Does the oldest job that is free; whether there was one."""
        now = self._table.now()
        async for held in self._table.unfinished():
            if held.job.is_free(now) and held.job.kind in self._kinds:
                try:
                    taken = await self._take(held)
                except Stale:
                    continue
                await self._do(taken)
                return True
        return False

    async def _take(self, held: Held) -> Held:
        return await self._table.change(
            held,
            state="running",
            owner=self._owner,
            lease=self._table.now() + self._lease,
            attempts=held.job.attempts + 1,
        )

    async def _do(self, held: Held) -> None:
        task = Task(self._table, held, lease=self._lease, share=self._share)
        keeper = asyncio.create_task(task.keep())
        try:
            await self._work(task)
        except asyncio.CancelledError:
            with suppress(Lost, FhirError):
                await task.change(state="queued", owner="", lease=0, attempts=0)
            raise
        except Lost:
            _LOG.warning("job %s was taken by another worker", task.job.id)
        finally:
            keeper.cancel()

    async def _work(self, task: Task) -> None:
        job = task.job
        if job.cancelling:
            await task.change(state="cancelled")
            return
        if job.attempts > _ATTEMPTS:
            text = job.failure or "Its worker ended each time."
            await task.change(state="failed", failure=f"It was given up. {text}")
            return
        try:
            result = await self._kinds[job.kind](task)
        except Cancelled:
            await task.change(state="cancelled")
        except Lost:
            raise
        except Exception as error:  # noqa: BLE001  whatever fails is told in the job
            await self._failed(task, error)
        else:
            await task.change(state="completed", result=result, failure="")

    async def _failed(self, task: Task, error: Exception) -> None:
        """Queues the job for later; one that fails again and again has failed."""
        attempts = task.job.attempts
        if isinstance(error, FhirError):
            text = error.text
        else:
            _LOG.error("job %s failed: %s", task.job.id, type(error).__name__)
            text = f"An error of the server: {type(error).__name__}."
        if attempts >= _ATTEMPTS or isinstance(error, TooCostly):  # it will be that again
            await task.change(state="failed", failure=text)
            return
        wait = min(_SECOND << attempts, _LONGEST_WAIT)
        due = self._table.now() + wait
        await task.change(state="queued", owner="", lease=0, due=due, failure=text)
