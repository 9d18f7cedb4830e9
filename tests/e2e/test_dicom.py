"""The DICOM port of the real server: its processes, `kill -9`, stopping, and a real archive's push."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import apsw
import httpx2
import pytest
from e2e.server import Server, check_file, environment, serving

sys.path.insert(0, str(Path(__file__).parents[2]))
from benchmarks.dicom_sender import Association, copies

pytestmark = pytest.mark.skipif(not shutil.which("storescu"), reason="dcmtk is not installed")

TITLE = "FHIRSERVER"


def dicom_port(server: Server) -> int:
    found = re.search(r"^DICOM +\S+:(\d+)$", server.told, re.MULTILINE)
    assert found, server.told
    return int(found[1])


def children(server: Server) -> list[int]:
    listed = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
    found = []
    for child in listed.read_text().split():
        command = Path(f"/proc/{child}/cmdline").read_bytes()
        if b"fhirserver.app.dicom" in command:
            found.append(int(child))
    return found


def rows(data: Path) -> dict[str, str]:
    """Blob by SOP Instance UID, as the archive has them."""
    connection = apsw.Connection(str(data / "imaging.db"), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return dict(connection.execute("SELECT uid, blob FROM instance"))
    finally:
        connection.close()


def blobs(data: Path) -> dict[str, Path]:
    return {path.name: path for path in (data / "blobs").glob("??/*")}


def until(condition: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.05)


def associated(port: int) -> Association:
    """An association, as soon as a process serves."""
    for _ in range(600):
        with suppress(OSError):
            return Association(port, TITLE)
        time.sleep(0.1)
    raise AssertionError("no association is taken")


class Senders:
    """Threads that store until they cannot; `acknowledged` are the UIDs that were."""

    def __init__(self, port: int, count: int) -> None:
        self.acknowledged: list[str] = []
        self.sent = 0
        self._instances = iter(copies(2000, start=0))
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(port,)) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def _run(self, port: int) -> None:
        with suppress(OSError):
            association = associated(port)
            for message in range(1, 60_000):
                with self._lock:
                    uid, data = next(self._instances)
                self.sent += 1
                if association.store(message, uid, data) == 0:
                    self.acknowledged.append(uid)

    def join(self) -> None:
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()
