"""Objects as files of a folder, in 256 folders by the first two digits of their names."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from fhirserver.blobs.port import Kept
from fhirserver.durable import make_durable
from fhirserver.errors import NotFound, Unavailable

_NAME: Final = 64
_LAST: Final = "f" * _NAME
_NOT_CACHED: Final = frozenset({errno.EAGAIN, errno.EOPNOTSUPP, errno.EINVAL})
_AT_ONCE: Final = getattr(os, "RWF_NOWAIT", 0)


class FolderShelf:
    """A `fhirserver.blobs.shelf.Shelf`. Its folders are made when they are missing: at once, so
    that no instance waits for them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with translated():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self._path(_LAST).parent.exists():
                self._make_folders()

    def take(self, part: Path, descriptor: int, name: str) -> None:
        """Named first and synchronised then: one wait makes bytes and name durable.

        What a loss of power leaves of that was not acknowledged: a blob without a row, or a row
        without its bytes, which `check` finds. A blob that is there may have been, so what takes
        its place is durable before.
        """
        target = self._path(name)
        with translated():
            try:
                os.link(part, target)  # unlike `rename`, never in the place of another
                part.unlink()
            except OSError:  # one is there, or the folder is missing, or links are
                os.fsync(descriptor)
                if not target.parent.exists():
                    self._make_folders()
                part.rename(target)

    def _make_folders(self) -> None:
        """All of them at once, which is one wait instead of 256."""
        for number in range(256):
            (self._folder / f"{number:02x}").mkdir(mode=0o700, exist_ok=True)
        make_durable(self._folder)

    def settle(self, descriptor: int) -> None:
        with translated():
            os.fsync(descriptor)

    async def open(self, name: str) -> OpenFile:
        try:
            descriptor = os.open(self._path(name), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise NotFound(NOT_THERE) from None
        except OSError as error:
            raise refusal(error) from error
        return OpenFile(descriptor)

    async def size(self, name: str) -> int:
        with translated():
            try:
                return self._path(name).stat().st_size
            except FileNotFoundError:
                raise NotFound(NOT_THERE) from None

    async def remove(self, name: str) -> None:
        with translated():
            await asyncio.to_thread(self._path(name).unlink, missing_ok=True)

    async def list(self) -> AsyncIterator[Kept]:
        for number in range(256):
            with translated():
                found = await asyncio.to_thread(_listed, self._folder / f"{number:02x}")
            for kept in found:
                yield kept

    def path(self, name: str) -> Path | None:
        return self._path(name)

    async def url(self, name: str, expires: int) -> str | None:
        return None

    def _path(self, name: str) -> Path:
        if len(name) != _NAME or not set(name) <= _DIGITS:  # never a path of the caller's making
            raise NotFound(NOT_THERE)
        return self._folder / name[:2] / name


class OpenFile:
    """A file that stays open: one that is put in its place changes nothing of what is read."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.size = os.fstat(descriptor).st_size

    async def read(self, start: int, end: int) -> bytes:
        """What the system has in memory comes at once, without the way through a thread."""
        wanted = end - start
        buffer = bytearray(wanted)
        view = memoryview(buffer)
        came = self._at_once(view, start)
        if came < wanted:
            with translated():
                came += await asyncio.to_thread(self._read, view[came:], start + came)
        if came < wanted:
            raise Unavailable(CUT)
        return bytes(buffer)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _at_once(self, view: memoryview, start: int) -> int:
        if not _AT_ONCE:
            return 0
        try:
            return os.preadv(self._descriptor, [view], start, _AT_ONCE)
        except OSError as error:
            if error.errno in _NOT_CACHED:
                return 0
            raise refusal(error) from error

    def _read(self, view: memoryview, start: int) -> int:
        came = 0
        while came < len(view):
            more = os.preadv(self._descriptor, [view[came:]], start + came)
            if not more:
                break
            came += more
        return came


@contextmanager
def translated() -> Iterator[None]:
    """Turns what the system raises into `Unavailable`, with a text that helps."""
    try:
        yield
    except OSError as error:
        raise refusal(error) from error


def refusal(error: OSError) -> Unavailable:
    """What a failure of the disk means."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Unavailable("The disk of the stored objects is full. Nothing was kept.")
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return Unavailable("The server has too many files open. Try again.")
    return Unavailable(f"The disk of the stored objects failed ({error.strerror}).")


def _listed(folder: Path) -> list[Kept]:
    try:
        with os.scandir(folder) as entries:
            return [_kept(entry) for entry in entries if len(entry.name) == _NAME]
    except FileNotFoundError:
        return []


def _kept(entry: os.DirEntry[str]) -> Kept:
    state = entry.stat()
    return Kept(entry.name, state.st_size, state.st_mtime_ns // 1000)


NOT_THERE: Final = "The stored object is not there."
CUT: Final = "A stored object ends too early. Restore it from a backup."
_DIGITS: Final = frozenset("0123456789abcdef")
