"""The trail over a process's end, in a data folder with SQLite."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path

import pytest
from audit.conftest import World, about, opened, patient
from audit.killed import AT_A_TIME, answered

from fhirserver.app.errors import NotRunnable
from fhirserver.app.running import Running
from fhirserver.app.stores import open_store
from fhirserver.audit.accounting import seen
from fhirserver.audit.chain import TYPE
from fhirserver.audit.checkpoint import Damaged
from fhirserver.audit.recorder import Event
from fhirserver.audit.recovery import LATE
from fhirserver.settings import Settings
from fhirserver.store.port import LogQuery, Version

_READER = textwrap.dedent(
    """
    import asyncio, sys
    from pathlib import Path
    from fhirserver.app.running import Running
    from fhirserver.app.stores import open_store
    from fhirserver.interactions.request import Request
    from fhirserver.settings import Settings
    from fhirserver.audit.recorder import Origin

    async def main():
        settings = Settings(auth="none", audit="on", data=Path(sys.argv[1]))
        running = Running(settings, await open_store(settings))
        await running.start("http://x/fhir")

        async def read(client):
            for number in range(100_000):
                request = Request("read", "http://x/fhir", "Patient", "p1")
                request.origin = Origin(request_id=f"{client}.{number}")
                await running.dispatch(request)
                print(request.origin.request_id, flush=True)

        await asyncio.gather(*(read(client) for client in range(8)))

    asyncio.run(main())
    """
)


@pytest.mark.check("OPS-10")
@pytest.mark.check("AUD-6")
async def test_a_killed_server_has_recorded_all_that_it_answered(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        await world.put(patient("p1"))
    answered = _answered_until_killed(tmp_path)
    async with opened(tmp_path) as world:
        found = await world.verified()
        assert found.problems == []
        recorded = {
            item["entity"][0]["what"]["identifier"]["value"]
            for item in await world.events()
            if item["subtype"][0]["code"] == "read"
        }
        assert answered <= recorded
        assert (await world.verified()).problems == []


def _answered_until_killed(data: Path) -> set[str]:
    """The requests that processes answered, each of which was killed while it did."""
    answered: set[str] = set()
    for kill in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", _READER, str(data)], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout
            for line in process.stdout:
                answered.add(line.strip())
                if len(answered) >= 400 * (kill + 1):
                    break
            os.kill(process.pid, signal.SIGKILL)
            answered.update(line.strip() for line in process.stdout if line.endswith("\n"))
    return answered


async def test_a_lane_is_noted_when_it_grows_and_when_it_ends(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        await world.put(patient("p1"))
        trail = world.running._trail
        assert trail is not None
        await trail.checkpoint()
        (file,) = (tmp_path / "audit").glob("*.json")
        assert b'"number":2' in file.read_bytes()
        assert file.stat().st_mode & 0o077 == 0
    assert b'"is_closed":true' in file.read_bytes()
    assert b'"number":3' in file.read_bytes()


async def test_another_key_stops_the_server_from_starting(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        await world.put(patient("p1"))
    (tmp_path / "audit.key").write_bytes(bytes(32))
    with pytest.raises(Damaged):
        async with opened(tmp_path):
            pass
    (tmp_path / "audit.key").write_bytes(b"short")
    with pytest.raises(NotRunnable):
        async with opened(tmp_path):
            pass


async def test_without_a_trail_nothing_is_recorded(tmp_path: Path) -> None:
    settings = Settings(auth="none", data=tmp_path)
    running = Running(settings, await open_store(settings))
    await running.recorder.record(Event("sign-in"))
    assert await running.store.counts() == {}
    assert not (tmp_path / "audit.key").exists()
    await running.close()


@pytest.mark.slow
@pytest.mark.check("OPS-10")
@pytest.mark.check("AUD-6")
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_each_version_of_a_killed_process_is_recorded_once(
    each_store: str, tmp_path: Path, after: bool
) -> None:
    lacking = 0
    for write in range(1, 200):
        told, is_killed = answered(tmp_path / str(write), write, after)
        async with opened(tmp_path / str(write)) as world:
            recovery = world.running._recovery
            assert recovery is not None
            await recovery.stop()
            recovery._patience = 0
            await recovery.look()
            events = [item for item in await world.events() if item["action"] in "CUD"]
            told_of = Counter((about(item)[0], about(item)[-1]) for item in events)
            assert max(told_of.values(), default=1) == 1, "an event stands there twice"
            versions = await _versions(world)
            assert {place for place, _ in told_of} == set(map(_place, versions))
            late = {seen(item).request for item in events if item.get("outcomeDesc") == LATE}
            assert not late & set(told), "what was answered was on record"
            lacking += len(late)
            assert (await world.verified()).problems == []
            await recovery.look()
            await world.put(patient("p9"))  # with which notes go
            assert len(await world.running.store.noted()) <= 1
        if not is_killed:
            assert len(told) >= AT_A_TIME
            break
    assert lacking > 3, "no process was killed between a commit and its event"


def _place(version: Version) -> str:
    """What the event of a version names: of a deletion, the resource."""
    place = f"{version.type}/{version.id}"
    return place if version.body is None else f"{place}/_history/{version.version}"


async def _versions(world: World) -> list[Version]:
    return [item async for item in world.running.store.log(LogQuery()) if item.type != TYPE]
