"""What a sealed blob shows, and that nothing of it can be changed."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

import pytest
from blobs.conftest import KEYS

from fhirserver.blobs.keys import ContentKeys, content_keys
from fhirserver.blobs.sealing import HEAD, SEALED, TAIL, Altered, layout_of
from fhirserver.blobs.store import ShelfBlobs, open_blobs
from fhirserver.errors import Unavailable
from fhirserver.store.sealed import open_sealed, shred
from fhirserver.store.sealed.keys import Shredded
from fhirserver.store.sealed.master import OwnMaster
from fhirserver.store.sqlite import SqliteStore

DATA = b"Mustermann^Erika" * 20_000
DIGEST = sha256(DATA).hexdigest()


async def stored(folder: Path, keys: ContentKeys | None = KEYS) -> tuple[ShelfBlobs, Path]:
    blobs = open_blobs(f"file://{folder}", folder / "spool", keys)
    await blobs.put(DATA)
    (kept,) = [kept async for kept in blobs.list()]
    return blobs, folder / kept.name[:2] / kept.name


async def read(blobs: ShelfBlobs) -> bytes:
    return b"".join([chunk async for chunk in blobs.read(DIGEST)])


async def test_neither_bytes_nor_their_digest_show(tmp_path: Path) -> None:
    _, plain = await stored(tmp_path / "plain", None)
    assert b"Mustermann" in plain.read_bytes()  # the test would see it
    assert plain.name == DIGEST
    _, path = await stored(tmp_path / "sealed")
    assert b"Mustermann" not in path.read_bytes()
    assert path.name != DIGEST


async def test_the_same_bytes_are_sealed_otherwise_each_time(tmp_path: Path) -> None:
    blobs, path = await stored(tmp_path)
    before = path.read_bytes()
    await blobs.put(DATA)
    assert path.read_bytes() != before
    assert await read(blobs) == DATA


@pytest.mark.parametrize(
    "place", [0, 5, 20, HEAD - 1, HEAD, HEAD + SEALED - 1, HEAD + SEALED, -TAIL - 1, -TAIL, -1]
)
async def test_a_changed_bit_is_told(tmp_path: Path, place: int) -> None:
    blobs, path = await stored(tmp_path)
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises((Altered, Unavailable)):  # the latter: the number of the key
        await read(blobs)


async def test_chunks_cannot_be_swapped_dropped_or_cut(tmp_path: Path) -> None:
    blobs, path = await stored(tmp_path)
    good = path.read_bytes()
    first, second = good[HEAD : HEAD + SEALED], good[HEAD + SEALED : HEAD + 2 * SEALED]
    rest = good[HEAD + 2 * SEALED :]
    for bad in (
        good[:HEAD] + second + first + rest,
        good[:HEAD] + second + rest,
        good[: HEAD + 2 * SEALED] + good[-TAIL:],
        good[:HEAD] + first + first + rest,
        good[:-1],
        good[:HEAD],
        b"",
    ):
        path.write_bytes(bad)
        with pytest.raises(Altered):
            await read(blobs)


async def test_another_blob_in_its_place_is_told(tmp_path: Path) -> None:
    blobs, path = await stored(tmp_path)
    other = await blobs.put(b"another patient")
    os.replace(tmp_path / blobs.name(other.digest)[:2] / blobs.name(other.digest), path)
    with pytest.raises(Altered):
        await blobs.get(DIGEST, 0, 5)


async def test_another_tenants_key_opens_nothing(tmp_path: Path) -> None:
    _, path = await stored(tmp_path)
    others = open_blobs(
        f"file://{tmp_path}", tmp_path / "spool", ContentKeys("other", {1: bytes(range(32))})
    )
    target = tmp_path / others.name(DIGEST)[:2] / others.name(DIGEST)
    target.parent.mkdir(exist_ok=True)
    path.rename(target)
    with pytest.raises(Altered):
        await read(others)


def test_impossible_sizes_are_told() -> None:
    for size in (0, HEAD, HEAD + TAIL, HEAD + TAIL + 15, HEAD + TAIL + SEALED + 15):
        with pytest.raises(Altered):
            layout_of(size)
    assert layout_of(HEAD + TAIL + 16) == (1, 0)


async def test_keys_outlast_a_rotation_and_end_with_the_tenants(tmp_path: Path) -> None:
    now = iter(range(10**15, 10**16)).__next__
    inner = SqliteStore.open(tmp_path / "fhir.db", clock=now)
    store = await open_sealed(inner, OwnMaster(bytes(32)), tenant="default", clock=now)
    try:
        keys = await content_keys(store.records, "default")
        again = await content_keys(store.records, "default")
        assert again.derived("blob", b"salt") == keys.derived("blob", b"salt")
        await stored(tmp_path / "blobs", keys)
        await store.keys.rotate()
        later = open_blobs(
            f"file://{tmp_path}/blobs",
            tmp_path / "blobs" / "spool",
            await content_keys(store.records, "default"),
        )
        assert await read(later) == DATA
        assert KEYS.derived("blob") != keys.derived("blob")
        await shred(inner.records, "default")
        with pytest.raises(Shredded):
            await open_sealed(inner, OwnMaster(bytes(32)), tenant="default", clock=now)
    finally:
        await store.close()
