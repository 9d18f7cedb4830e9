"""Who does jobs: one worker at a time, from the last checkpoint on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from store.making import SECOND, Clock

from fhirserver.errors import Unavailable
from fhirserver.jobs.job import Job
from fhirserver.jobs.runner import LEASE, Runner
from fhirserver.jobs.table import Held, JobTable
from fhirserver.jobs.task import Task, Work


@asynccontextmanager
async def running(table: JobTable, work: Work, owner: str = "w") -> AsyncIterator[Runner]:
    runner = Runner(table, {"copy": work}, owner=owner, poll=0.01, share=1.0)
    runner.start()
    try:
        yield runner
    finally:
        await runner.stop()


async def until(table: JobTable, id: str, holds: Callable[[Job], bool]) -> Job:
    async with asyncio.timeout(20):
        while True:
            held = await table.get(id)
            assert held is not None
            if holds(held.job):
                return held.job
            await asyncio.sleep(0.005)


def is_finished(job: Job) -> bool:
    return job.is_finished


class Steps:
    """Work of some steps that notes which it did; it waits at a step until it is let go."""

    def __init__(self, steps: int, hold_at: int | None = None) -> None:
        self.steps = steps
        self.hold_at = hold_at
        self.did: list[int] = []
        self.reached = asyncio.Event()
        self.go = asyncio.Event()

    async def __call__(self, task: Task) -> Any:
        for step in range(task.job.checkpoint or 0, self.steps):
            if step == self.hold_at:
                self.reached.set()
                await self.go.wait()
            self.did.append(step)
            await task.save(step + 1, done=step + 1, total=self.steps, phase="copied")
            await task.rest()
        return {"resourceType": "Parameters"}


async def test_a_job_is_done_and_tells_its_progress(table: JobTable) -> None:
    work = Steps(4, hold_at=2)
    async with running(table, work):
        made = await table.create("copy")
        await work.reached.wait()
        now = await until(table, made.id, lambda job: job.done == 2)
        assert now.state == "running"
        assert now.progress == "copied 2 of about 4 (50 %)"
        work.go.set()
        done = await until(table, made.id, is_finished)
    assert (done.state, done.result) == ("completed", {"resourceType": "Parameters"})
    assert work.did == [0, 1, 2, 3]


async def test_of_many_workers_one_does_it(table: JobTable) -> None:
    work = Steps(3)
    async with running(table, work, "a"), running(table, work, "b"), running(table, work, "c"):
        made = [await table.create("copy") for _ in range(10)]
        for job in made:
            assert (await until(table, job.id, is_finished)).state == "completed"
    assert sorted(work.did) == sorted([0, 1, 2] * 10)


async def test_after_a_crash_another_goes_on_from_the_checkpoint(
    table: JobTable, clock: Clock
) -> None:
    first, second = Steps(4, hold_at=2), Steps(4)
    crashed = Runner(table, {"copy": first}, owner="a", poll=0.01, share=1.0)
    made = await table.create("copy")
    crashed.start(lanes=1)
    await first.reached.wait()  # from here on, it does nothing more, as if it were killed
    async with running(table, second, "b"):
        await asyncio.sleep(0.1)
        assert second.did == []  # the lease still runs
        clock.now += LEASE
        done = await until(table, made.id, is_finished)
        assert done.state == "completed"
        assert (first.did, second.did) == ([0, 1], [2, 3])
        first.go.set()  # it comes to life again, and finds that the job is another's
        await asyncio.sleep(0.1)
        held = await table.get(made.id)
        assert held is not None
        assert held.job == done
    await crashed.stop()


async def test_a_worker_that_stops_gives_the_job_back(table: JobTable) -> None:
    work = Steps(4, hold_at=2)
    made = await table.create("copy")
    async with running(table, work, "a"):
        await work.reached.wait()
    held = await table.get(made.id)
    assert held is not None
    assert (held.job.state, held.job.checkpoint) == ("queued", 2)
    work.hold_at = None
    async with running(table, work, "b"):
        assert (await until(table, made.id, is_finished)).state == "completed"
    assert work.did == [0, 1, 2, 3]


async def test_a_cancelled_job_stops_at_its_next_checkpoint(table: JobTable) -> None:
    work = Steps(4, hold_at=2)
    async with running(table, work):
        made = await table.create("copy")
        await work.reached.wait()
        assert await table.cancel(made.id)
        work.go.set()
        done = await until(table, made.id, is_finished)
    assert done.state == "cancelled"
    assert work.did == [0, 1, 2]


async def test_a_job_that_fails_is_tried_later_from_its_checkpoint(
    table: JobTable, clock: Clock
) -> None:
    did: list[int] = []

    async def work(task: Task) -> Any:
        for step in range(task.job.checkpoint or 0, 3):
            did.append(step)
            if did.count(step) == 1 and step == 1:
                raise Unavailable("The disk is full.")
            await task.save(step + 1, done=step + 1)
        return {"resourceType": "Parameters"}

    async with running(table, work):
        made = await table.create("copy")
        waiting = await until(table, made.id, lambda job: bool(job.failure))
        assert (waiting.state, waiting.failure) == ("queued", "The disk is full.")
        assert waiting.due > clock.now
        clock.now = waiting.due
        done = await until(table, made.id, is_finished)
    assert (done.state, done.failure) == ("completed", "")
    assert did == [0, 1, 1, 2]


async def test_a_job_that_fails_again_and_again_has_failed(table: JobTable, clock: Clock) -> None:
    waits: list[int] = []

    async def work(task: Task) -> Any:
        raise ValueError("secret of a patient")

    async with running(table, work):
        made = await table.create("copy")
        while True:
            job = await until(table, made.id, lambda job: job.is_finished or job.due > clock.now)
            if job.is_finished:
                break
            waits.append((job.due - clock.now) // SECOND)
            clock.now = job.due
    assert job.state == "failed"
    assert job.failure == "An error of the server: ValueError."
    assert waits == [2, 4, 8, 16, 32]


async def test_a_job_that_kills_its_worker_is_given_up(table: JobTable, clock: Clock) -> None:
    made = await table.create("copy")
    held = await table.get(made.id)
    assert held is not None
    await table.change(held, state="running", owner="gone", lease=clock.now, attempts=6)
    async with running(table, Steps(1)):
        done = await until(table, made.id, is_finished)
    assert done.state == "failed"


async def test_a_lease_is_renewed_while_the_work_is_long(table: JobTable, clock: Clock) -> None:
    work, other = Steps(1, hold_at=0), Steps(1)
    made = await table.create("copy")
    runner = Runner(table, {"copy": work}, owner="a", poll=0.01, lease=60_000)
    runner.start(lanes=1)
    await work.reached.wait()
    async with running(table, other, "b"):
        for _ in range(10):
            clock.now += 50_000
            await until(table, made.id, lambda job: job.lease == clock.now + 60_000)
        work.go.set()
        await until(table, made.id, is_finished)
    await runner.stop()
    assert (work.did, other.did) == ([0], [])


async def test_a_kind_that_a_worker_does_not_know_is_left_to_others(table: JobTable) -> None:
    made = await table.create("other")
    async with running(table, Steps(1)):
        await asyncio.sleep(0.05)
    held = await table.get(made.id)
    assert held is not None
    assert held.job.state == "queued"


async def test_a_lane_outlives_what_goes_wrong(
    table: JobTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing, failed = table.unfinished, asyncio.Event()

    def broken() -> AsyncIterator[Held]:
        if failed.is_set():
            return listing()
        failed.set()
        raise ValueError("a record that cannot be read")

    monkeypatch.setattr(table, "unfinished", broken)
    runner = Runner(table, {"copy": Steps(1)}, owner="a", poll=0.01)
    runner.start(lanes=1)
    await failed.wait()
    made = await table.create("copy")
    await until(table, made.id, is_finished)
    await runner.stop()


async def test_a_lease_is_renewed_after_the_store_was_away(
    table: JobTable, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = Steps(1, hold_at=0)
    made = await table.create("copy")
    runner = Runner(table, {"copy": work}, owner="a", poll=0.01, lease=60_000)
    runner.start(lanes=1)
    await work.reached.wait()
    change, away = table.change, asyncio.Event()

    async def refused(held: Held, **fields: Any) -> Held:
        if away.is_set():
            return await change(held, **fields)
        away.set()
        raise Unavailable("The store is away.")

    monkeypatch.setattr(table, "change", refused)
    await away.wait()
    clock.now += 50_000
    await until(table, made.id, lambda job: job.lease == clock.now + 60_000)
    work.go.set()
    await until(table, made.id, is_finished)
    await runner.stop()
    assert work.did == [0]
