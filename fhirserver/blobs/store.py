"""The blobs of a tenant: the port over a shelf and a spool."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from threading import Lock
from typing import Any, Final

from fhirserver.blobs.folder import FolderShelf
from fhirserver.blobs.keys import ContentKeys
from fhirserver.blobs.port import CHUNK, Bytes, Kept, Stored
from fhirserver.blobs.remote import RemoteShelf
from fhirserver.blobs.sealing import HEAD, PLAIN, TAIL, Altered, Opening, layout_of
from fhirserver.blobs.shelf import Open, Shelf
from fhirserver.blobs.spool import FileSpool, SpoolFile
from fhirserver.errors import NotFound

_FILE: Final = "file://"
_GATHERED: Final = 1 << 20
"""Bytes that the loop gathers before a thread writes them."""
_CHUNKS: Final = CHUNK // PLAIN


def open_blobs(
    url: str,
    spool: Path,
    keys: ContentKeys | None = None,
    options: Mapping[str, Any] | None = None,
) -> ShelfBlobs:
    """The blobs at an address (`file:///PATH`, `s3://BUCKET/PREFIX`, `gs://`, `az://`).

    `spool` is a folder of this machine, for files on the same file system as they. With `keys`
    they are sealed. `options` are those of obstore. Raises `Unavailable`.
    """
    shelf: Shelf
    if url.startswith(_FILE):
        shelf = FolderShelf(Path(url.removeprefix(_FILE)))
    else:
        shelf = RemoteShelf(url, options)
    return ShelfBlobs(shelf, spool, keys)


class ShelfBlobs:
    """A `fhirserver.blobs.port.Blobs`."""

    def __init__(self, shelf: Shelf, spool: Path, keys: ContentKeys | None) -> None:
        self._shelf = shelf
        self._keys = keys
        names = None if keys is None else keys.derived("blob names")
        self.spool = FileSpool(spool, shelf, keys, names)

    def writing(self) -> SpoolWriting:
        return SpoolWriting(self.spool)

    async def put(self, data: Bytes) -> Stored:
        async with self.writing() as blob:
            await blob.write(data)
            return await blob.commit()

    async def size(self, digest: str) -> int:
        total = await self._shelf.size(self.name(digest))
        return total if self._keys is None else layout_of(total).size

    async def read(
        self, digest: str, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        opened = await self._shelf.open(self.name(digest))
        try:
            if self._keys is None:
                size = opened.size
                end = size if end is None else min(end, size)
                for place in range(start, end, CHUNK):
                    yield await opened.read(place, min(place + CHUNK, end))
                return
            async for chunk in self._unsealed(opened, digest, start, end):
                yield chunk
        finally:
            opened.close()

    async def get(self, digest: str, start: int = 0, end: int | None = None) -> bytes:
        if self._keys is None:
            opened = await self._shelf.open(self.name(digest))
            try:
                end = opened.size if end is None else min(end, opened.size)
                return await opened.read(start, end) if end > start else b""
            finally:
                opened.close()
        return b"".join([chunk async for chunk in self.read(digest, start, end)])

    def path(self, digest: str) -> Path | None:
        return self._shelf.path(digest) if self._keys is None else None

    async def url(self, digest: str, expires: int) -> str | None:
        return await self._shelf.url(digest, expires) if self._keys is None else None

    async def has(self, digest: str) -> bool:
        try:
            await self._shelf.size(self.name(digest))
        except NotFound:
            return False
        return True

    async def delete(self, digest: str) -> None:
        await self._shelf.remove(self.name(digest))

    async def remove(self, name: str) -> None:
        await self._shelf.remove(name)

    def name(self, digest: str) -> str:
        return self.spool.name(digest)

    async def digest(self, name: str) -> str:
        if self._keys is None:
            return name
        opened = await self._shelf.open(name)
        try:
            return (await self._opening(opened, self._keys)).digest
        finally:
            opened.close()

    def list(self) -> AsyncIterator[Kept]:
        return self._shelf.list()

    async def leftovers(self) -> int:
        return len(await asyncio.to_thread(self.spool.leftovers))

    async def sweep(self) -> int:
        return await asyncio.to_thread(self.spool.sweep)

    async def close(self) -> None:
        return

    async def _unsealed(
        self, opened: Open, digest: str, start: int, end: int | None
    ) -> AsyncIterator[bytes]:
        assert self._keys is not None
        opening = await self._opening(opened, self._keys)
        opening.check(digest)
        size = opening.layout.size
        end = size if end is None else min(end, size)
        place = start
        while place < end:
            first = place // PLAIN
            last = min(first + _CHUNKS, -(-end // PLAIN))
            span = opening.layout.span(first, last)
            try:
                plain = opening.open(await opened.read(*span), first)
            except Altered:
                now = await self._now(opened, self._keys, opening.head)
                if now is None:
                    raise
                opening = now
                opening.check(digest)
                plain = opening.open(await opened.read(*span), first)
            base = first * PLAIN
            yield (
                plain[place - base : end - base]
                if place > base or end < base + len(plain)
                else plain
            )
            place = min(last * PLAIN, end)

    async def _opening(self, opened: Open, keys: ContentKeys) -> Opening:
        total = opened.size
        layout_of(total)
        head = await opened.read(0, HEAD)
        try:
            return Opening(keys, head, await opened.read(total - TAIL, total), total)
        except Altered:
            now = await self._now(opened, keys, head)
            if now is None:
                raise
            return now

    @staticmethod
    async def _now(opened: Open, keys: ContentKeys, before: bytes) -> Opening | None:
        """What has come into the place of the object with that head meanwhile: remotely, two who
        send the same blob at once seal it each, and the later object stays. None: nothing."""
        head, total = await opened.read(0, HEAD), opened.size
        if head == before:
            return None
        return Opening(keys, head, await opened.read(total - TAIL, total), total)


class SpoolWriting:
    """A `fhirserver.blobs.port.Writing`: gathers what comes, and a thread writes it.

    One thread at a time: whoever is cancelled leaves one behind that still writes.
    """

    def __init__(self, spool: FileSpool) -> None:
        self._spool = spool
        self._writes = Lock()
        self._file: SpoolFile | None = None
        self._gathered: list[bytes] = []
        self._weight = 0
        self.size = 0

    @property
    def waiting(self) -> int:
        return self._weight

    async def write(self, data: Bytes) -> None:
        self._gathered.append(bytes(data))
        self._weight += len(data)
        self.size += len(data)
        if self._weight >= _GATHERED:
            await asyncio.to_thread(self._write)

    async def commit(self) -> Stored:
        return await asyncio.to_thread(self._commit)

    async def abort(self) -> None:
        self._gathered.clear()
        await asyncio.to_thread(self._abort)

    async def __aenter__(self) -> SpoolWriting:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.abort()

    def _write(self) -> None:
        with self._writes:
            self._out()

    def _out(self) -> SpoolFile:
        if self._file is None:
            self._file = self._spool.open()
        for data in self._gathered:
            self._file.write(data)
        self._gathered.clear()
        self._weight = 0
        return self._file

    def _commit(self) -> Stored:
        with self._writes:
            return self._out().commit()

    def _abort(self) -> None:
        with self._writes:
            if self._file is not None:
                self._file.abort()
