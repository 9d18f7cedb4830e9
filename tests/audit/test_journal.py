"""The journal: what is put is there, what is filed goes, and nobody takes what is another's."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.audit import journal
from fhirserver.audit.journal import SPARE, SUFFIX, Journal, kept
from fhirserver.audit.shelf import Sealed
from fhirserver.store.port import Stale

SEGMENTS = [Sealed(f"000001-{number:010x}", bytes([number]) * number) for number in range(1, 6)]


async def put(shelf: Journal, *segments: Sealed) -> None:
    for segment in segments:
        await shelf.put(1, segment)


async def held(shelf: Journal) -> list[Sealed]:
    return [segment async for there in shelf.held() for segment in there.segments]


async def left(shelf: Journal) -> list[Sealed]:
    return [segment async for there in shelf.left() for segment in there.segments]


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*{SUFFIX}"))


async def test_what_is_put_is_held_until_it_is_filed(tmp_path: Path) -> None:
    shelf = Journal(tmp_path)
    await put(shelf, *SEGMENTS)
    assert await held(shelf) == await held(Journal(tmp_path)) == SEGMENTS
    assert await left(shelf) == []
    (file,) = files(tmp_path)
    assert file.stat().st_mode & 0o077 == 0
    await shelf.remove([segment.key for segment in SEGMENTS[:4]])
    assert SEGMENTS[4] in await held(Journal(tmp_path))
    await shelf.remove([SEGMENTS[4].key])
    assert file.stat().st_size == 0
    again = Sealed("000001-0000000009", b"again")
    await put(shelf, again)
    assert await held(Journal(tmp_path)) == [again]
    await shelf.remove([again.key])
    await shelf.close()
    assert files(tmp_path) == []


async def test_the_dead_leave_what_is_not_filed(tmp_path: Path) -> None:
    dead, other = Journal(tmp_path), Journal(tmp_path)
    await put(dead, *SEGMENTS)
    await dead.close()
    (there,) = [found async for found in other.left()]
    assert there.segments == SEGMENTS
    await other.discard(there.place, [segment.key for segment in SEGMENTS[:4]])
    assert await left(other) == SEGMENTS[4:]
    assert await held(other) == SEGMENTS
    await other.discard(there.place, [SEGMENTS[4].key])
    assert files(tmp_path) == []
    await other.discard(there.place, [])


async def test_what_the_living_put_is_theirs(tmp_path: Path) -> None:
    one, other = Journal(tmp_path), Journal(tmp_path)
    await put(one, *SEGMENTS[:2])
    (there,) = [found async for found in other.left()]
    await other.discard(there.place, [segment.key for segment in there.segments])
    assert await left(other) == []  # it filed them once
    await put(one, SEGMENTS[2])
    assert await left(other) == [SEGMENTS[2]]
    assert await held(one) == SEGMENTS[:3]
    with pytest.raises(Stale):
        await put(other, SEGMENTS[0])
    await one.close()


async def test_a_file_is_left_when_it_is_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "LARGEST", 1)
    shelf = Journal(tmp_path)
    await put(shelf, *SEGMENTS)
    assert len(files(tmp_path)) == 5
    await shelf.remove([SEGMENTS[0].key, SEGMENTS[2].key])
    assert await held(shelf) == [SEGMENTS[1], *SEGMENTS[3:]]
    await shelf.remove([segment.key for segment in SEGMENTS])
    await shelf.close()
    assert files(tmp_path) == []


async def test_nothing_goes_while_a_backup_is_taken(tmp_path: Path) -> None:
    shelf, dead, other = Journal(tmp_path), Journal(tmp_path), Journal(tmp_path)
    await put(shelf, *SEGMENTS[:2])
    await put(dead, *SEGMENTS[2:])
    await dead.close()
    with kept(tmp_path):
        await shelf.remove([segment.key for segment in SEGMENTS])
        async for there in other.left():
            await other.discard(there.place, [segment.key for segment in there.segments])
        assert await held(Journal(tmp_path)) == SEGMENTS
        await put(shelf, Sealed("000001-0000000009", b"later"))
    await shelf.remove(["000001-0000000009"])
    async for there in other.left():
        await other.discard(there.place, [segment.key for segment in there.segments])
    await shelf.close()
    assert files(tmp_path) == []


@given(cut=st.integers(0, sum(16 + 17 + len(segment.body) for segment in SEGMENTS)))
async def test_what_was_not_written_whole_is_passed_over(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    shelf = Journal(folder)
    await put(shelf, *SEGMENTS)
    (file,) = files(folder)
    os.truncate(file, cut)
    found = await held(Journal(folder))
    ends = [sum(33 + len(segment.body) for segment in SEGMENTS[: n + 1]) for n in range(5)]
    assert found == SEGMENTS[: sum(end <= cut for end in ends)]
    await shelf.close()


async def test_a_slow_disk_is_waited_for_in_a_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "SLOW", 0.0)
    shelf = Journal(tmp_path)
    await put(shelf, *SEGMENTS)
    assert shelf._thread is not None
    assert await held(shelf) == SEGMENTS
    await shelf.close()


async def test_after_a_failure_another_file_is_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = Journal(tmp_path)
    await put(shelf, SEGMENTS[0])

    def fail(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", fail)
        with pytest.raises(OSError, match="full"):
            await put(shelf, SEGMENTS[1])
    await put(shelf, SEGMENTS[2])
    assert [file.stem for file in files(tmp_path)] == [SEGMENTS[0].key, SEGMENTS[2].key]
    await shelf.remove([SEGMENTS[0].key, SEGMENTS[2].key])
    await shelf.close()
    assert files(tmp_path) == []


async def test_what_is_being_written_is_not_emptied_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "SLOW", 0.0)
    shelf = Journal(tmp_path)
    await put(shelf, SEGMENTS[0])
    is_written = threading.Event()
    sync = os.fdatasync

    def synced(descriptor: int) -> None:
        is_written.set()
        sync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", synced)
        writing = asyncio.create_task(put(shelf, SEGMENTS[1]))
        await asyncio.sleep(0)
        assert is_written.wait(10)
        await shelf.remove([SEGMENTS[0].key])
        await writing
    assert SEGMENTS[1] in await held(Journal(tmp_path))
    await shelf.close()


LARGE = [Sealed(f"000001-{number:010x}", bytes([number]) * 1000) for number in range(1, 41)]


def spares(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*{SPARE}"))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that are large with ten segments of `LARGE`, and soon worth keeping."""
    monkeypatch.setattr(journal, "LARGEST", 10_000)
    monkeypatch.setattr(journal, "WORTH", 5_000)


async def spare(folder: Path, living: Journal) -> Path:
    """The only file of a folder is a spare, with ten segments of an earlier use."""
    await put(living, *LARGE[:10])
    await living.remove([segment.key for segment in LARGE[:10]])
    assert files(folder) == []
    (found,) = spares(folder)
    return found


@pytest.mark.usefixtures("small")
async def test_a_file_that_is_done_with_is_written_over(tmp_path: Path) -> None:
    living, other = Journal(tmp_path), Journal(tmp_path)
    first = (await spare(tmp_path, living)).stat()
    await put(living, *LARGE[11:15])
    (file,) = files(tmp_path)
    assert (file.stat().st_ino, file.stat().st_size) == (first.st_ino, first.st_size)
    assert file.stat().st_mode & 0o077 == 0
    assert spares(tmp_path) == []
    assert await held(other) == LARGE[11:15]
    await living.close()
    assert file.stat().st_size < 5_000  # the end of what was there before is cut off
    (there,) = [found async for found in other.left()]
    assert there.segments == LARGE[11:15]
    await other.discard(there.place, [segment.key for segment in there.segments])
    assert not file.exists()
    assert spares(tmp_path) == []  # it was not worth it


@pytest.mark.usefixtures("small")
async def test_nothing_of_an_earlier_use_comes_back(tmp_path: Path) -> None:
    living = Journal(tmp_path)
    await spare(tmp_path, living)
    for number in range(11, 21):  # as long as those before: each ends where one of them began
        await put(living, LARGE[number])
        assert await held(Journal(tmp_path)) == LARGE[11 : number + 1]
    assert len(files(tmp_path)) == 1
    await living.close()


@pytest.mark.usefixtures("small")
@given(torn=st.integers(0, 1032), count=st.integers(1, 8))
async def test_what_was_written_over_in_part_is_passed_over(
    tmp_path_factory: pytest.TempPathFactory, torn: int, count: int
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    living = Journal(folder)
    before = (await spare(folder, living)).read_bytes()
    await put(living, *LARGE[12 : 12 + count])
    file = living._current
    assert file is not None
    written = file.path.read_bytes()
    at = file.size - 1033 + torn  # 33 bytes of frame and key, 1,000 of segment
    # The last page that was under way is there up to a byte; what follows is of the earlier use.
    file.path.write_bytes(written[:at] + before[at:])
    assert await held(Journal(folder)) == LARGE[12 : 12 + count - 1]
    await living.close()


@pytest.mark.usefixtures("small")
async def test_damage_is_not_taken_for_the_end(tmp_path: Path) -> None:
    living = Journal(tmp_path)
    await spare(tmp_path, living)
    await put(living, *LARGE[11:15])
    (file,) = files(tmp_path)
    data = bytearray(file.read_bytes())
    data[500] ^= 1
    file.write_bytes(data)
    found = await held(Journal(tmp_path))
    assert [item.key for item in found] == [item.key for item in LARGE[11:15]]
    assert found != LARGE[11:15]
    await living.close()


@pytest.mark.usefixtures("small")
async def test_two_do_not_take_the_same_spare(tmp_path: Path) -> None:
    one, other = Journal(tmp_path), Journal(tmp_path)
    found = await spare(tmp_path, one)
    os.link(found, tmp_path / f"000009-0000000001{SUFFIX}")  # somebody ended while taking it
    await other.put(2, Sealed("000002-0000000001", b"other's"))
    assert spares(tmp_path) == []
    assert b"other's" not in (tmp_path / f"000009-0000000001{SUFFIX}").read_bytes()
    await one.close()
    await other.close()


@pytest.mark.usefixtures("small")
async def test_spares_are_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "MOST_SPARE", 2)
    living = Journal(tmp_path)
    await put(living, *LARGE)
    await living.remove([segment.key for segment in LARGE])
    assert len(spares(tmp_path)) == 2
    await living.close()
    assert spares(tmp_path) == files(tmp_path) == []
