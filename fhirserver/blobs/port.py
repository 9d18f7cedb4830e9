"""The blobs port: one tenant's objects, each under the SHA-256 of its plain bytes.

A blob is written once and never changes; writing the same bytes again gives the same digest. It
is there whole or not at all, and durable, when `commit` returns. Nothing here counts who refers
to a blob: whoever keeps references (`fhirserver.archive`) decides when one is deleted.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final, NamedTuple, Protocol, TypeAlias

CHUNK: Final = 1 << 18
"""The most bytes that `read` gives at once."""

Bytes: TypeAlias = bytes | bytearray | memoryview


class Stored(NamedTuple):
    """What was written: `digest` in 64 lower-case hexadecimal digits, `size` in plain bytes."""

    digest: str
    size: int


class Kept(NamedTuple):
    """A blob as a listing tells it. `name` is what `Blobs.name(digest)` gives; `size` is that of
    what is kept (sealed: more than the plain bytes); `modified` in microseconds since 1970."""

    name: str
    size: int
    modified: int


class Incoming(Protocol):
    """A blob that is being written from a thread which may block. Not to be shared by threads.

    What is neither committed nor aborted is a leftover in the spool, which `check` takes away.
    """

    @property
    def size(self) -> int:
        """How many plain bytes came so far."""

    def write(self, data: Bytes) -> None:
        """Takes in bytes, which may be overwritten afterwards; it keeps no reference to them.

        Raises `Unavailable` when the disk is full or fails.
        """

    def commit(self) -> Stored:
        """Makes the blob durable under its digest. Raises `Unavailable`; nothing is left then."""

    def place(self) -> Stored:
        """Puts the blob where it is read from; it is durable after `settle` only.

        For those who have something else to make durable meanwhile. Raises `Unavailable`.
        """

    def settle(self) -> None:
        """Makes durable what was placed. Raises `Unavailable`."""

    def abort(self) -> None:
        """Gives up; nothing is left. May be called at any time, also twice and after `commit`."""


class Spool(Protocol):
    """Where threads write blobs. All of it may be called from any thread."""

    def open(self, *, straight: bool = False) -> Incoming:
        """A new blob. Raises `Unavailable`.

        `straight`: it may be written past the system's cache, which takes less time, but then it
        is read from the disk. For data in memory that begins at a page (`mmap`).
        """


class Writing(Protocol):
    """As `Incoming`, for the event loop: `async with blobs.writing() as blob`, which aborts at
    its end what was not committed."""

    @property
    def size(self) -> int: ...

    @property
    def waiting(self) -> int:
        """How many bytes are in memory, and not written yet."""

    async def write(self, data: Bytes) -> None: ...

    async def commit(self) -> Stored: ...

    async def abort(self) -> None: ...

    async def __aenter__(self) -> Writing: ...

    async def __aexit__(self, *error: object) -> None: ...


class Blobs(Protocol):
    """The verbs. All raise `Unavailable` when the storage cannot be reached."""

    @property
    def spool(self) -> Spool: ...

    def writing(self) -> Writing:
        """A new blob, written in chunks of any size."""

    async def put(self, data: Bytes) -> Stored:
        """A whole blob that is small."""

    async def size(self, digest: str) -> int:
        """Its size in plain bytes. Raises `NotFound`."""

    def read(self, digest: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The plain bytes from `start` up to, not including, `end` (None: to its end), in chunks
        of at most `CHUNK`; no more of it is in memory. `end` beyond the blob means its end.

        Raises `NotFound` before the first chunk, `Altered` where a sealed one was changed.
        """

    async def get(self, digest: str, start: int = 0, end: int | None = None) -> bytes:
        """The same as one piece: for what is known to be small (a frame, a header)."""

    def path(self, digest: str) -> Path | None:
        """The file that has exactly the plain bytes, where there can be one (not sealed, not
        remote), to be sent by the system or mapped. It may be missing: opening it tells."""

    async def url(self, digest: str, expires: int) -> str | None:
        """An address that gives the plain bytes to whoever has it, for so many seconds; None
        where the storage or the credentials cannot sign, or the blob is sealed."""

    async def has(self, digest: str) -> bool: ...

    async def delete(self, digest: str) -> None:
        """Takes it away; nothing happens where it is not there."""

    async def remove(self, name: str) -> None:
        """The same by the name of a listing: for what has no row."""

    def name(self, digest: str) -> str:
        """What a listing calls the blob: its digest or, where blobs are sealed, a keyed hash."""

    async def digest(self, name: str) -> str:
        """The digest of a blob of a listing. Raises `NotFound`, `Altered`."""

    def list(self) -> AsyncIterator[Kept]:
        """All blobs, in no order; not what is still in the spool."""

    async def leftovers(self) -> int:
        """How many writes lie in the spool that the end of their process broke off."""

    async def sweep(self) -> int:
        """Takes the leftovers away; how many they were. Writes that go on are left alone."""

    async def close(self) -> None: ...
