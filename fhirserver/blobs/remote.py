"""Objects in S3, Google Cloud Storage or Azure, over obstore.

Objects are written to the spool of this machine first and go up when they are whole: what a
modality sends is acknowledged when the object store has it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from fhirserver.blobs.folder import NOT_THERE, translated
from fhirserver.blobs.port import Kept
from fhirserver.errors import NotFound, Unavailable

if TYPE_CHECKING:
    from obstore import SignCapableStore
    from obstore.store import ObjectStore

_PART: Final = 8 << 20
_AT_ONCE: Final = 4  # parts of one upload in memory
_PATIENCE: Final = timedelta(seconds=30)  # no later retry: modalities wait no longer either
_NO_BUCKET: Final = "The bucket or container of FHIRSERVER_BLOBS is not there."


class RemoteShelf:
    """A `fhirserver.blobs.shelf.Shelf`. `options` go to obstore (`aws_endpoint`)."""

    def __init__(self, url: str, options: Mapping[str, Any] | None = None) -> None:
        import obstore  # imports a large library: only where it is used
        from obstore.store import from_url

        self._obstore = obstore
        with _translated():
            patient = {"retry_config": {"retry_timeout": _PATIENCE}}
            self._store: ObjectStore = from_url(url, **(patient | dict(options or {})))

    def take(self, part: Path, descriptor: int, name: str) -> None:
        with translated():
            size = part.stat().st_size
        if self._there(name) != size:  # what is there may be being read
            self._put(part, name, size)
        with translated():
            part.unlink()

    def settle(self, descriptor: int) -> None:
        """Nothing is left to do: an upload that has ended is durable."""

    async def open(self, name: str) -> OpenObject:
        return OpenObject(self, name, await self.size(name))

    async def size(self, name: str) -> int:
        with _translated():
            found = await self._obstore.head_async(self._store, _key(name))
        return int(found["size"])

    async def remove(self, name: str) -> None:
        try:
            with _translated():
                await self._obstore.delete_async(self._store, _key(name))
        except NotFound:
            return

    async def list(self) -> AsyncIterator[Kept]:
        with _translated(bucket=True):
            async for page in self._obstore.list(self._store):
                for found in page:
                    modified = int(found["last_modified"].timestamp() * 1_000_000)
                    name = found["path"].rpartition("/")[2]
                    yield Kept(name, int(found["size"]), modified)

    def path(self, name: str) -> Path | None:
        return None

    async def url(self, name: str, expires: int) -> str | None:
        store = cast("SignCapableStore", self._store)
        try:
            with _translated():
                return await self._obstore.sign_async(
                    store, "GET", _key(name), timedelta(seconds=expires)
                )
        except Unavailable:  # no key of one's own, and no service that signs for these credentials
            return None

    async def read(self, name: str, start: int, end: int) -> bytes:
        """A range of an object. Raises `NotFound`."""
        if end <= start:
            return b""
        with _translated():
            found = await self._obstore.get_range_async(
                self._store, _key(name), start=start, end=end
            )
        return bytes(found)

    def _put(self, part: Path, name: str, size: int) -> None:
        try:
            with _translated(bucket=True):
                self._obstore.put(
                    self._store, _key(name), part, chunk_size=_PART, max_concurrency=_AT_ONCE
                )
        except Unavailable:
            # Azure keeps one list of parts for a name: of several uploads the first to end drops
            # the parts of the others, which fail though the same object is there.
            if self._there(name) != size:
                raise

    def _there(self, name: str) -> int:
        try:
            with _translated():
                return int(self._obstore.head(self._store, _key(name))["size"])
        except NotFound:
            return -1


class OpenObject:
    """An object; its bytes are asked for range by range."""

    def __init__(self, shelf: RemoteShelf, name: str, size: int) -> None:
        self._shelf = shelf
        self._name = name
        self.size = size

    async def read(self, start: int, end: int) -> bytes:
        return await self._shelf.read(self._name, start, end)

    def close(self) -> None:
        return


def _key(name: str) -> str:
    return f"{name[:2]}/{name}"


@contextmanager
def _translated(*, bucket: bool = False) -> Iterator[None]:
    """`bucket`: what can be missing is the bucket or container, not an object."""
    from obstore.exceptions import BaseError

    try:
        yield
    except FileNotFoundError as error:
        if bucket:
            raise Unavailable(_NO_BUCKET) from error
        raise NotFound(NOT_THERE) from None
    except (BaseError, OSError) as error:  # its text may name the address, but no credentials
        raise Unavailable(
            f"The object storage cannot be used ({type(error).__name__}). Check FHIRSERVER_BLOBS "
            "and its credentials."
        ) from error
