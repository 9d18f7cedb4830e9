"""Whose turn it is to write, among processes.

SQLite's own lock is looked at again and again with pauses in between, longer than a commit takes.
This one is waited for in the kernel, and had as soon as it is free. SQLite's decides all the same.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class Turn:
    """Locks on two files beside the archive's, which end with their process. `with` has it.

    Who waits holds the first one: whoever had the turn gets it again after them only.
    """

    def __init__(self, archive: Path) -> None:
        """Raises `OSError`."""
        self._next = _opened(archive.with_name(archive.name + ".next"))
        try:
            self._turn = _opened(archive.with_name(archive.name + ".turn"))
        except OSError:
            os.close(self._next)
            raise

    def __enter__(self) -> None:
        fcntl.flock(self._next, fcntl.LOCK_EX)
        try:
            fcntl.flock(self._turn, fcntl.LOCK_EX)
        finally:
            fcntl.flock(self._next, fcntl.LOCK_UN)

    def __exit__(self, *error: object) -> None:
        fcntl.flock(self._turn, fcntl.LOCK_UN)

    def close(self) -> None:
        os.close(self._next)
        os.close(self._turn)


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
