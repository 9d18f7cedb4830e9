"""What the end of a process leaves, and that it is found and mended; also after SIGKILL."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from archive.conftest import KEYS, opened
from archive.making import instance

from fhirserver.archive.adding import Adding
from fhirserver.archive.freeing import delete_freed
from fhirserver.archive.orphans import find_orphans, mend
from fhirserver.blobs.store import ShelfBlobs, open_blobs
from fhirserver.errors import Invalid, Unavailable

KINDS = ("sqlite", "sealed")

WRITER = """
import sys, threading
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from dataclasses import replace
from archive.conftest import KEYS, ticking
from archive.making import instance
from fhirserver.archive.sqlite import SqliteArchive
from fhirserver.archive.veil import Sealed
from fhirserver.blobs.store import open_blobs
folder = Path(sys.argv[1])
sealed = sys.argv[3] == "sealed"
archive = SqliteArchive.open(
    folder / "imaging.db", clock=ticking(), veil=Sealed("default", KEYS) if sealed else None
)
blobs = open_blobs(f"file://{folder}/blobs", folder / "blobs/spool", KEYS if sealed else None)

def send(thread):
    number = 0
    while True:
        number += 1
        incoming = blobs.spool.open()
        for _ in range(20):
            incoming.write(f"{thread} {number} ".encode() * 1000)
        stored = incoming.commit()
        one = instance(f"1.{thread}", f"1.{thread}.1", f"1.{thread}.1.{number}")
        (state,) = archive.add_soon([replace(one, blob=stored.digest)]).result()
        assert state == "new"
        sys.stdout.write(stored.digest + "\\n")
        sys.stdout.flush()

for thread in range(4):
    threading.Thread(target=send, args=(thread,)).start()
"""


def blobs_in(folder: Path, kind: str) -> ShelfBlobs:
    keys = KEYS if kind == "sealed" else None
    return open_blobs(f"file://{folder}/blobs", folder / "blobs" / "spool", keys)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_killed_writer_loses_nothing_that_it_acknowledged(
    kind: str, tmp_path: Path
) -> None:
    tests = str(Path(__file__).parents[1])
    with subprocess.Popen(  # noqa: ASYNC220  it is killed
        [sys.executable, "-c", WRITER, str(tmp_path), tests, kind], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        lines = [await asyncio.to_thread(process.stdout.readline) for _ in range(60)]
        os.kill(process.pid, signal.SIGKILL)
        lines += process.stdout.readlines()
    acknowledged = [line.strip().decode() for line in lines if line.endswith(b"\n")]
    assert len(acknowledged) >= 60
    blobs = blobs_in(tmp_path, kind)
    incoming = blobs.spool.open()  # a writer that lives
    async with opened(kind, tmp_path) as archive:
        for digest in acknowledged:
            assert sha256(await blobs.get(digest)).hexdigest() == digest
        assert {digest async for digest in archive.blobs()} >= set(acknowledged)
        found = await find_orphans(archive, blobs)
        assert found.missing == ()
        await blobs.put(b"of a writer that ended before its row")
        again = await find_orphans(archive, blobs)
        assert len(again.blobs) == len(found.blobs) + 1
        mended = await mend(archive, blobs, again)
        assert (mended.leftovers, mended.rows) == (found.leftovers, 0)
        assert mended.blobs == len(again.blobs)
        last = await find_orphans(archive, blobs)
        assert last[:3] == (0, (), ())
        assert last.rows == last.kept >= 60
    incoming.write(b"still")
    incoming.commit()


@pytest.mark.parametrize("kind", KINDS)
async def test_rows_without_their_blob(kind: str, tmp_path: Path) -> None:
    blobs = blobs_in(tmp_path, kind)
    async with opened(kind, tmp_path) as archive:
        kept, lost = await blobs.put(b"kept"), await blobs.put(b"lost")
        await archive.add([replace(instance(uid="1.1"), blob=kept.digest)])
        await archive.add([replace(instance(uid="1.2"), blob=lost.digest)])
        await blobs.delete(lost.digest)
        found = await find_orphans(archive, blobs)
        assert found == (0, (), (lost.digest,), 2, 1)
        assert await mend(archive, blobs, found) == (0, 0, 1)
        assert [one.instance for one in await archive.held("1.1")] == ["1.1"]
        assert await archive.freed() == [lost.digest]


@pytest.mark.parametrize("kind", KINDS)
async def test_what_comes_again_while_it_is_mended_stays(kind: str, tmp_path: Path) -> None:
    blobs = blobs_in(tmp_path, kind)
    async with opened(kind, tmp_path) as archive:
        stored, other = await blobs.put(b"one"), await blobs.put(b"two")
        one = replace(instance(), blob=stored.digest)
        await archive.add([one, replace(instance(uid="1.2"), blob=other.digest)])
        await blobs.delete(stored.digest)
        found = await find_orphans(archive, blobs)
        assert found.missing == (stored.digest,)
        await blobs.put(b"one")
        assert await archive.add([one]) == ["same"]  # acknowledged
        assert (await mend(archive, blobs, found)).rows == 0
        assert (await archive.count())[2] == 2
        assert await blobs.get(stored.digest) == b"one"


@pytest.mark.parametrize("kind", KINDS)
async def test_storage_that_is_not_there_costs_no_row(kind: str, tmp_path: Path) -> None:
    blobs = blobs_in(tmp_path, kind)
    async with opened(kind, tmp_path) as archive:
        await archive.add([instance()])
        found = await find_orphans(archive, blobs)
        with pytest.raises(Unavailable, match="in its place"):
            await mend(archive, blobs, found)
        assert (await archive.count())[2] == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_blobs_go_with_their_last_row(kind: str, tmp_path: Path) -> None:
    blobs = blobs_in(tmp_path, kind)
    async with opened(kind, tmp_path) as archive:
        one, two = await blobs.put(b"one"), await blobs.put(b"two")
        await archive.add([replace(instance(uid="1.1"), blob=one.digest)])
        await archive.add([replace(instance(uid="1.2"), blob=two.digest)])
        await archive.delete("1.1", "1.1.1", "1.1")
        assert await delete_freed(archive, blobs) == 1
        assert (await blobs.has(one.digest), await blobs.has(two.digest)) == (False, True)
        assert await delete_freed(archive, blobs) == 0


@pytest.mark.parametrize("kind", KINDS)
async def test_what_was_deleted_comes_again(kind: str, tmp_path: Path) -> None:
    blobs = blobs_in(tmp_path, kind)
    async with opened(kind, tmp_path) as archive:
        adding = Adding(archive, blobs)
        stored = await blobs.put(b"one")
        one = replace(instance(), blob=stored.digest)
        assert await adding.add([one]) == ["new"]
        await archive.delete("1.1")
        await delete_freed(archive, blobs)
        assert await adding.add([one]) == ["again"]  # there are no bytes
        assert await asyncio.wrap_future(adding.add_soon([one])) == ["again"]
        await blobs.put(b"one")
        assert await adding.add([one]) == ["new"]
        await archive.delete("1.1")
        await delete_freed(archive, blobs)
        await blobs.put(b"one")
        assert await asyncio.wrap_future(adding.add_soon([one])) == ["new"]
        broken = replace(instance(uid="1.9"), header=b"[")
        with pytest.raises(Invalid):
            await asyncio.wrap_future(adding.add_soon([broken]))
        assert await blobs.get(stored.digest) == b"one"


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_deleted_after_the_look_is_not_said_to_be_there(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = blobs_in(tmp_path, kind)
    async with opened(kind, tmp_path) as archive:
        adding = Adding(archive, blobs)
        stored = await blobs.put(b"one")
        one = replace(instance(), blob=stored.digest)
        await archive.add([one])
        await archive.delete("1.1")
        (claimed,) = await archive.freed()
        await blobs.put(b"one")
        has = ShelfBlobs.has

        async def looked(self: ShelfBlobs, digest: str) -> bool:
            """The look, and then the end of what had begun to delete."""
            found = await has(self, digest)
            await self.delete(claimed)
            await archive.dropped([claimed])
            return found

        with monkeypatch.context() as patched:
            patched.setattr(ShelfBlobs, "has", looked)
            assert await adding.add([one]) == ["again"]
        await blobs.put(b"one")
        assert (await adding.add([one]))[0] in ("new", "same")
        assert await blobs.get(stored.digest) == b"one"
