"""The processes of the DICOM port, which `serve` starts beside those of HTTP."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from fhirserver.cli.telling import refuse, tell
from fhirserver.settings import Settings

NEVER: Final = 4
"""What a process ends with that need not be started again (`fhirserver.app.dicom`)."""

_ENDING: Final = 15.0  # seconds that a process gets to finish what is under way
_STEADY: Final = 10.0  # seconds after which one has started well
_PAUSES: Final = (0.2, 1.0, 5.0, 30.0)  # seconds before one that ended is started again


@contextmanager
def dicom_port(settings: Settings) -> Iterator[int | None]:
    """Serves the DICOM port, if there is one to be, as long as the block lasts.

    Gives its number. What is set is to be in the environment already.
    """
    if settings.dicom_port is None:
        yield None
        return
    from fhirserver.app.dicom import tls_of
    from fhirserver.imaging.dimse.listening import listener

    try:
        tls_of(settings)
    except OSError as error:
        refuse(f"The certificates of the DICOM port cannot be used: {error}")
    host = settings.dicom_host or settings.host
    try:
        socket = listener(host, settings.dicom_port)
    except OSError as error:
        refuse(f"The DICOM port {settings.dicom_port} cannot be listened on: {error.strerror}")
    port = socket.getsockname()[1]
    tell(f"DICOM        {settings.dicom_aet}@{host}:{port}")
    with socket, _told_by_exception():
        kept = [_Kept(socket.fileno()) for _ in range(settings.dicom_processes)]
        try:
            yield port
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

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._stops = threading.Event()
        self._process = self._started()
        self._thread = threading.Thread(target=self._keep, name="dicom-process", daemon=True)
        self._thread.start()

    def _started(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603 - our own; its standard input ends when we do
            [sys.executable, "-m", "fhirserver.app.dicom", str(self._descriptor)],
            stdin=subprocess.PIPE,
            pass_fds=[self._descriptor],
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
            self._close()
            self._process = self._started()

    def tell(self) -> None:
        """Tells it to stop."""
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
