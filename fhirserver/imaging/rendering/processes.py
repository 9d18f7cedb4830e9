"""Processes that decode and draw, so that neither the web loop nor its memory suffers.

A codec is much code in C over bytes from anywhere: it gets a bounded memory and a bounded time,
and where it dies, its process does, not the server.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import resource
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing.connection import wait
from typing import Final, ParamSpec, TypeVar

from fhirserver.errors import Unavailable, Unprocessable

_P = ParamSpec("_P")
_T = TypeVar("_T")

SECONDS: Final = 30.0
"""Time for one frame."""

_MEMORY: Final = 3 * 2**30  # of addresses, libraries included
_TASKS: Final = 2000  # after which a process makes way for a fresh one
_WAITING: Final = 64  # requests for each process that may wait


class Processes:
    """So many processes, started when first needed. `close` ends them."""

    def __init__(self, count: int = 2) -> None:
        self._count = count
        self._executor: ProcessPoolExecutor | None = None
        self._waiting = 0
        self._is_closed = False

    async def run(self, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """What a function of a module gives, done in one of the processes.

        Raises what it raises, `Unprocessable` where its process died of it (twice, since it may
        have been the neighbour's fault), `Unavailable` when too many wait already.
        """
        if self._waiting >= self._count * _WAITING:
            raise Unavailable("Too many pictures are being made.", headers={"Retry-After": "2"})
        self._waiting += 1
        try:
            for _ in range(2):
                executor = self._started()
                try:
                    bound = partial(work, *args, **kwargs)
                    return await asyncio.wrap_future(executor.submit(_timed, bound))
                except BrokenProcessPool:
                    self._broke(executor)
            raise Unprocessable("The pixels of the instance cannot be decoded.")
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Ends the processes, whatever they do."""
        self._is_closed = True
        executor, self._executor = self._executor, None
        if executor is None:
            return
        # Python has `kill_workers` from 3.14 on; waiting for a codec may take its whole time.
        for process in list((getattr(executor, "_processes", None) or {}).values()):
            process.kill()
        executor.shutdown(wait=True, cancel_futures=True)

    def _started(self) -> ProcessPoolExecutor:
        if self._is_closed:
            raise Unavailable("The server is shutting down.")
        if self._executor is None:
            self._executor = ProcessPoolExecutor(
                self._count,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_begin,
                max_tasks_per_child=_TASKS,
            )
        return self._executor

    def _broke(self, executor: ProcessPoolExecutor) -> None:
        if self._executor is executor:
            self._executor = None
        executor.shutdown(wait=False)


def _begin() -> None:
    """Sets the bounds of a process, before it loads what needs them."""
    os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal tells all; the server ends us
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(0)


def _timed(work: Callable[[], _T]) -> _T:
    """Does the work, or ends the process when it takes too long: no codec can be asked to stop."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        return work()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
