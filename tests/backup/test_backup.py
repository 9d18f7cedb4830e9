"""Backups of two tenants: whole, damaged, cut, and into places that are taken."""

from __future__ import annotations

import asyncio
import json
import shutil
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest
from archive.making import instance
from audit.conftest import opened
from msgspec import structs

from fhirserver.access.grant import OPEN
from fhirserver.app import open_gate, tenant_settings, tenant_table, whole_store
from fhirserver.app.backing import back_up, drill, keys_of, restore_into
from fhirserver.app.imaging import open_imaging
from fhirserver.app.tenants import Tenant
from fhirserver.backup import write
from fhirserver.backup.keys import read_keys, write_keys
from fhirserver.backup.manifest import Manifest, NotRestorable, read_manifest, write_manifest
from fhirserver.interactions.request import Request
from fhirserver.settings import Settings
from fhirserver.store.port import LogQuery, Version


def silent(text: str) -> None:
    pass


def mode(path: Path) -> int:
    return path.stat().st_mode


def below(folder: Path) -> list[Path]:
    return list(folder.rglob("*"))


async def fill(settings: Settings, number: int) -> None:
    async with open_gate(settings) as dispatch:
        for n in range(number):
            resource = {"resourceType": "Patient", "id": f"p{n}", "name": [{"text": "å" * (n + 1)}]}
            await dispatch(
                Request(
                    "update", "http://x/fhir", "Patient", f"p{n}", resource=resource, grant=OPEN
                )
            )
        await dispatch(Request("delete", "http://x/fhir", "Patient", "p0", grant=OPEN))
    async with whole_store(settings) as store:
        await store.records.put("identity.account", "u", b'{"name":"u"}')


async def image(settings: Settings) -> None:
    """Stores an instance, and begins another one that is not in a backup."""
    async with whole_store(settings) as store:
        imaging = await open_imaging(settings, store)
        assert imaging is not None
        stored = await imaging.blobs.put(b"pixels")
        await imaging.archive.add([replace(instance(), blob=stored.digest)])
        imaging.blobs.spool.open().write(b"half")
        await imaging.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    settings = Settings(data=tmp_path_factory.mktemp("server") / "data", auth="none")

    async def make() -> None:
        async with tenant_table(settings) as table:
            await table.create(Tenant("one", 1))
            await table.create(Tenant("off", 1, state="suspended"))
            await table.create(Tenant("gone", 1, state="deleted"))
        await fill(settings, 3)
        await fill(await tenant_settings(settings, "one"), 5)
        await fill(await tenant_settings(settings, "off"), 2)

    asyncio.run(make())
    asyncio.run(image(settings))
    (settings.data / "blobs" / "ab").mkdir(parents=True, exist_ok=True)
    (settings.data / "blobs" / "ab" / "cd").write_bytes(b"an image")
    return settings


@pytest.fixture(scope="module")
def first(server: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("first") / "backup"
    asyncio.run(back_up(server, folder, silent))
    return folder


@pytest.fixture
def taken(first: Path, tmp_path: Path) -> Path:
    """A backup that a test may harm."""
    return Path(shutil.copytree(first, tmp_path / "backup"))


async def held(settings: Settings) -> list[Version]:
    async with whole_store(settings) as store:
        assert await store.records.get("identity.account", "u")
        return [version async for version in store.log(LogQuery())]


@pytest.mark.check("OPS-7")
async def test_what_is_restored_is_what_was(server: Settings, taken: Path, tmp_path: Path) -> None:
    keys = keys_of(server)
    assert set(keys) == {"sealing.key", "tenants/one/sealing.key", "tenants/off/sealing.key"}
    there = structs.replace(server, data=tmp_path / "there")
    manifest = restore_into(there, taken, keys, silent)
    assert [part.tenant for part in manifest.parts] == ["default", "off", "one"]
    assert await held(there) == await held(server)
    for name in ("one", "off"):
        before, after = await tenant_settings(server, name), await tenant_settings(there, name)
        assert await held(after) == await held(before)
        assert after.data == tmp_path / "there" / "tenants" / name
    assert (there.data / "blobs" / "ab" / "cd").read_bytes() == b"an image"
    assert keys_of(there) == keys
    for path in (*below(there.data), *below(taken)):
        assert path.is_dir() or path.stat().st_mode & 0o077 == 0, path
    assert all(mode(folder) & 0o077 == 0 for folder in (taken, there.data))


@pytest.mark.check("OPS-7")
async def test_the_drill(server: Settings, taken: Path) -> None:
    found = await drill(server, taken, {}, silent)
    assert found.wrong == ()
    assert found.opened == (3 + 1) + (5 + 1) + (2 + 1)
    assert {part.tenant: part.content.counts for part in found.manifest.parts} == {
        "default": {"Patient": 2},
        "one": {"Patient": 4},
        "off": {"Patient": 1},
    }


@pytest.mark.check("OPS-7")
async def test_instances_are_restored_with_their_bytes(
    server: Settings, taken: Path, tmp_path: Path
) -> None:
    assert not [path for path in below(taken) if path.suffix == ".part"]
    elsewhere = tmp_path / "elsewhere"
    there = structs.replace(server, data=tmp_path / "there", blobs=f"file://{elsewhere}")
    restore_into(there, taken, keys_of(server), silent)
    async with whole_store(there) as store:
        imaging = await open_imaging(there, store)
        assert imaging is not None
        (held,) = await imaging.archive.held("1.1")
        assert await imaging.blobs.get(held.blob) == b"pixels"
        await imaging.close()
    with pytest.raises(NotRestorable, match="elsewhere is not empty"):
        restore_into(structs.replace(there, data=tmp_path / "again"), taken, {}, silent)


@pytest.mark.check("OPS-7")
@pytest.mark.parametrize("statement", ["DELETE FROM header", "UPDATE instance SET blob=x'00'"])
async def test_an_altered_archive_is_found(server: Settings, taken: Path, statement: str) -> None:
    database = taken / "stores" / "default" / "imaging.db"
    connection = apsw.Connection(str(database))
    connection.execute(statement)
    connection.close()
    redone(taken, read_manifest(taken), database)
    found = await drill(server, taken, {}, silent)
    assert ["DICOM archive" in text for text in found.wrong] == [True]


@pytest.mark.check("OPS-7")
async def test_an_instance_without_its_bytes_is_found(server: Settings, taken: Path) -> None:
    manifest = read_manifest(taken)
    (name,) = [file.name for file in manifest.files if len(Path(file.name).name) == 64]
    files = tuple(file for file in manifest.files if file.name != name)
    (taken / "manifest.json").unlink()
    write_manifest(taken, msgspec.structs.replace(manifest, files=files))
    found = await drill(server, taken, {}, silent)
    assert found.wrong == ("default: the bytes of 1 DICOM instances are not there",)


async def test_no_key_is_in_a_backup(server: Settings, taken: Path) -> None:
    content = b"".join(path.read_bytes() for path in below(taken) if path.is_file())
    for key in keys_of(server).values():
        assert key not in content
    assert not [path for path in below(taken) if path.suffix == ".key"]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def longer(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


@pytest.mark.check("OPS-7")
@pytest.mark.parametrize("harm", [cut, emptied, flipped, longer, Path.unlink])
@pytest.mark.parametrize(
    "file", ["stores/one/fhir.db", "stores/default/blobs/ab/cd", "manifest.json"]
)
async def test_a_damaged_backup_is_found(
    server: Settings, taken: Path, tmp_path: Path, harm: Callable[[Path], None], file: str
) -> None:
    harm(taken / file)
    there = structs.replace(server, data=tmp_path / "there")
    with pytest.raises(NotRestorable):
        restore_into(there, taken, {}, silent)
    assert not there.data.exists() or not list(there.data.iterdir())
    with pytest.raises(NotRestorable):
        await drill(server, taken, {}, silent)


@pytest.mark.check("OPS-7")
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE version SET body=substr(body, 2) WHERE vid=2",
        "DELETE FROM version WHERE vid=1",
        "DELETE FROM record WHERE collection='identity.account'",
        "UPDATE record SET body=x'00' WHERE collection='identity.account'",
        "UPDATE version SET instant=instant+1 WHERE vid=2",
        "UPDATE resource SET live=0",
    ],
)
async def test_what_is_altered_together_with_its_digest_is_found(
    server: Settings, taken: Path, statement: str
) -> None:
    """Digests of files alone would not tell: those of what a store holds do."""
    database = taken / "stores" / "one" / "fhir.db"
    connection = apsw.Connection(str(database))
    connection.execute(statement)
    connection.close()
    manifest = read_manifest(taken)
    redone(taken, manifest, database)
    found = await drill(server, taken, {}, silent)
    assert found.wrong, statement
    assert all(text.startswith("one: ") for text in found.wrong)


def redone(folder: Path, manifest: Manifest, changed: Path) -> None:
    """Writes the manifest anew, with the digest of a file as it is now."""
    from fhirserver.backup.manifest import described

    now = described(folder, changed)
    files = tuple(now if file.name == now.name else file for file in manifest.files)
    (folder / "manifest.json").unlink()
    write_manifest(folder, msgspec.structs.replace(manifest, files=files))


async def test_a_restore_goes_nowhere_else(server: Settings, taken: Path, tmp_path: Path) -> None:
    with pytest.raises(NotRestorable, match="not empty"):
        restore_into(server, taken, {}, silent)
    other = structs.replace(server, store=f"sqlite:///{server.database}", data=tmp_path / "n")
    with pytest.raises(NotRestorable, match="not empty"):
        restore_into(other, taken, {}, silent)
    for name in ("../outside", "/outside", "stores/other/fhir.db", "stores/one/../../x", "x"):
        manifest = read_manifest(taken)
        files = (msgspec.structs.replace(manifest.files[0], name=name), *manifest.files[1:])
        (taken / "manifest.json").unlink()
        write_manifest(taken, msgspec.structs.replace(manifest, files=files))
        there = structs.replace(server, data=tmp_path / "there")
        with pytest.raises(NotRestorable):
            restore_into(there, taken, {}, silent)
        (taken / "manifest.json").unlink()
        write_manifest(taken, manifest)
    with pytest.raises(NotRestorable, match="outside"):
        restore_into(there, taken, {"../x.key": b"x"}, silent)
    assert not (tmp_path / "x.key").exists()


async def test_a_backup_that_ends_early_leaves_nothing(server: Settings, tmp_path: Path) -> None:
    def stopped(text: str) -> None:
        if text.startswith("one"):
            raise KeyboardInterrupt

    folder = tmp_path / "backup"
    task = asyncio.to_thread(_back_up_until, server, folder, stopped)
    assert await task
    assert not folder.exists()
    folder.mkdir()
    (folder / "x").touch()
    with pytest.raises(FileExistsError):
        await back_up(server, folder, silent)
    assert (folder / "x").exists()


def _back_up_until(settings: Settings, folder: Path, told: Callable[[str], None]) -> bool:
    from fhirserver.app.backing import sources
    from fhirserver.backup.write import backup

    try:
        backup(folder, asyncio.run(sources(settings)), (), lambda: 1, told)
    except KeyboardInterrupt:
        return True
    return False


def test_sealed_keys(tmp_path: Path) -> None:
    keys = {"sealing.key": b"\x00\xffsecret", "tenants/one/sealing.key": b""}
    write_keys(tmp_path / "sealed", keys, "a long passphrase")
    assert read_keys(tmp_path / "sealed", "a long passphrase") == keys
    assert b"sealing.key" not in (tmp_path / "sealed").read_bytes()
    for passphrase in ("another", "a long passphras", None):
        with pytest.raises(NotRestorable):
            read_keys(tmp_path / "sealed", passphrase)
    told = json.loads((tmp_path / "sealed").read_bytes())
    for name in ("salt", "nonce", "content"):
        changed = told | {name: ("A" if told[name][0] != "A" else "B") + told[name][1:]}
        (tmp_path / "changed").write_text(json.dumps(changed))
        with pytest.raises(NotRestorable):
            read_keys(tmp_path / "changed", "a long passphrase")
    write_keys(tmp_path / "plain", keys, None)
    assert read_keys(tmp_path / "plain", None) == keys
    assert (tmp_path / "plain").stat().st_mode & 0o077 == 0
    with pytest.raises(FileExistsError):
        write_keys(tmp_path / "plain", keys, None)


@pytest.mark.check("OPS-7")
async def test_a_sealed_store_comes_back_with_its_keys_only(tmp_path: Path) -> None:
    """On another host, with nothing but the backup and the file of keys."""
    master = tmp_path / "here" / "master.key"
    write_master(master)
    sealed = {"auth": "none", "encryption": "on"}
    here = Settings(data=tmp_path / "data", encryption_key=f"file:{master}", **sealed)
    await fill(here, 2)
    folder = tmp_path / "backup"
    await back_up(here, folder, silent)
    keys = keys_of(here)
    assert keys["master.key"] == master.read_bytes()
    for path in below(folder):
        assert path.is_dir() or "å".encode() not in path.read_bytes()
    elsewhere = tmp_path / "elsewhere" / "master.key"
    there = Settings(data=tmp_path / "there", encryption_key=f"file:{elsewhere}", **sealed)
    found = await drill(Settings(auth="none"), folder, keys, silent)
    assert (found.wrong, found.opened) == ((), 3)
    for wrong in ({}, keys | {"master.key": b64encode(b"x" * 32)}):
        found = await drill(there, folder, wrong, silent)
        assert found.wrong
    with pytest.raises(NotRestorable, match="ENCRYPTION_KEY"):
        restore_into(Settings(data=tmp_path / "there"), folder, keys, silent)
    restore_into(there, folder, keys, silent)
    assert await held(there) == await held(here)
    assert mode(elsewhere) & 0o077 == 0
    elsewhere.write_bytes(b64encode(b"x" * 32))
    again = structs.replace(there, data=tmp_path / "again")
    with pytest.raises(NotRestorable, match="another master key"):
        restore_into(again, folder, keys, silent)


def write_master(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b64encode(b"k" * 32))
    path.chmod(0o600)


@pytest.mark.check("OPS-7")
@pytest.mark.check("AUD-7")
async def test_the_drill_verifies_the_audit_trail(tmp_path: Path) -> None:
    """What was altered before the backup was taken is in it as it is; the chain tells."""
    async with opened(tmp_path / "data") as world:
        await world.put({"resourceType": "Patient", "id": "a"})
        await world.events()
        settings = world.settings
    keys = keys_of(settings)
    assert "audit.key" in keys
    await back_up(settings, tmp_path / "whole", silent)
    assert (await drill(settings, tmp_path / "whole", keys, silent)).wrong == ()
    connection = apsw.Connection(str(settings.database))
    connection.execute(
        """UPDATE version SET body=CAST(replace(CAST(body AS TEXT), 'Dr. Example', 'Dr. Nobody')
            AS BLOB) WHERE tid=(SELECT tid FROM type WHERE name='AuditEvent')
            AND instr(CAST(body AS TEXT), 'Dr. Example')"""
    )
    assert connection.changes() > 0
    connection.close()
    await back_up(settings, tmp_path / "altered", silent)
    found = await drill(settings, tmp_path / "altered", keys, silent)
    assert found.wrong
    assert all("event" in text for text in found.wrong)
    assert (await drill(settings, tmp_path / "altered", {}, silent)).wrong == ()  # without its key


@pytest.mark.check("OPS-7")
@pytest.mark.check("AUD-7")
async def test_a_store_that_was_put_back_is_told_by_the_checkpoints(tmp_path: Path) -> None:
    """An older state of a store is whole in itself: only the copies beside it know of more."""
    async with opened(tmp_path / "data") as world:
        await world.put({"resourceType": "Patient", "id": "a"})
        await world.events()
        settings = world.settings
    keys = keys_of(settings)
    shutil.copy(settings.database, tmp_path / "older")
    async with opened(tmp_path / "data") as world:
        await world.put({"resourceType": "Patient", "id": "b"})
        await world.events()
        await back_up(settings, tmp_path / "whole", silent)  # while it records
    copies = sorted((tmp_path / "whole" / "stores/default/audit").glob("*.json"))
    assert len(copies) == 3  # two servers, and the backup itself
    assert (await drill(settings, tmp_path / "whole", keys, silent)).wrong == ()
    there = structs.replace(settings, data=tmp_path / "there")
    restore_into(there, tmp_path / "whole", keys, silent)
    restored = (tmp_path / "there" / "audit").glob("*.json")
    assert [(path.name, path.read_bytes()) for path in sorted(restored)] == [
        (path.name, path.read_bytes()) for path in copies
    ]
    shutil.copy(tmp_path / "older", settings.database)
    settings.database.with_name("fhir.db-wal").unlink(missing_ok=True)
    await back_up(settings, tmp_path / "back", silent)
    found = await drill(settings, tmp_path / "back", keys, silent)
    assert any("cut off" in text or "no checkpoint" in text for text in found.wrong), found.wrong


@pytest.mark.check("OPS-7")
@pytest.mark.check("AUD-7")
async def test_events_that_are_not_filed_are_in_a_backup(tmp_path: Path) -> None:
    """A server that records all the time, and one that ended before it filed anything."""
    settings = Settings(auth="none", audit="on", data=tmp_path / "data")
    async with opened(tmp_path / "data") as world:
        await world.put({"resourceType": "Patient", "id": "a"})
        await world.events()
        trail = world.running._trail
        assert trail is not None
        trail._filing._task = asyncio.create_task(asyncio.sleep(0))  # nobody files
        await asyncio.gather(*(world.ask("read", "Patient", id="a") for _ in range(20)))
        await trail.checkpoint()
        keys = keys_of(settings)

        async def work() -> None:
            while True:
                await world.ask("read", "Patient", id="a")

        working = [asyncio.create_task(work()) for _ in range(8)]
        trail._filing._task = None
        for number in range(3):
            await back_up(settings, tmp_path / f"{number}", silent)
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)
    for number in range(3):
        found = await drill(settings, tmp_path / f"{number}", keys, silent)
        assert found.wrong == ()


@pytest.mark.check("OPS-7")
async def test_what_begins_to_record_while_a_backup_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the store nor the checkpoints of the backup know of its lane."""
    settings = Settings(auth="none", audit="on", data=tmp_path / "data")
    loop, copy = asyncio.get_running_loop(), write._copy_database
    async with opened(tmp_path / "data") as one, opened(tmp_path / "data") as other:
        await one.put({"resourceType": "Patient", "id": "a"})
        keys = keys_of(settings)

        def then_another(*arguments: Any) -> None:
            copy(*arguments)
            asked = other.ask("read", "Patient", id="a")
            asyncio.run_coroutine_threadsafe(asked, loop).result(20)

        monkeypatch.setattr(write, "_copy_database", then_another)
        await back_up(settings, tmp_path / "backup", silent)
    found = await drill(settings, tmp_path / "backup", keys, silent)
    assert found.wrong == ()
