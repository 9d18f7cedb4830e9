"""The table of jobs: made, listed, cancelled."""

from __future__ import annotations

import asyncio

import pytest
from store.making import SECOND, Clock

from fhirserver.errors import Throttled
from fhirserver.jobs import table as jobs_table
from fhirserver.jobs.job import Job, decode
from fhirserver.jobs.table import KEPT, JobTable
from fhirserver.store.port import Stale


async def ids(table: JobTable) -> list[str]:
    return [held.job.id async for held in table.unfinished()]


async def test_a_job_is_kept_as_it_was_made(table: JobTable, clock: Clock) -> None:
    made = await table.create("copy", {"a": [1, None]}, subject="anna")
    held = await table.get(made.id)
    assert held is not None
    assert held.job == made
    assert (made.state, made.arguments, made.subject) == ("queued", {"a": [1, None]}, "anna")
    assert made.created == made.changed == clock.now


async def test_a_change_needs_the_revision_that_was_read(table: JobTable) -> None:
    made = await table.create("copy")
    held = await table.get(made.id)
    assert held is not None
    newer = await table.change(held, done=3)
    with pytest.raises(Stale):
        await table.change(held, done=4)
    assert (await table.change(newer, done=5)).job.done == 5


async def test_of_a_name_there_is_one_at_a_time(table: JobTable) -> None:
    made = await asyncio.gather(*(table.ensure("index", "copy", {"n": n}) for n in range(8)))
    assert len({job.arguments["n"] for job in made}) == 1
    await table.cancel(made[0].id)
    again = await table.ensure("index", "copy", {"n": 9})
    assert again.state == "queued"
    assert again.arguments == {"n": 9}


async def test_unfinished_jobs_are_listed_oldest_first(table: JobTable, clock: Clock) -> None:
    made = [await table.create("copy") for _ in range(5)]
    sole = await table.ensure("index", "copy", {})
    for job in (made[0], made[1], made[3]):
        await table.cancel(job.id)
    assert await ids(table) == [made[2].id, made[4].id, sole.id]
    clock.now += 2 * 3600 * SECOND
    assert await ids(table) == [made[2].id, made[4].id, sole.id]
    await table.cancel(made[2].id)
    assert await ids(table) == [made[4].id, sole.id]
    late = await table.create("copy")
    await table.cancel(sole.id)
    await table.ensure("index", "copy", {})
    assert await ids(table) == [made[4].id, late.id, sole.id]


async def test_a_queued_job_is_cancelled_at_once(table: JobTable) -> None:
    made = await table.create("copy")
    assert await table.cancel(made.id)
    held = await table.get(made.id)
    assert held is not None
    assert held.job.state == "cancelled"
    assert not await table.cancel(made.id)
    assert not await table.cancel("never")


async def test_a_running_job_is_told_to_stop(table: JobTable, clock: Clock) -> None:
    made = await table.create("copy")
    held = await table.get(made.id)
    assert held is not None
    await table.change(held, state="running", owner="w", lease=clock.now + SECOND)
    assert await table.cancel(made.id)
    held = await table.get(made.id)
    assert held is not None
    assert (held.job.state, held.job.cancelling) == ("running", True)
    clock.now += 2 * SECOND
    assert await table.cancel(made.id)
    held = await table.get(made.id)
    assert held is not None
    assert held.job.state == "cancelled"


async def test_a_finished_job_is_forgotten_in_time(table: JobTable, clock: Clock) -> None:
    made = await table.create("copy")
    clock.now += 2 * KEPT
    assert await ids(table) == [made.id]
    await table.cancel(made.id)
    clock.now += KEPT - 1
    assert await table.get(made.id) is not None
    clock.now += 1
    assert await table.get(made.id) is None


async def test_only_so_many_may_wait(table: JobTable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs_table, "MOST", 3)
    made = [await table.create("copy") for _ in range(3)]
    with pytest.raises(Throttled, match="Too many") as refusal:
        await table.create("copy")
    assert refusal.value.headers["Retry-After"]
    await table.ensure("index", "copy", {})  # what the server itself needs, it gets
    await table.cancel(made[0].id)
    await table.create("copy")


async def test_what_is_finished_is_not_decoded(
    table: JobTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [await table.create("copy") for _ in range(5)]
    for job in made[:4]:
        await table.cancel(job.id)
    seen: list[bytes] = []

    def counted(body: bytes) -> Job:
        seen.append(body)
        return decode(body)

    monkeypatch.setattr(jobs_table, "decode", counted)
    assert await ids(table) == [made[4].id]
    assert len(seen) == 1


@pytest.mark.check("OPS-10")
async def test_a_lease_of_a_clock_that_was_ahead_keeps_nobody_waiting(
    table: JobTable, clock: Clock
) -> None:
    """The worker that was given it has died: one that lives renews it in seconds."""
    made = await table.create("copy")
    held = await table.get(made.id)
    assert held is not None
    hour = 3600 * SECOND
    held = await table.change(held, state="running", owner="w", lease=clock.now + 10 * SECOND)
    assert not held.job.is_free(clock.now)
    clock.now -= 5 * SECOND
    assert not held.job.is_free(clock.now)
    clock.now -= hour
    assert held.job.is_free(clock.now)
    clock.now += 2 * hour
    assert held.job.is_free(clock.now)
