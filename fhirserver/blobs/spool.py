"""The spool: files that are being written, each locked by its writer.

A lock ends with its process, however that ends. So what is not locked is a leftover.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Final

from fhirserver.blobs.folder import FolderShelf, refusal, translated
from fhirserver.blobs.keys import ContentKeys
from fhirserver.blobs.port import Bytes, Stored
from fhirserver.blobs.sealing import Sealing, sealed_name
from fhirserver.blobs.shelf import Shelf
from fhirserver.errors import Unavailable

SUFFIX: Final = ".part"
_WAITING: Final = 1 << 17  # sealed bytes that are gathered before they are written
_DIRECT: Final = getattr(os, "O_DIRECT", 0)
_PAGE: Final = 4096
_STRAIGHT: Final = 1 << 16  # bytes from which on it pays to write past the system's cache


class FileSpool:
    """A `fhirserver.blobs.port.Spool` in a folder, for a shelf. With keys, blobs are sealed."""

    def __init__(
        self, folder: Path, shelf: Shelf, keys: ContentKeys | None, names: bytes | None
    ) -> None:
        self._folder = folder
        self._shelf = shelf
        self._keys = keys
        self._names = names
        with translated():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def open(self, *, straight: bool = False) -> SpoolFile:
        sealing = None if self._keys is None else Sealing(self._keys)
        path, descriptor = self._file()
        straight = straight and isinstance(self._shelf, FolderShelf)  # others read it at once
        return SpoolFile(self, path, descriptor, sealing, straight=straight)

    def _file(self) -> tuple[Path, int]:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with translated():
            while True:
                path = self._folder / (secrets.token_hex(16) + SUFFIX)
                descriptor = os.open(path, flags, 0o600)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:  # taken for a leftover before it was locked
                    os.close(descriptor)
                    continue
                if os.fstat(descriptor).st_nlink:
                    return path, descriptor
                os.close(descriptor)

    def name(self, digest: str) -> str:
        """The name of a blob on the shelf."""
        return digest if self._names is None else sealed_name(self._names, digest)

    def keep(self, path: Path, descriptor: int, digest: str) -> None:
        self._shelf.take(path, descriptor, self.name(digest))

    def settle(self, descriptor: int) -> None:
        self._shelf.settle(descriptor)

    def leftovers(self) -> list[Path]:
        """Files that nobody writes any more."""
        return [path for path, _ in self._unlocked()]

    def sweep(self) -> int:
        """Takes the leftovers away; how many they were."""
        number = 0
        for path, _ in self._unlocked():  # still locked by us
            path.unlink(missing_ok=True)
            number += 1
        return number

    def _unlocked(self) -> Iterator[tuple[Path, int]]:
        for path in sorted(self._folder.glob(f"*{SUFFIX}")):
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                yield path, descriptor
            except BlockingIOError:
                continue
            finally:
                os.close(descriptor)


class SpoolFile:
    """A `fhirserver.blobs.port.Incoming`."""

    def __init__(
        self,
        spool: FileSpool,
        path: Path,
        descriptor: int,
        sealing: Sealing | None,
        *,
        straight: bool,
    ) -> None:
        self._spool = spool
        self._path = path
        self._descriptor = descriptor
        self._sealing = sealing
        self._waiting = [sealing.head] if sealing else []
        self._weight = 0
        self._hash = sha256()
        self._straight = straight and sealing is None
        self.size = 0

    def write(self, data: Bytes) -> None:
        if self._descriptor < 0:
            raise Unavailable("The object was given up.")
        self._hash.update(data)
        if self._sealing is None:
            self._out(memoryview(data)[self._past_cache(data) :])
            self.size += len(data)
            return
        self.size += len(data)
        for chunk in self._sealing.seal(data):
            self._waiting.append(chunk)
            self._weight += len(chunk)
        if self._weight >= _WAITING:
            self._flush()

    def commit(self) -> Stored:
        stored = self.place()
        self.settle()
        return stored

    def place(self) -> Stored:
        try:
            if self._sealing is not None:
                self._waiting += self._sealing.end(self._hash.digest())
                self._flush()
            digest = self._hash.hexdigest()
            self._spool.keep(self._path, self._descriptor, digest)
        except BaseException:
            self.abort()
            raise
        return Stored(digest, self.size)

    def settle(self) -> None:
        try:
            self._spool.settle(self._descriptor)
        finally:
            self._close()

    def abort(self) -> None:
        if self._descriptor >= 0:
            self._path.unlink(missing_ok=True)
            self._close()

    def _flush(self) -> None:
        self._out(b"".join(self._waiting))
        self._waiting.clear()
        self._weight = 0

    def _past_cache(self, data: Bytes) -> int:
        """Writes whole pages straight from where they are to the disk; how many bytes that were.

        Only where it can be done, and pays: a copy of the pages is what the rest of the way
        costs, most of all where the system has to find memory for it.
        """
        whole = len(data) - len(data) % _PAGE
        if not self._straight or whole < _STRAIGHT or self.size % _PAGE:
            return 0
        try:
            fcntl.fcntl(self._descriptor, fcntl.F_SETFL, _DIRECT)
            try:
                return os.write(self._descriptor, memoryview(data)[:whole])
            finally:
                fcntl.fcntl(self._descriptor, fcntl.F_SETFL, 0)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise refusal(error) from error
            self._straight = False  # this file system, or this memory, cannot
            return 0

    def _out(self, data: Bytes) -> None:
        try:
            written = 0
            while written < len(data):
                written += os.write(self._descriptor, memoryview(data)[written:])
        except OSError as error:
            raise refusal(error) from error

    def _close(self) -> None:
        os.close(self._descriptor)
        self._descriptor = -1
