"""Handing over to one that files beside: what is searched is filed, whoever does it or does not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from audit.conftest import World, opened, patient

from fhirserver.app import filing as process
from fhirserver.audit import due, filing, handover, spares
from fhirserver.audit.bell import Listener, bell_of
from fhirserver.audit.journal import SUFFIX, kept

MANY = 600  # more than are filed from here where somebody searches


@asynccontextmanager
async def filer(world: World) -> AsyncIterator[asyncio.Event]:
    """What the process beside does, in this one; `set` tells it to stop."""
    listener, stops = Listener(bell_of(world.settings.data)), asyncio.Event()
    task = asyncio.create_task(process.serve(world.settings, listener, stops))
    try:
        yield stops
    finally:
        stops.set()
        await task
        listener.close()


async def read(world: World, times: int) -> None:
    for _ in range(times):
        await world.ask("read", "Patient", id="p1")


async def reads(world: World) -> int:
    return sum(item["subtype"][0]["code"] == "read" for item in await world.events())


def journals(data: Path) -> list[Path]:
    return sorted((data / "audit" / "journal").glob(f"*{SUFFIX}"))


async def until(condition: object) -> None:
    end = time.monotonic() + 20
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end
        await asyncio.sleep(0.01)


async def test_it_is_filed_beside_without_being_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path) as world, filer(world):
        with monkeypatch.context() as patched:
            patched.setattr(world.running._trail._filing._segments, "file", None)  # not here
            await world.put(patient("p1"))
            await read(world, MANY)
            await until(lambda: not journals(tmp_path))
        assert (await world.running.store.counts())["AuditEvent"] == MANY + 2
        assert (await world.verified()).problems == []


@pytest.mark.parametrize("times", [1, MANY])
async def test_a_search_finds_what_was_just_recorded(tmp_path: Path, times: int) -> None:
    async with opened(tmp_path) as world, filer(world):
        await world.put(patient("p1"))
        for turn in range(1, 4):
            await read(world, times)
            assert await reads(world) == times * turn
        assert (await world.verified()).problems == []


async def test_it_finds_what_other_processes_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path) as one, filer(one), opened(tmp_path) as other:
        await one.put(patient("p1"))
        await read(other, 3)
        assert await reads(one) == 3
        await read(one, 2)
        assert await reads(other) == 5
        assert (await one.verified()).problems == []


async def test_who_does_not_go_on_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handover, "PATIENCE", 0.1)
    monkeypatch.setattr(filing, "_SHARE", 0.0)
    async with opened(tmp_path) as world:
        listener = Listener(bell_of(tmp_path))  # and does nothing
        await world.put(patient("p1"))
        await read(world, MANY)
        assert await reads(world) == MANY
        listener.close()
        await read(world, 1)
        assert await reads(world) == MANY + 1
        assert (await world.verified()).problems == []
    assert journals(tmp_path) == []


async def test_without_it_the_server_files(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        async with filer(world):
            await world.put(patient("p1"))
            await read(world, 2)
        await read(world, MANY)
        assert await reads(world) == MANY + 2
    assert journals(tmp_path) == []


async def test_what_the_next_finds_of_a_process_that_ended_is_filed_beside(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        listener = Listener(bell_of(tmp_path))
        await world.put(patient("p1"))
        await read(world, 5)
    listener.close()
    assert journals(tmp_path)  # it was handed over, and nobody was there
    async with opened(tmp_path) as world:
        assert journals(tmp_path) == []
        async with filer(world):
            assert await reads(world) == 5
            assert (await world.verified()).problems == []


async def test_what_was_damaged_is_waited_for_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handover, "PATIENCE", 0.3)
    async with opened(tmp_path) as world:
        listener = Listener(bell_of(tmp_path))
        await world.put(patient("p1"))
    listener.close()
    (file,) = journals(tmp_path)
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    async with opened(tmp_path) as world, filer(world):
        await read(world, 2)
        assert await reads(world) == 2
        monkeypatch.setattr(handover, "PATIENCE", 1000.0)
        assert await asyncio.wait_for(reads(world), 20) == 2
        assert [one.text for one in (await world.verified()).problems if "damaged" in one.text]


async def test_a_search_while_a_backup_is_taken(tmp_path: Path) -> None:
    async with opened(tmp_path) as world, filer(world):
        await world.put(patient("p1"))
        await read(world, 1)
        with kept(tmp_path / "audit" / "journal"):
            await read(world, MANY)
            assert await reads(world) == MANY + 1
            assert journals(tmp_path)
            await read(world, 1)
            assert await reads(world) == MANY + 2
        assert (await world.verified()).problems == []
        assert await reads(world) == MANY + 2


async def test_where_too_much_waits_recording_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handover, "MOST_WAITING", 20_000)
    monkeypatch.setattr(handover, "PATIENCE", 1000.0)
    monkeypatch.setattr(filing, "_SHARE", 0.0)
    async with opened(tmp_path) as world:
        listener = Listener(bell_of(tmp_path))
        await world.put(patient("p1"))

        answered = 0

        async def read_on() -> None:
            nonlocal answered
            with suppress(asyncio.CancelledError):
                while True:
                    await read(world, 1)
                    answered += 1

        task = asyncio.create_task(read_on())
        await until(lambda: world.running._trail._filing._handover.is_too_much)
        size = sum(file.stat().st_size for file in journals(tmp_path))
        await asyncio.sleep(0.2)
        assert sum(file.stat().st_size for file in journals(tmp_path)) < size + 5_000
        assert not task.done()
        listener.close()  # then the server files by itself, and goes on
        await until(lambda: not world.running._trail._filing._handover.is_too_much)
        before = answered
        await until(lambda: answered > before)
        task.cancel()
        await task
        assert answered <= await reads(world) <= answered + 1
        assert (await world.verified()).problems == []


async def test_what_is_put_while_handing_over_ends_is_not_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a slow disk the hand-over is done at the end of a write; another may follow at once."""
    monkeypatch.setattr(handover, "_SOON", 0.1)
    monkeypatch.setattr(filing, "_SHARE", 1000.0)  # only who is told hands over
    async with opened(tmp_path) as world:
        listener = Listener(bell_of(tmp_path))
        await world.put(patient("p1"))
        trail = world.running._trail
        assert trail is not None
        journal = trail._filing._handover._journal  # type: ignore[union-attr]
        journal._is_putting = True  # as in the middle of a write
        handing = asyncio.create_task(trail._filing._hand_over())
        await asyncio.sleep(0)
        assert journal.is_due
        await read(world, 1)  # at the end of which it is handed over
        assert not journal.is_due
        await read(world, 1)
        await handing
        listener.close()
        assert await reads(world) == 2


async def test_what_others_put_into_files_that_are_written_over_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a file has its size from the beginning: that it did not grow says nothing."""
    monkeypatch.setattr(spares, "WORTH", 1)
    async with opened(tmp_path) as one, opened(tmp_path) as other:
        await one.put(patient("p1"))
        await read(other, MANY)
        assert await reads(one) == MANY
        await other.events()  # a spare is left
        assert list((tmp_path / "audit" / "journal").glob(f"*{spares.SPARE}"))
        monkeypatch.setattr(other.running._trail._filing, "keep_up", lambda: None)  # nobody files
        for turn in range(1, 4):
            await read(other, 1)
            assert await reads(one) == MANY + turn


async def test_who_searches_does_not_wait_for_the_end_of_anothers_burst(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another hands over after it was rung for is wanted as well."""
    monkeypatch.setattr(due, "LONGEST", 1000.0)
    monkeypatch.setattr(due, "QUIET", 1000.0)
    monkeypatch.setattr(handover, "PATIENCE", 1000.0)
    async with opened(tmp_path) as one, filer(one), opened(tmp_path) as other:
        await one.put(patient("p1"))
        monkeypatch.setattr(filing, "_SHARE", 1000.0)
        await read(other, 3)
        searching = asyncio.create_task(reads(one))
        await asyncio.sleep(0.1)  # it was rung for, and nothing is left yet
        await other.running._trail._filing._hand_over()  # type: ignore[union-attr]
        assert await asyncio.wait_for(searching, 20) == 3
