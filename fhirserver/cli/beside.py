"""Processes that `serve` keeps beside those of HTTP: each is started again whenever it ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

NEVER: Final = 4
"""What a process ends with that need not be started again."""

_ENDING: Final = 15.0  # seconds that a process gets to finish what is under way
_STEADY: Final = 10.0  # seconds after which one has started well
_PAUSES: Final = (0.2, 1.0, 5.0, 30.0)  # seconds before one that ended is started again


@contextmanager
def beside(*commands: Sequence[str], descriptors: Sequence[int] = ()) -> Iterator[None]:
    """Keeps a process for each command (a module and its arguments) as long as the block lasts.

    They have the descriptors too. What is set is to be in the environment already.
    """
    with _told_by_exception():
        kept = [_Kept(command, descriptors) for command in commands]
        try:
            yield
        finally:
            for one in kept:
                one.tell()
            for one in kept:
                one.end()


class _Told(BaseException):
    """SIGTERM came."""


@contextmanager
def _told_by_exception() -> Iterator[None]:
    """SIGTERM ends the block as an exception would, and the process only behind it.

    uvicorn sends itself the signal again when it has ended: the processes would be left behind.
    """

    def told(number: int, frame: object) -> None:
        raise _Told

    before = signal.signal(signal.SIGTERM, told)
    try:
        yield
    except _Told:
        signal.signal(signal.SIGTERM, before)
        signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)


class _Kept:
    """A process that is started again whenever it ends."""

    def __init__(self, command: Sequence[str], descriptors: Sequence[int]) -> None:
        self._command = command
        self._descriptors = descriptors
        self._stops = threading.Event()
        self._lock = threading.Lock()  # while it is started, or told
        self._process = self._started()
        self._thread = threading.Thread(target=self._keep, name="beside", daemon=True)
        self._thread.start()

    def _started(self) -> subprocess.Popen[bytes]:
        safe = ["-P"] if sys.flags.safe_path else []
        return subprocess.Popen(  # noqa: S603 - our own; its standard input ends when we do
            [sys.executable, *safe, "-m", *self._command],
            stdin=subprocess.PIPE,
            pass_fds=self._descriptors,
        )

    def _keep(self) -> None:
        failures = 0
        while True:
            began = time.monotonic()
            if self._process.wait() == NEVER:
                return
            if time.monotonic() - began > _STEADY:
                failures = 0
            if self._stops.wait(_PAUSES[min(failures, len(_PAUSES) - 1)]):
                return
            failures += 1
            with self._lock, suppress(OSError):  # no memory, no descriptors: tried again
                if self._stops.is_set():
                    return
                self._close()
                self._process = self._started()

    def tell(self) -> None:
        """Tells it to stop."""
        with self._lock:
            self._stops.set()
            self._process.terminate()

    def end(self) -> None:
        """Waits until it has; ends it where it does not."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_ENDING)
        self._process.kill()
        self._process.wait()
        self._thread.join()
        self._close()

    def _close(self) -> None:
        if self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()
