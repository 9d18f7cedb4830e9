"""The blobs port on every kind of storage."""

from __future__ import annotations

import asyncio
import mmap
import os
import threading
import urllib.error
import urllib.request
from hashlib import sha256
from pathlib import Path

import pytest
from blobs.conftest import KEYS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhirserver.blobs.port import CHUNK, Stored
from fhirserver.blobs.store import ShelfBlobs, open_blobs
from fhirserver.errors import NotFound, Unavailable

SIZES = [0, 1, 65_535, 65_536, 65_537, 131_072, 3 * CHUNK + 17]


def content(size: int) -> bytes:
    return (sha256(str(size).encode()).digest() * (size // 32 + 1))[:size]


async def whole(blobs: ShelfBlobs, digest: str, start: int = 0, end: int | None = None) -> bytes:
    chunks = [chunk async for chunk in blobs.read(digest, start, end)]
    assert all(len(chunk) <= CHUNK for chunk in chunks)
    return b"".join(chunks)


@pytest.mark.parametrize("size", SIZES)
async def test_what_is_written_in_pieces_is_read_back(blobs: ShelfBlobs, size: int) -> None:
    data = content(size)
    incoming = blobs.spool.open()
    buffer = bytearray(1000)
    for start in range(0, size, 1000):
        piece = data[start : start + 1000]
        buffer[: len(piece)] = piece
        incoming.write(memoryview(buffer)[: len(piece)])
    stored = await asyncio.to_thread(incoming.commit)
    assert stored == Stored(sha256(data).hexdigest(), size)
    assert await whole(blobs, stored.digest) == data
    assert await blobs.size(stored.digest) == size
    assert await blobs.leftovers() == 0


@pytest.mark.parametrize("sizes", [[1 << 20, 4096, 5], [70_001], [65_536], [100, 70_000], [3000]])
async def test_what_is_written_past_the_cache_is_the_same(
    blobs: ShelfBlobs, sizes: list[int]
) -> None:
    """From memory that begins at a page; with ends that are no page's, in between as well."""
    landed = memoryview(mmap.mmap(-1, 1 << 20))
    incoming, sent = blobs.spool.open(straight=True), b""
    for size in sizes:
        piece = content(size)
        landed[:size] = piece
        await asyncio.to_thread(incoming.write, landed[:size])
        sent += piece
    stored = await asyncio.to_thread(incoming.commit)
    assert stored == Stored(sha256(sent).hexdigest(), len(sent))
    assert await whole(blobs, stored.digest) == sent


async def test_memory_that_begins_elsewhere_is_written_too(blobs: ShelfBlobs) -> None:
    landed = memoryview(mmap.mmap(-1, 1 << 20))[1:]
    landed[:200_000] = content(200_000)
    incoming = blobs.spool.open(straight=True)
    await asyncio.to_thread(incoming.write, landed[:200_000])
    stored = await asyncio.to_thread(incoming.commit)
    assert await whole(blobs, stored.digest) == content(200_000)


async def test_the_loop_writes_the_same(blobs: ShelfBlobs) -> None:
    data = content(3 << 20)
    async with blobs.writing() as blob:
        for start in range(0, len(data), 100_000):
            await blob.write(data[start : start + 100_000])
        assert blob.size == len(data)
        stored = await blob.commit()
    assert await blobs.get(stored.digest) == data
    again = await blobs.put(data)
    assert again == stored
    assert [kept.name async for kept in blobs.list()] == [blobs.name(stored.digest)]


async def test_any_range_is_read(blobs: ShelfBlobs) -> None:
    data = content(300_000)
    digest = (await blobs.put(data)).digest
    for start, end in [
        (0, 1), (65_535, 65_537), (65_536, 131_072), (1, 299_999), (299_999, 300_000),
        (0, 10**9), (300_000, None), (5, 5), (200_000, None),
    ]:  # fmt: skip
        assert await whole(blobs, digest, start, end) == data[start:end], (start, end)
        assert await blobs.get(digest, start, end) == data[start:end]


async def test_what_is_given_up_is_gone(blobs: ShelfBlobs) -> None:
    incoming = blobs.spool.open()
    incoming.write(b"half")
    incoming.abort()
    incoming.abort()
    async with blobs.writing() as blob:
        await blob.write(content(2 << 20))
    assert await blobs.leftovers() == 0
    assert [kept async for kept in blobs.list()] == []


async def test_leftovers_are_those_that_nobody_writes(blobs: ShelfBlobs) -> None:
    written = blobs.spool.open()
    written.write(b"going on")
    left = blobs.spool.open()
    os.close(left._descriptor)  # as the end of its process does
    assert await blobs.leftovers() == 1
    assert await blobs.sweep() == 1
    assert await blobs.leftovers() == 0
    assert await whole(blobs, written.commit().digest) == b"going on"


async def test_what_is_deleted_is_not_found(blobs: ShelfBlobs) -> None:
    stored = await blobs.put(b"one")
    other = await blobs.put(b"two")
    assert await blobs.digest(blobs.name(stored.digest)) == stored.digest
    await blobs.delete(stored.digest)
    await blobs.delete(stored.digest)
    assert not await blobs.has(stored.digest)
    assert await blobs.has(other.digest)
    for asked in (blobs.get(stored.digest), blobs.size(stored.digest), whole(blobs, "0" * 64)):
        with pytest.raises(NotFound):
            await asked
    await blobs.remove(blobs.name(other.digest))
    assert [kept async for kept in blobs.list()] == []


async def test_names_from_outside_are_no_paths(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"x")
    blobs = open_blobs(f"file://{tmp_path}/blobs", tmp_path / "blobs" / "spool")
    for name in ("../../secret", "../../../etc/passwd" + "0" * 45, "", "A" * 64):
        with pytest.raises(NotFound):
            await blobs.get(name)


async def test_signed_addresses_give_the_bytes(
    blobs: ShelfBlobs, request: pytest.FixtureRequest
) -> None:
    stored = await blobs.put(b"pixels")
    address = await blobs.url(stored.digest, 60)
    if request.node.callspec.id not in ("s3", "azure", "gcs"):
        assert address is None
        return
    assert address is not None

    def fetched() -> bytes:
        with urllib.request.urlopen(address) as answer:
            return bytes(answer.read())

    assert await asyncio.to_thread(fetched) == b"pixels"


async def test_plain_files_can_be_sent_by_the_system(tmp_path: Path) -> None:
    blobs = open_blobs(f"file://{tmp_path}", tmp_path / "spool")
    stored = await blobs.put(b"pixels")
    path = blobs.path(stored.digest)
    assert path is not None
    assert path.read_bytes() == b"pixels"
    assert open_blobs(f"file://{tmp_path}/s", tmp_path / "s" / "spool", KEYS).path("0" * 64) is None


async def test_a_full_disk_is_unavailable_and_leaves_nothing(
    blobs: ShelfBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    incoming = blobs.spool.open()
    incoming.write(content(10))

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises(Unavailable, match="full"):
            incoming.write(content(300_000))
    incoming.abort()
    assert await blobs.leftovers() == 0


async def test_who_gives_up_waits_for_the_thread_that_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file is not closed under it: the number may be another file's at once."""
    blobs = open_blobs(f"file://{tmp_path}/blobs", tmp_path / "blobs" / "spool")
    syncing, goes_on = threading.Event(), threading.Event()
    sizes: list[int] = []

    def slow(descriptor: int) -> None:
        syncing.set()
        goes_on.wait(10)
        sizes.append(os.fstat(descriptor).st_size)

    monkeypatch.setattr(os, "fsync", slow)
    blob = blobs.writing()
    await blob.write(b"pixels")
    committing = asyncio.create_task(blob.commit())
    await asyncio.to_thread(syncing.wait)
    committing.cancel()
    giving_up = asyncio.create_task(blob.abort())
    await asyncio.wait([giving_up], timeout=0.2)
    goes_on.set()
    await giving_up
    assert sizes == [6]


async def test_what_is_there_is_replaced_by_what_is_durable_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have been acknowledged: a disk that fails at the sync must not take it away."""
    blobs = open_blobs(f"file://{tmp_path}/blobs", tmp_path / "blobs" / "spool")
    stored = await blobs.put(content(100_000))
    path = blobs.path(stored.digest)
    assert path is not None
    before = path.stat().st_ino

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    again = blobs.spool.open()
    again.write(content(100_000))
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(Unavailable, match="full"):
            again.commit()
    assert path.stat().st_ino == before
    assert await blobs.leftovers() == 0
    assert await blobs.put(content(100_000)) == stored
    assert path.read_bytes() == content(100_000)


async def test_a_folder_without_links_is_one_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", none)
    blobs = open_blobs(f"file://{tmp_path}/blobs", tmp_path / "blobs" / "spool")
    for _ in range(2):
        stored = await blobs.put(b"pixels")
        assert await blobs.get(stored.digest) == b"pixels"
    assert list((tmp_path / "blobs" / "spool").iterdir()) == []


@given(size=st.integers(0, 200_000), cuts=st.lists(st.integers(0, 200_000), min_size=2, max_size=2))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
async def test_sealed_ranges_are_those_of_the_bytes(
    tmp_path: Path, size: int, cuts: list[int]
) -> None:
    blobs = open_blobs(f"file://{tmp_path}", tmp_path / "spool", KEYS)
    data = content(size)
    digest = (await blobs.put(data)).digest
    start, end = sorted(cuts)
    assert await whole(blobs, digest, start, end) == data[start:end]
