"""The DICOM port of the real server, and dcmtk's commands that call it."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from e2e.server import ran
from imaging.dimse.calling import DCMTK

needs_dcmtk = pytest.mark.skipif(
    not all(shutil.which(name, path=DCMTK) for name in ("storescu", "echoscu")),
    reason="needs dcmtk",
)


def free_port() -> str:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return str(listener.getsockname()[1])


def until(holds: Callable[[], object]) -> None:
    """Waits until that is so."""
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)


def echo(title: str, port: str, *options: str) -> int:
    """What echoscu ends with: 0 where it was answered."""
    return _called("echoscu", *options, "-aec", title, "127.0.0.1", port)


def store(title: str, port: str, file: Path, *options: str) -> int:
    """What storescu ends with: 0 where all was stored."""
    return _called("storescu", *options, "-aec", title, "127.0.0.1", port, str(file))


def found(title: str, port: str, *options: str) -> str:
    """What findscu tells of all studies."""
    keys = ("-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID")
    done = _ran("findscu", *options, "-S", *keys, "-aec", title, "127.0.0.1", port)
    assert done.returncode == 0, done.stdout
    return done.stdout


def _called(name: str, *arguments: str) -> int:
    return _ran(name, *arguments).returncode


def _ran(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(shutil.which(name, path=DCMTK)), "-aet", "CT1", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )


def told(folder: Path, *arguments: str, **env: str) -> str:
    """What a command of the server says, whose data folder is `data` in that one."""
    done = ran(folder, *arguments, "--data", "data", **env)
    assert done.returncode == 0, done.stderr
    return done.stdout
