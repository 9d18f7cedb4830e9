"""A real Redis of one's own on a free port, for tests that count together."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError

SERVER = shutil.which("redis-server")
_START_SECONDS = 20

needs_redis = [
    pytest.mark.redis,
    pytest.mark.skipif(SERVER is None, reason="redis-server is not installed"),
]
"""The marks of a test that runs one."""


class Service:
    """A Redis that can be killed, stopped for a while, and started again at the same port."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port = found.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.client = Redis(port=self.port, decode_responses=True)

    def start(self) -> None:
        assert SERVER is not None
        self._process = subprocess.Popen(
            [SERVER, "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""],
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                self.client.ping()
                return
            except RedisError:
                time.sleep(0.02)
        raise AssertionError("redis-server did not start")

    def kill(self) -> None:
        """SIGKILL: it is gone, and all that it has counted."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(20)

    def hang(self) -> None:
        """It takes connections, and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


@contextmanager
def redis_service(folder: Path) -> Iterator[Service]:
    """A running one; it is killed in the end."""
    service = Service(folder)
    try:
        service.start()
        yield service
    finally:
        service.client.close()
        service.kill()
