"""The journal: segments appended to files beside the store, one sync for each.

A file is one process's, which holds a lock on it for as long as it lives; another process files
what a dead one left, and removes the file. What is at its end and not whole was never
acknowledged. A file is emptied or removed when all in it is filed; not while a backup is taken,
which copies the journal after the store (`kept`), so that each event is in one of them. What is
handed over is as if its process had ended.

Frames bear the mark of their file, as it may have had another life (`audit.spares`).
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import struct
import time
import zlib
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

from fhirserver.audit import spares
from fhirserver.audit.shelf import Held, Sealed
from fhirserver.audit.spares import leave, remove_spares, taken
from fhirserver.durable import make_durable, make_folder
from fhirserver.store.port import Stale

LARGEST: Final = 4 * 1024 * 1024
"""Bytes of a file from which on the next segment begins another."""

SLOW: Final = 0.002
"""Seconds of a write from which on the next is left to a thread."""

FOLDER: Final = "journal"
SUFFIX: Final = ".journal"

_LOCK: Final = "lock"
# The mark of the file, the bytes of the key, those of the segment, the checksum of all.
_FRAME: Final = struct.Struct(">IIII")


@contextmanager
def kept(folder: Path) -> Iterator[None]:
    """Nothing is removed from the journal in a folder meanwhile."""
    if not folder.is_dir():
        yield
        return
    descriptor = _opened_lock(folder)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def lane_of(path: Path) -> str:
    """The name of the lane that a file of the journal is of, as checkpoints have it."""
    return path.name.partition("-")[0]


class Journal:
    """A `fhirserver.audit.shelf.Shelf` in a folder. To be used from one event loop.

    `is_due` while what is to be handed over waits for the end of a `put`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._current: _File | None = None
        self._by_key: dict[str, _Lying] = {}
        self._files: list[_File] = []
        self._done: dict[str, set[str]] = {}
        self._thread: ThreadPoolExecutor | None = None
        self._late: Future[None] | None = None
        self._is_slow = False
        self._is_putting = False
        self.is_due = False

    async def put(self, lane: int, segment: Sealed) -> None:
        file = self._current
        if file is None or file.lane != lane or file.size >= LARGEST:
            file = self._next(lane, segment.key)
        start = file.size
        file.waiting += 1  # before it is written: it is not empty meanwhile
        begun = time.monotonic()
        self._is_putting = True
        try:
            if self._is_slow:
                await self._aside(file, segment)
            else:  # a disk with a cache of its own syncs faster than a thread is woken
                file.append(segment)
        except BaseException:
            file.waiting -= 1
            self._current = None
            raise
        else:
            self._by_key[segment.key] = _Lying(file, start, file.size - start)
        finally:
            self._is_slow = time.monotonic() - begun > SLOW
            self._is_putting = False
            if self.is_due:
                self.hand_over()

    def hand_over(self) -> None:
        """Leaves all that this process put to be filed by others; at the end of a `put`, if one
        is under way."""
        self.is_due = self._is_putting or (self._late is not None and not self._late.done())
        if self.is_due:
            return
        self._current = None
        with suppress(OSError):
            self._clear()  # what is empty is nobody's
        self._by_key.clear()
        while self._files:
            self._files.pop().close()

    def waiting(self) -> dict[str, int]:
        """The bytes of the files in which something may wait, by their names, the oldest first."""
        found = {}
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(self._folder) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    if entry.name.endswith(SUFFIX) and (size := entry.stat().st_size):
                        found[entry.name] = size
        return dict(sorted(found.items()))

    def own(self) -> set[str]:
        """The names of this process's files."""
        return {file.path.name for file in self._files}

    def has(self, key: str) -> bool:
        """Whether a segment is this process's to file."""
        return key in self._by_key

    def is_held(self, name: str) -> bool:
        """Whether a process puts into the file of that name."""
        return _is_held(self._folder / name)

    def is_kept(self) -> bool:
        """Whether a backup is taken, so that no file goes."""
        with self._removing() as may:
            return not may and self._folder.is_dir()

    async def get(self, keys: Sequence[str]) -> list[Sealed]:
        found = []
        for key in keys:
            lying = self._by_key.get(key)
            if lying is not None:
                data = lying.file.read(lying.start, lying.length)
                found += _segments(data, lying.file.mark)
        return found

    async def remove(self, keys: Sequence[str]) -> None:
        for key in keys:
            lying = self._by_key.pop(key, None)
            if lying is not None:
                lying.file.waiting -= 1
        self._clear()

    async def held(self) -> AsyncIterator[Held]:
        for path in self._paths():
            segments = _read(path)
            if segments:
                yield Held(path.name, segments)

    async def left(self, *, of_living: bool = True) -> AsyncIterator[Held]:
        own = self.own()
        names = [path.name for path in self._paths() if path.name not in own]
        self._done = {name: self._done[name] for name in names if name in self._done}
        for name in names:
            if not of_living and self.is_held(name):
                continue
            segments = _read(self._folder / name)
            done = self._done.setdefault(name, set())
            done &= {segment.key for segment in segments}
            yield Held(name, [segment for segment in segments if segment.key not in done])

    async def discard(self, place: str, keys: Sequence[str]) -> None:
        done = self._done.setdefault(place, set())
        done.update(keys)
        path = self._folder / place
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # its process lives, and will see to it
            return
        else:
            with self._removing() as may:
                if may and all(segment.key in done for segment in _read(path)):
                    leave(path)
        finally:
            os.close(descriptor)

    async def close(self) -> None:
        if self._thread is not None:  # who was cancelled left a write behind
            self._thread.shutdown()
        self.hand_over()
        remove_spares(self._folder)

    def _next(self, lane: int, key: str) -> _File:
        self._current = None
        make_folder(self._folder)
        file = self._current = _File(self._folder / f"{key}{SUFFIX}", lane)
        self._files.append(file)
        return file

    async def _aside(self, file: _File, segment: Sealed) -> None:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="audit-journal")
        self._late = self._thread.submit(file.append, segment)
        await asyncio.wrap_future(self._late)

    def _clear(self) -> None:
        """Empties or removes the files of which all is filed, if that may be now."""
        spent = [file for file in self._files if not file.waiting]
        if not spent:
            return
        with self._removing() as may:
            for file in spent if may else ():
                if file is self._current and file.size < spares.WORTH:
                    file.empty()
                else:
                    if file is self._current:
                        self._current = None
                    leave(file.path)
                    self._files.remove(file)
                    file.close(cut=False)

    def _paths(self) -> list[Path]:
        return sorted(self._folder.glob(f"*{SUFFIX}"))

    @contextmanager
    def _removing(self) -> Iterator[bool]:
        """Whether something may be removed now."""
        if not self._folder.is_dir():
            yield False
            return
        descriptor = _opened_lock(self._folder)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
        finally:
            os.close(descriptor)


class _Lying(NamedTuple):
    """Where a segment of this process lies."""

    file: _File
    start: int
    length: int


class _File:
    """A file of this process. `waiting` are the segments in it that are not filed."""

    def __init__(self, path: Path, lane: int) -> None:
        self._descriptor = taken(path) or _made(path)
        self.path = path
        self.mark = _mark(path)
        self.lane = lane
        self.size = 0
        self.waiting = 0
        self._is_new = True

    def append(self, segment: Sealed) -> None:
        """Durable when it returns. Raises `OSError`."""
        key, body = segment.key.encode(), segment.body
        checksum = zlib.crc32(body, zlib.crc32(key, self.mark))
        head = _FRAME.pack(self.mark, len(key), len(body), checksum) + key
        length = len(head) + len(body)
        if os.pwritev(self._descriptor, (head, body), self.size) != length:
            raise OSError(f"{self.path} could not be written whole")
        os.fdatasync(self._descriptor)
        if self._is_new:
            self._is_new = False
            make_durable(self.path.parent)
        self.size += length

    def read(self, start: int, length: int) -> bytes:
        return os.pread(self._descriptor, length, start)

    def empty(self) -> None:
        os.ftruncate(self._descriptor, 0)
        self.size = 0

    def close(self, *, cut: bool = True) -> None:
        """Ends the file where its segments do, if it can be, unless it is left as a spare."""
        try:
            if cut:
                with suppress(OSError):  # what lies behind them is none of its segments
                    os.ftruncate(self._descriptor, self.size)
        finally:
            os.close(self._descriptor)


def _mark(path: Path) -> int:
    """What the frames of a file bear."""
    return zlib.crc32(path.stem.encode())


def _made(path: Path) -> int:
    """A new file, locked. Raises `Stale` where there is one."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    while True:
        try:
            descriptor = os.open(path, flags, 0o600)
        except FileExistsError:
            raise Stale("The place in the journal is taken.") from None
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return descriptor
        os.close(descriptor)  # before it was locked, somebody removed it as one of the dead


def _read(path: Path) -> list[Sealed]:
    """The segments of a file that are whole."""
    try:
        return _segments(path.read_bytes(), _mark(path))
    except FileNotFoundError:
        return []


def _segments(data: bytes, mark: int) -> list[Sealed]:
    """The segments of a file. The last one of a spare's that is not whole was never acknowledged;
    any other is damaged, which is told by whoever opens it."""
    found = []
    start, is_whole = 0, True
    while start + _FRAME.size <= len(data):
        of_file, of_key, of_body, checksum = _FRAME.unpack_from(data, start)
        key = start + _FRAME.size
        end = key + of_key + of_body
        if of_file != mark or end > len(data):
            break
        is_whole = zlib.crc32(data[key:end], mark) == checksum
        name = data[key : key + of_key].decode("ascii", "replace")
        found.append(Sealed(name, data[key + of_key : end]))
        start = end
    return found if is_whole or start == len(data) else found[:-1]


def _is_held(path: Path) -> bool:
    """Whether a process holds the file, as it puts something into it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


def _opened_lock(folder: Path) -> int:
    return os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
