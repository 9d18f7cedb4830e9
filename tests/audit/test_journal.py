"""The journal: what is put is there, what is filed goes, and nobody takes what is another's."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from audit.conftest import opened, patient
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.audit import journal
from fhirserver.audit.journal import SUFFIX, Journal, kept
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


async def test_what_is_handed_over_is_as_of_the_dead(tmp_path: Path) -> None:
    one, other = Journal(tmp_path), Journal(tmp_path)
    await put(one, SEGMENTS[0])
    assert [found async for found in other.left(of_living=False)] == []
    one.hand_over()
    await put(one, SEGMENTS[1])
    (there,) = [found async for found in other.left(of_living=False)]
    assert there.segments == SEGMENTS[:1]
    assert set(one.waiting()) == {file.name for file in files(tmp_path)}
    assert one.own() == set(one.waiting()) - {there.place}
    await other.discard(there.place, [SEGMENTS[0].key])
    assert await held(one) == SEGMENTS[1:2]
    assert await one.get([SEGMENTS[0].key]) == []
    await one.remove([SEGMENTS[0].key, SEGMENTS[1].key])
    assert one.waiting() == {}


async def test_what_is_being_put_is_handed_over_when_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "SLOW", -1.0)  # in a thread
    shelf, other = Journal(tmp_path), Journal(tmp_path)
    await put(shelf, SEGMENTS[0])
    putting = asyncio.create_task(put(shelf, SEGMENTS[1]))
    await asyncio.sleep(0)
    shelf.hand_over()
    assert shelf.is_due
    assert [found async for found in other.left(of_living=False)] == []
    await putting
    assert not shelf.is_due
    (there,) = [found async for found in other.left(of_living=False)]
    assert there.segments == SEGMENTS[:2]
    await shelf.close()


async def test_a_write_that_was_given_up_ends_before_it_is_handed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "SLOW", -1.0)
    shelf = Journal(tmp_path)
    await put(shelf, SEGMENTS[0])
    may, append = threading.Event(), journal._File.append

    def slowly(file: journal._File, segment: Sealed) -> None:
        may.wait(10)
        append(file, segment)

    monkeypatch.setattr(journal._File, "append", slowly)
    putting = asyncio.create_task(put(shelf, SEGMENTS[1]))
    await asyncio.sleep(0.01)
    putting.cancel()
    await asyncio.gather(putting, return_exceptions=True)
    shelf.hand_over()
    assert shelf.is_due
    may.set()
    await shelf.close()
    assert not shelf.is_due
    assert SEGMENTS[0] in await left(Journal(tmp_path))


async def test_a_new_file_that_is_taken_for_one_of_the_dead_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, other = journal.fcntl.flock, Journal(tmp_path)
    taken = []

    def late(descriptor: int, how: int) -> None:
        if how == journal.fcntl.LOCK_EX and not taken:
            taken.extend(files(tmp_path))
            taken[0].unlink()  # as `discard` does, of what has nothing unfiled in it
        lock(descriptor, how)

    monkeypatch.setattr(journal.fcntl, "flock", late)
    shelf = Journal(tmp_path)
    await put(shelf, SEGMENTS[0])
    assert taken
    assert await left(other) == SEGMENTS[:1]
    await shelf.close()


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


async def test_a_file_that_cannot_be_cut_is_closed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closed twice, its descriptor may be another file's by then, which would be cut instead."""
    monkeypatch.setattr(journal, "LARGEST", 1)
    shelf, other = Journal(tmp_path), Journal(tmp_path)
    await put(shelf, *SEGMENTS[:3])

    def fail(descriptor: int, length: int) -> None:
        raise OSError(errno.EROFS, "read-only")

    with monkeypatch.context() as patch:
        patch.setattr(os, "ftruncate", fail)
        with suppress(OSError):
            shelf.hand_over()
    others = [os.open(tmp_path / name, os.O_RDWR | os.O_CREAT) for name in ("a", "b", "c")]
    for descriptor in others:
        os.write(descriptor, b"something else that is longer than a segment" * 9)
    shelf.hand_over()
    assert {os.fstat(descriptor).st_size for descriptor in others} == {44 * 9}
    for descriptor in others:
        os.close(descriptor)
    there = [segment async for held in other.left(of_living=False) for segment in held.segments]
    assert there == SEGMENTS[:3]


@pytest.mark.check("AUD-6")
async def test_names_are_on_disk_before_it_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced, sync = set(), os.fsync

    def told(descriptor: int) -> None:
        synced.add(os.readlink(f"/proc/self/fd/{descriptor}"))
        sync(descriptor)

    async with opened(tmp_path) as world:
        monkeypatch.setattr(os, "fsync", told)
        await world.put(patient("p1"))
    assert {
        str(path) for path in (tmp_path, tmp_path / "audit", tmp_path / "audit" / "journal")
    } <= synced
