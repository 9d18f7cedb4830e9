"""The bell of the process that files: a named pipe in the data folder.

Who has left something to be filed rings with the name of its tenant, and says whether somebody
waits for it. Where nobody listens that is known at once, and one files by oneself. Nothing is
imported here that a process would not have anyhow: who listens is small until it hears something.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from fhirserver.durable import make_folder

_URGENT: Final = "!"
_ONCE: Final = 65536  # bytes read at a time: as many as a pipe holds


def bell_of(data: Path) -> Path:
    """The path of the pipe in a server's data folder."""
    return data / "audit" / "filing"


class Bell:
    """What a process rings with for one tenant."""

    def __init__(self, path: Path, tenant: str) -> None:
        self._path = path
        self._tenant = tenant

    def ring(self, *, urgent: bool = False) -> bool:
        """Says that something is to be filed, at once where it is urgent; whether somebody
        listens."""
        return self._say(f"{self._tenant}{_URGENT if urgent else ''}\n".encode())

    def is_heard(self) -> bool:
        """Whether somebody listens."""
        return self._say(b"")

    def _say(self, said: bytes) -> bool:
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:  # there is no pipe, or nobody at its other end
            return False
        try:
            if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
                return False
            with suppress(BlockingIOError):  # it is full: there is much to be heard already
                os.write(descriptor, said)
        except OSError:  # who listened has gone
            return False
        finally:
            os.close(descriptor)
        return True


class Listener:
    """Listens to the bell at a path, which is made. Raises `OSError` where there can be none."""

    def __init__(self, path: Path) -> None:
        make_folder(path.parent)
        with suppress(FileExistsError):
            os.mkfifo(path, 0o600)
        # For writing as well: else it would be at its end whenever nobody rings.
        self._descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        if not stat.S_ISFIFO(os.fstat(self._descriptor).st_mode):
            os.close(self._descriptor)
            raise FileExistsError(f"{path} is no pipe")

    def fileno(self) -> int:
        """The descriptor to wait for."""
        return self._descriptor

    def heard(self) -> dict[str, bool]:
        """The tenants that it was rung for since, and whether it was urgent."""
        try:
            said = set(os.read(self._descriptor, _ONCE).decode(errors="replace").split())
        except BlockingIOError:
            return {}
        return {name.rstrip(_URGENT): name.rstrip(_URGENT) + _URGENT in said for name in said}

    def close(self) -> None:
        """Nobody listens any more."""
        os.close(self._descriptor)
