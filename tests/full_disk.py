"""A small disk of one's own (tmpfs), which tests fill and make room on again."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_FILLER = "filler"
_BLOCK = bytes(4096)


class Disk:
    """`folder` is what is on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self) -> None:
        """Leaves no block free."""
        with (self.folder / _FILLER).open("ab", buffering=0) as file:
            try:
                while True:
                    file.write(_BLOCK)
            except OSError:
                pass
        assert os.statvfs(self.folder).f_bavail == 0

    def make_room(self) -> None:
        (self.folder / _FILLER).unlink()


@contextmanager
def small_disk(folder: Path, megabytes: int = 24) -> Iterator[Disk]:
    """One that is mounted until the end of the block; skips where nothing can be mounted."""
    folder.mkdir()
    options = f"size={megabytes}m,mode=700"
    try:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)],
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        pytest.skip("there is no mount")
    if done.returncode:
        pytest.skip("a file system cannot be mounted here")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
