"""What keeps objects under names, below sealing and digests: a folder, or an object store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

from fhirserver.blobs.port import Kept


class Open(Protocol):
    """An object that is read. In a folder it stays the same meanwhile; remotely, one of the same
    name and size, and if not sealed of the same bytes, may come into its place."""

    @property
    def size(self) -> int: ...

    async def read(self, start: int, end: int) -> bytes:
        """Exactly these bytes. Raises `Unavailable`, `NotFound`."""

    def close(self) -> None: ...


class Shelf(Protocol):
    """Keeps whole objects. All raise `Unavailable` when it cannot be reached."""

    def take(self, part: Path, descriptor: int, name: str) -> None:
        """Makes a file of the spool the object of that name, durable after `settle`; the file is
        gone then.

        Called from any thread, and may block. `descriptor` is open on the file.
        """

    def settle(self, descriptor: int) -> None:
        """Makes durable what was taken. Called from any thread, and may block."""

    async def open(self, name: str) -> Open:
        """Raises `NotFound`."""

    async def size(self, name: str) -> int:
        """Raises `NotFound`."""

    async def remove(self, name: str) -> None:
        """Nothing happens where it is not there."""

    def list(self) -> AsyncIterator[Kept]: ...

    def path(self, name: str) -> Path | None: ...

    async def url(self, name: str, expires: int) -> str | None: ...
