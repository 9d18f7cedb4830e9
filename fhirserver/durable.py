"""What is to be there after a loss of power: its bytes, and the folder that names it."""

from __future__ import annotations

import os
from pathlib import Path


def make_durable(path: Path) -> None:
    """Waits until the bytes of a file, or the names in a folder, are on disk. Raises `OSError`."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Makes a folder, and those that it is in, which only their owner may enter; their names are
    on disk. Raises `OSError`."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    make_durable(folder.parent)
