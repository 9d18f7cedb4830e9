"""Processes that decode: what kills one of them is a refusal, and no more."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator

import pytest

from fhirserver.errors import Unavailable, Unprocessable
from fhirserver.imaging.rendering import processes as module
from fhirserver.imaging.rendering.processes import Processes


@pytest.fixture
async def processes() -> AsyncIterator[Processes]:
    made = Processes(1)
    yield made
    made.close()


def _crash() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def _refuse() -> None:
    raise Unprocessable("no")


async def test_what_a_function_gives_and_raises(processes: Processes) -> None:
    assert await processes.run(max, 1, 2) == 2
    with pytest.raises(Unprocessable, match="no"):
        await processes.run(_refuse)


async def test_a_crash_is_a_refusal_and_the_next_one_is_served(processes: Processes) -> None:
    with pytest.raises(Unprocessable):
        await processes.run(_crash)
    assert await processes.run(max, 1, 2) == 2


async def test_memory_is_bounded(processes: Processes) -> None:
    with pytest.raises(MemoryError):
        await processes.run(bytes, 4 * 2**30)
    assert await processes.run(max, 1, 2) == 2


async def test_so_many_wait_and_no_more(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_WAITING", 2)
    first = [asyncio.create_task(processes.run(time.sleep, 0.2)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await processes.run(max, 1, 2)
    await asyncio.gather(*first)


async def test_closing_does_not_wait_for_what_goes_on() -> None:
    processes = Processes(1)
    pid = await processes.run(os.getpid)
    going = asyncio.create_task(processes.run(time.sleep, 60))
    await asyncio.sleep(0.1)
    processes.close()
    going.cancel()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.slow
async def test_time_is_bounded(processes: Processes) -> None:
    assert await processes.run(_limit) == module.SECONDS
    with pytest.raises(Unprocessable):
        await processes.run(_spin)


def _limit() -> float:
    left, _ = signal.getitimer(signal.ITIMER_REAL)
    return module.SECONDS if 0 < left <= module.SECONDS else left


def _spin() -> None:
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    while True:
        pass
