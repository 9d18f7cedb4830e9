"""A store survives `kill -9` at any moment, a full disk, and many processes at once."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import apsw
import pytest
from store.making import Clock, put, walk
from store.process import RACERS, tagged

from fhirserver.errors import Unavailable
from fhirserver.search.expression import EVERYTHING, Query, TokenIs, TokenValue
from fhirserver.store.port import HistoryQuery
from fhirserver.store.sqlite import SqliteStore

SCRIPT = Path(__file__).with_name("process.py")
PROCESSES = 4


def _start(role: str, path: Path, run: str, *more: str) -> subprocess.Popen[str]:
    paths = os.pathsep.join([str(SCRIPT.parents[1]), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), role, str(path), run, *more],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
    )


def _killed_writer(path: Path, run: str, seconds: float) -> list[str]:
    """What a writer acknowledged before it was killed. A half line was not told."""
    process = _start("write", path, run)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    told = process.stdout.read()
    process.stdout.close()
    process.wait()
    return told.split("\n")[:-1]


async def _check(path: Path, told: list[str]) -> None:
    connection = apsw.Connection(str(path))
    assert connection.execute("PRAGMA integrity_check").get == "ok"
    connection.close()
    store = SqliteStore.open(path, clock=Clock())
    last: dict[str, int] = {}
    for line in told:
        kind, *words = line.split(" ")
        if kind == "update":
            last[words[0]] = int(words[1])
            continue
        (tag,) = words
        for type_ in ("Patient", "Group", "Device"):
            assert await store.read(type_, tag), f"{type_}/{tag} was acknowledged"
    for run, version in last.items():
        found = await store.read("Patient", f"{run}-updated")
        assert found is not None
        assert found.version >= version
        history = await store.history(HistoryQuery("Patient", f"{run}-updated", count=10_000))
        assert [one.version for one in history.versions] == list(range(found.version, 0, -1))
        where = TokenIs("tag", (TokenValue("", f"v{found.version}"),))
        assert (await store.search(Query(("Patient",), where))).total is None
        assert f"{run}-updated" in {key.id for key in await walk(store, Query((), where))}
    patients, groups, devices = [
        {key.id for key in await walk(store, Query((type_,), EVERYTHING, count=1000))}
        for type_ in ("Patient", "Group", "Device")
    ]
    assert groups == devices == {id for id in patients if not id.endswith("updated")}
    for id in random.sample(sorted(groups), min(50, len(groups))):
        (code,) = tagged(id)["tag"]
        where = TokenIs("tag", (TokenValue("", code.code),))
        assert len(await walk(store, Query((), where))) == 3
    await store.close()


async def _crash(folder: Path, rounds: int) -> None:
    path = folder / "fhir.db"
    told: list[str] = []
    for number in range(rounds):
        told += _killed_writer(path, f"run{number}", random.uniform(0.05, 0.5))
        await _check(path, told)
    assert len(told) > rounds


async def test_every_acknowledged_write_survives_a_kill(tmp_path: Path) -> None:
    await _crash(tmp_path, 3)


@pytest.mark.slow
async def test_every_acknowledged_write_survives_many_kills(tmp_path: Path) -> None:
    await _crash(tmp_path, 40)


async def test_two_processes_write_while_one_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "fhir.db"
    other = _start("write", path, "other")
    assert other.stdout is not None
    assert other.stdout.readline() == "begun\n"
    told = _killed_writer(path, "killed", 0.4)
    await asyncio.sleep(0.2)
    other.kill()
    told += other.stdout.read().split("\n")[:-1]
    other.stdout.close()
    other.wait()
    assert {line.split()[0] for line in told} == {"transaction", "update"}
    await _check(path, told)


def _winners(role: str, path: Path) -> list[str]:
    """Who won a race of processes that begin at the same moment."""
    moment = str(time.time() + 1.5)
    racers = [_start(role, path, f"racer{n}", moment) for n in range(PROCESSES)]
    told = [racer.communicate(timeout=60)[0].split("\n")[:-1] for racer in racers]
    assert all(lines[0] == "ready" and lines[-1] == "done" for lines in told)
    return [line for lines in told for line in lines if line.startswith("won")]


async def test_of_64_creates_in_4_processes_one_wins(tmp_path: Path) -> None:
    assert PROCESSES * RACERS == 64
    path = tmp_path / "fhir.db"
    won = _winners("create", path)
    store = SqliteStore.open(path, clock=Clock())
    found = await walk(store, Query(("Patient",)))
    await store.close()
    assert won == [f"won {found[0].id}"]
    assert len(found) == 1


async def test_of_64_updates_in_4_processes_one_wins(tmp_path: Path) -> None:
    path = tmp_path / "fhir.db"
    store = SqliteStore.open(path, clock=Clock())
    await store.commit([put("Patient", "updated")])
    assert _winners("update", path) == ["won updated"]
    version = await store.read("Patient", "updated")
    await store.close()
    assert version is not None
    assert version.version == 2


async def test_a_full_disk_refuses_writes_and_keeps_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "fhir.db"
    told = _start("fill", path, "run").communicate(timeout=60)[0].split("\n")[:-1]
    written = [line for line in told if line.startswith("written ") and line != "written after"]
    refused, left, after = told[len(written) :]
    assert refused.startswith("refused The disk")
    assert (left, after) == ("left 0", "written after")
    store = SqliteStore.open(path, clock=Clock())
    assert await store.counts() == {"Patient": 20 * len(written) + 1}
    await store.close()


async def test_a_file_at_its_limit_refuses_writes(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "fhir.db", clock=Clock())
    await store.commit([put("Patient", "1")])
    connection = store._writer._connection
    connection.pragma("max_page_count", connection.pragma("page_count") + 10)
    with pytest.raises(Unavailable, match="full"):
        await store.commit([put("Patient", f"big{n}", text="x" * 100_000) for n in range(10)])
    assert await store.read("Patient", "big0") is None
    connection.pragma("max_page_count", 1 << 30)
    await store.commit([put("Patient", "2"), put("Patient", "1", 2)])
    assert await store.counts() == {"Patient": 2}
    await store.close()
