"""The trail of a process, and of several at once."""

from __future__ import annotations

import asyncio
import errno
from base64 import b64encode
from pathlib import Path
from typing import Any, NoReturn

import pytest
from audit.conftest import World, opened, patient

from fhirserver.audit.checkpoint import COLLECTION as CHECKPOINTS
from fhirserver.audit.checkpoint import Checkpoints
from fhirserver.audit.journal import FOLDER, SUFFIX
from fhirserver.audit.recorder import Event
from fhirserver.audit.shelf import COLLECTION, Sealed, Shelf
from fhirserver.errors import Unavailable


async def test_events_that_come_together_are_all_recorded(tmp_path: Path, each_store: str) -> None:
    async with opened(tmp_path) as world:
        await world.put(patient("p1"))
        await asyncio.gather(*(world.ask("read", "Patient", id="p1") for _ in range(600)))
        assert len(await world.events()) == 601
        found = await world.verified()
    assert found.problems == []
    assert found.events == 602


async def test_workers_record_in_lanes_of_their_own(tmp_path: Path, each_store: str) -> None:
    async with opened(tmp_path) as one, opened(tmp_path) as other:
        await one.put(patient("p1"))
        for _ in range(5):
            await asyncio.gather(*(world.ask("read", "Patient", id="p1") for world in (one, other)))
        found = await one.verified()
        assert (found.problems, found.lanes, found.events) == ([], 2, 13)
        events = await other.events()
        await one.events()
    assert {item["id"][:6] for item in events} == {"000001", "000002"}


async def test_what_is_left_unfiled_is_filed_by_the_next(tmp_path: Path, each_store: str) -> None:
    async with opened(tmp_path) as world:
        await world.put(patient("p1"))
        trail = world.running._trail
        assert trail is not None
        trail._filing._task = asyncio.create_task(asyncio.sleep(0))  # nobody files
        await world.ask("read", "Patient", id="p1")
        trail._filing._unfiled.clear()  # as if the process had ended
        async with opened(tmp_path) as other:
            assert len(await other.events()) == 2
            assert (await other.verified()).problems == []


async def test_other_events_are_recorded_by_the_same_trail(tmp_path: Path, each_store: str) -> None:
    async with opened(tmp_path) as world:
        await world.running.recorder.record(
            Event("sign-in", "8", account="account-9", reason="wrong password"),
            Event("grant-given", about=("auth.client/chart",), patient="p1"),
        )
        signed_in, granted = await world.events()
    assert signed_in["outcome"] == "8"
    assert signed_in["agent"][2]["altId"] == "account-9"
    assert granted["entity"][0]["what"]["identifier"]["value"] == "auth.client/chart"


@pytest.mark.check("OPS-6")
async def test_what_waits_to_be_filed_is_sealed(tmp_path: Path, each_store: str) -> None:
    async with opened(tmp_path) as world:
        trail = world.running._trail
        assert trail is not None
        trail._filing._task = asyncio.create_task(asyncio.sleep(0))  # nobody files
        await world.ask("search-type", "Patient", parameters=(("name", "zebulonowska"),))
        for told in (b"zebulonowska", b64encode(b"zebulonowska")[:12], b"Practitioner/d1"):
            assert told not in await _held(world)
        await _alter(world)
        (problem, *_) = (await world.verified()).problems
        assert problem.place == "000001-0000000001"
        trail._filing._unfiled.clear()
        await trail.settle()  # passes over it


async def test_what_comes_together_is_written_together(
    tmp_path: Path, each_store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    async with opened(tmp_path) as world:
        trail = world.running._trail
        assert trail is not None
        shelf = type(trail._segments._shelf)
        put = shelf.put

        async def counted(self: Shelf, lane: int, segment: Sealed) -> None:
            written.append(segment.key)
            await put(self, lane, segment)

        monkeypatch.setattr(shelf, "put", counted)
        await world.put(patient("p1"))
        written.clear()
        await asyncio.gather(*(world.ask("read", "Patient", id="p1") for _ in range(200)))
        assert len(written) < 20


async def test_a_lane_that_could_not_be_begun_is_not_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path) as world:
        with monkeypatch.context() as patch:
            patch.setattr(Checkpoints, "_copy", refuse)
            for _ in range(3):
                with pytest.raises(Unavailable):
                    await world.ask("read", "Patient", id="p1")
        assert not await world.running.store.records.list(CHECKPOINTS)
        await world.put(patient("p1"))
        found = await world.verified()
        assert (found.problems, found.lanes) == ([], 1)


def refuse(*_: Any) -> NoReturn:
    raise OSError(errno.ENOSPC, "full")


async def _held(world: World) -> bytes:
    """What waits to be filed, as it lies there."""
    files = _files(world)
    if files:
        return b"".join(path.read_bytes() for path in files)
    found = await world.running.store.records.list(COLLECTION)
    return b"".join(record.body for record in found)


async def _alter(world: World) -> None:
    """Changes the last byte of what waits to be filed."""
    files = _files(world)
    if files:
        data = files[-1].read_bytes()
        files[-1].write_bytes(bytes([*data[:-1], data[-1] ^ 1]))
        return
    records = world.running.store.records
    (held,) = await records.list(COLLECTION)
    await records.put(COLLECTION, held.key, bytes([*held.body[:-1], held.body[-1] ^ 1]))


def _files(world: World) -> list[Path]:
    return sorted((world.settings.data / "audit" / FOLDER).glob(f"*{SUFFIX}"))
