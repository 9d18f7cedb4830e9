"""Clients that ask at one moment, from several processes."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple

import httpx2

PROCESSES = 4
THREADS = 16
RACERS = PROCESSES * THREADS
_PATIENCE = 60  # seconds until all racers must be at the start


class Ask(NamedTuple):
    """A request that all racers make; `{n}` in the body stands for the racer's number."""

    method: str
    url: str
    body: str
    headers: dict[str, str]


class Told(NamedTuple):
    status: int
    body: Any


class Racers:
    """64 racers in processes that wait for races."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool

    def race(self, ask: Ask) -> list[Told]:
        """What the racers were told; all have connected before the first asks."""
        groups = [self._pool.submit(_run, ask, number) for number in range(PROCESSES)]
        return [told for group in groups for told in group.result()]


@contextmanager
def racers() -> Iterator[Racers]:
    """The processes, until the end of the block."""
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(RACERS)
    with ProcessPoolExecutor(PROCESSES, context, _prepare, (start,)) as pool:
        yield Racers(pool)


_start: Any = None


def _prepare(start: Any) -> None:
    global _start
    _start = start


def _run(ask: Ask, process: int) -> list[Told]:
    told: list[Told] = []

    def run(number: int) -> None:
        with httpx2.Client(timeout=60) as client:
            client.get(ask.url.partition("/fhir")[0] + "/readyz")
            _start.wait(_PATIENCE)
            answer = client.request(
                ask.method,
                ask.url,
                content=ask.body.replace("{n}", str(number)),
                headers={"Content-Type": "application/fhir+json", **ask.headers},
            )
            told.append(Told(answer.status_code, answer.json()))

    threads = [threading.Thread(target=run, args=(process * THREADS + n,)) for n in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return told
