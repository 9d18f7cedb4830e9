"""Spares: files of the journal in which all is filed, kept to be written over.

A sync of what is written over takes half the time of one that makes a file longer, which changes
the file system's own data as well. What lies in a spare is no segment of the file that it becomes
(`audit.journal` marks them); one that is large enough is kept, up to a number.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from fhirserver.store.port import Stale

SPARE: Final = ".spare"

WORTH: Final = 1024 * 1024
"""Bytes of a file from which on it is worth keeping."""

MOST_SPARE: Final = 12
"""Spares in a folder, at the most."""


def leave(path: Path) -> None:
    """Removes a file of which all is filed, or makes it a spare."""
    with suppress(FileNotFoundError):
        if path.stat().st_size >= WORTH and len(_spares(path.parent)) < MOST_SPARE:
            path.rename(path.with_suffix(SPARE))
        else:
            path.unlink()


def taken(path: Path) -> int | None:
    """A spare under the name that it has from now on, locked before; None where there is none.

    Raises `Stale` where there is a file of that name.
    """
    for spare in _spares(path.parent):
        with suppress(FileNotFoundError, BlockingIOError):  # another takes it
            descriptor = os.open(spare, os.O_RDWR | os.O_CLOEXEC)
            try:
                if _is_renamed(descriptor, spare, path):
                    return descriptor
            except FileExistsError:
                os.close(descriptor)
                raise Stale("The place in the journal is taken.") from None
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)
    return None


def remove_spares(folder: Path) -> None:
    """Nobody is to write into the folder soon."""
    for spare in _spares(folder):
        spare.unlink(missing_ok=True)


def _is_renamed(descriptor: int, spare: Path, path: Path) -> bool:
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    status = os.fstat(descriptor)
    if not os.path.samestat(status, spare.stat()):
        return False
    is_free = status.st_nlink == 1  # who ended between the two has left a file in use as a spare
    if is_free:
        os.link(spare, path)  # unlike a rename, it takes nobody's place
    spare.unlink(missing_ok=True)
    return is_free


def _spares(folder: Path) -> list[Path]:
    return list(folder.glob(f"*{SPARE}"))
