"""The process that files, for the tenants of a server; and as a process of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from fhirserver.app import filing_process as process
from fhirserver.app import open_store, removal, tenant_settings, tenant_table, whole_store
from fhirserver.app.audit import trail_of, verification_of
from fhirserver.app.filing import Filer
from fhirserver.app.removal import remove_tenant
from fhirserver.app.stores import open_inner, sealed_by
from fhirserver.app.tenants import Tenant
from fhirserver.audit.bell import Bell, Listener, bell_of
from fhirserver.audit.journal import SUFFIX
from fhirserver.audit.recorder import Event
from fhirserver.audit.segment import Segments
from fhirserver.cli import beside
from fhirserver.settings import DEFAULT_TENANT, Settings


@pytest.fixture(params=["off", "on"])
async def server(request: Any, tmp_path: Path) -> Settings:
    """A server with the tenants `one` and `two`."""
    sealed: dict[str, Any] = {}
    if request.param == "on":
        key = tmp_path / "master"
        key.write_text("azra" * 10 + "ays=")
        key.chmod(0o600)
        sealed = {"encryption": "on", "encryption_key": f"file:{key}"}
    settings = Settings(data=tmp_path / "data", auth="none", audit="on", **sealed)
    async with tenant_table(settings) as table:
        for name in ("one", "two"):
            await table.create(Tenant(name, 1))
    return settings


async def record(settings: Settings, count: int) -> None:
    """Events of a process that ends before it has filed any."""
    store = await open_store(settings)
    trail = trail_of(settings, store)
    trail._filing._task = asyncio.create_task(asyncio.sleep(0))  # nobody files
    for _ in range(count):
        await trail.record(Event("sign-in"))
    trail._filing._unfiled.clear()
    trail._lane = None
    await trail.close()
    await store.close()


async def recorded(settings: Settings) -> int:
    """How many events the store has; the chain is whole."""
    async with whole_store(settings) as store:
        assert (await verification_of(settings, store).run()).problems == []
        return (await store.counts()).get("AuditEvent", 0)


def journals(settings: Settings) -> list[Path]:
    return sorted((settings.data / "audit" / "journal").glob(f"*{SUFFIX}"))


async def opened(settings: Settings) -> Filer:
    inner = await open_inner(settings)
    return Filer(settings, inner, await sealed_by(settings, inner))


async def closed(filer: Filer) -> None:
    await filer.close()
    await filer._default.store.close()


async def test_each_tenant_is_filed_into_its_store(server: Settings) -> None:
    one = await tenant_settings(server, "one")
    await record(server, 2)
    await record(one, 3)
    filer = await opened(server)
    assert filer.waiting().keys() == {DEFAULT_TENANT, "one"}
    for name in filer.waiting():
        assert not await filer.file(name)
    assert not filer.waiting()
    assert await filer.file("none") is False
    assert list(filer._open) == ["one"]
    await closed(filer)
    assert await recorded(server) == 3  # and that its lane began
    assert await recorded(one) == 4


async def test_a_suspended_tenant_is_filed_and_one_that_goes_is_not(
    server: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = [await tenant_settings(server, name) for name in ("one", "two")]
    await record(one, 1)
    await record(two, 1)
    filer = await opened(server)
    async with tenant_table(server) as table:
        await table.to_state("one", "suspended", "active")
        await filer.file("one")
        await filer.file("two")
        await table.to_state("two", "deleting", "active")
    await record(two, 1)
    await filer.file("two")
    assert list(filer._open) == ["one"]
    assert len(journals(two)) == 1
    monkeypatch.setattr(removal, "_NOTICED", 0.0)
    await remove_tenant(server, "two")
    await filer.file("two")
    assert not two.data.exists()
    await closed(filer)
    assert await recorded(one) == 2


async def test_what_fails_is_tried_again_later(
    server: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    one = await tenant_settings(server, "one")
    await record(one, 1)
    key = (one.data / "audit.key").read_bytes()
    (one.data / "audit.key").write_bytes(b"short")
    filer = await opened(server)
    assert not await filer.file("one")
    assert "cannot be filed yet: NotRunnable" in caplog.text
    (one.data / "audit.key").write_bytes(key)
    await filer.file("one")
    assert journals(one)  # it rests
    filer._resting.clear()
    await filer.file("one")
    assert not journals(one)
    await closed(filer)


async def test_what_goes_wrong_with_one_tenant_is_not_the_others(
    server: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    one, two = [await tenant_settings(server, name) for name in ("one", "two")]
    await record(one, 1)
    await record(two, 1)
    (server.data / "tenants" / "notes.txt").write_text("put there by somebody")
    filer = await opened(server)

    async def fails(self: Segments, **more: Any) -> None:
        raise RuntimeError("nobody thought of it")

    with monkeypatch.context() as patch:
        patch.setattr(Segments, "settle", fails)
        assert not await filer.file("one")
    assert "cannot be filed yet: RuntimeError" in caplog.text
    assert filer.waiting().keys() == {"one", "two"}
    await filer.file("two")
    assert filer.waiting().keys() == {"one"}
    await closed(filer)


def test_it_ends_if_it_was_told_before_it_could_wait(tmp_path: Path) -> None:
    listener = Listener(bell_of(tmp_path))
    never, end = os.pipe()
    with open(never) as stdin, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", stdin)
        closing = threading.Timer(10, os.close, (end,))  # so that it ends in any case
        closing.start()
        assert not process._is_wanted(tmp_path, listener, [signal.SIGTERM])
        assert closing.is_alive()
        closing.cancel()
        os.close(end)
    listener.close()


async def test_stores_that_nothing_is_filed_in_are_closed(server: Settings) -> None:
    server = replace(server, max_open_tenants=1)
    for name in ("one", "two"):
        await record(await tenant_settings(server, name), 1)
    filer = await opened(server)
    await filer.file("one")
    await filer.file("two")
    assert list(filer._open) == ["two"]
    await filer.close_idle()
    assert list(filer._open) == ["two"]
    filer._open["two"].used -= 1000
    await filer.close_idle()
    assert filer._open == {}
    await closed(filer)


def test_both_sides_mean_the_same_by_the_end_of_a_process() -> None:
    assert process.NEVER == beside.NEVER


def started(settings: Settings) -> subprocess.Popen[bytes]:
    environment = settings.environment()
    child = subprocess.Popen(
        [sys.executable, "-m", "fhirserver.app.filing_process", str(settings.data)],
        stdin=subprocess.PIPE,
        env=environment,
    )
    bell = Bell(bell_of(settings.data), DEFAULT_TENANT)
    until(bell.is_heard)
    return child


def until(condition: Any) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


@pytest.mark.parametrize("how", ["signal", "orphaned"])
def test_it_is_small_until_it_hears_something(tmp_path: Path, how: str) -> None:
    settings = Settings(data=tmp_path, auth="none", audit="on")
    child = started(settings)
    assert child.stdin
    assert resident(child.pid) < 20e6
    assert Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[16] != "0"
    child.send_signal(signal.SIGTERM) if how == "signal" else child.stdin.close()
    assert child.wait(20) == 0
    child.stdin.close()


@pytest.mark.parametrize("how", ["signal", "orphaned"])
async def test_it_files_what_there_is_before_it_ends(tmp_path: Path, how: str) -> None:
    settings = Settings(data=tmp_path, auth="none", audit="on")
    await record(settings, 3)
    child = started(settings)
    assert child.stdin
    child.send_signal(signal.SIGTERM) if how == "signal" else child.stdin.close()
    assert child.wait(20) == 0
    child.stdin.close()
    assert not journals(settings)
    assert await recorded(settings) == 4


def test_where_no_bell_can_be_it_need_not_be_started_again(tmp_path: Path) -> None:
    bell_of(tmp_path).parent.mkdir()
    bell_of(tmp_path).write_bytes(b"")
    with pytest.raises(FileExistsError):
        Listener(bell_of(tmp_path))
    ended = subprocess.run(
        [sys.executable, "-m", "fhirserver.app.filing_process", str(tmp_path)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    assert ended.returncode == process.NEVER
    assert b"by the server itself" in ended.stderr
