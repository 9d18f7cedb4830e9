import asyncio
import dataclasses
import os
import sqlite3
from contextlib import closing

import pytest
from archive.making import instance
from serving import client
from typer import Typer
from typer.testing import CliRunner

from fhirserver.app.imaging import open_imaging
from fhirserver.app.stores import open_store
from fhirserver.cli.check import check
from fhirserver.settings import Settings
from fhirserver.store.sqlite.schema import MIGRATIONS

FHIR = {"Content-Type": "application/fhir+json"}


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in ("FHIRSERVER_CONFIG", "FHIRSERVER_AUTH", "FHIRSERVER_STORE", "FHIRSERVER_DATA"):
        monkeypatch.delenv(name, raising=False)


def checked(*arguments):
    app = Typer()
    app.command()(check)
    result = CliRunner().invoke(app, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.output


async def filled(folder):
    async with client(folder) as server:
        body = b'{"resourceType":"Patient","id":"a","name":[{"family":"Ek"}]}'
        await server.put("/fhir/Patient/a", content=body, headers=FHIR)
        await server.put("/fhir/Patient/a", content=body.replace(b"Ek", b"Al"), headers=FHIR)


def test_before_the_first_start(tmp_path):
    code, told = checked("--data", "nowhere")
    assert code == 0
    assert "nowhere/fhir.db is not there yet" in told
    assert "146 resource types" in told
    assert "All is well." in told
    assert not (tmp_path / "nowhere").exists()


async def test_a_store_with_something_in_it(tmp_path):
    await filled(tmp_path / "d")
    code, told = await asyncio.to_thread(checked, "--data", "d")
    assert code == 0
    assert f"schema {len(MIGRATIONS)} of {len(MIGRATIONS)}" in told
    assert "1 resources, 2 versions" in told
    assert "Patient: 1" in told
    assert "index of string" in told


async def test_a_store_that_is_not_wholly_indexed(tmp_path, monkeypatch):
    async with client(tmp_path / "d", full_text="none") as server:
        body = b'{"resourceType":"Patient","id":"a","name":[{"family":"Ek"}]}'
        await server.put("/fhir/Patient/a", content=body, headers=FHIR)
    code, told = await asyncio.to_thread(checked, "--data", "d")
    assert code == 0
    assert "Resource is not wholly indexed by '_text' yet" in told
    assert "fhirserver reindex" in told
    monkeypatch.setenv("FHIRSERVER_FULL_TEXT", "none")
    code, told = await asyncio.to_thread(checked, "--data", "d")
    assert code == 0
    assert "all is indexed by the rules of this version" in told


async def test_a_store_whose_index_is_gone(tmp_path):
    await filled(tmp_path / "d")
    with closing(sqlite3.connect(tmp_path / "d" / "fhir.db")) as connection:
        for table in ("token", "string"):
            connection.execute(f"DELETE FROM {table}")
        connection.commit()
    code, told = await asyncio.to_thread(checked, "--data", "d")
    assert code == 1
    assert "nothing is indexed" in told


async def test_a_damaged_store(tmp_path):
    await filled(tmp_path / "d")
    path = tmp_path / "d" / "fhir.db"
    data = bytearray(path.read_bytes())
    data[8192 * 4 : 8192 * 20] = b"\xa5" * (8192 * 16)
    path.write_bytes(data)
    code, told = await asyncio.to_thread(checked, "--data", "d")
    assert code == 1
    assert "Something is wrong." in told


def test_a_file_that_is_no_store(tmp_path):
    (tmp_path / "fhir.db").write_text("something else " * 100)
    code, told = checked("--data", ".")
    assert code == 1
    assert "not a SQLite file" in told


def test_a_variable_that_is_no_setting(monkeypatch):
    monkeypatch.setenv("FHIRSERVER_PAGESIZE", "5")
    code, told = checked()
    assert code == 0
    assert "FHIRSERVER_PAGESIZE is no setting" in told


def test_settings_that_do_not_fit(monkeypatch):
    monkeypatch.setenv("FHIRSERVER_PAGE_SIZE", "none")
    code, _ = checked()
    assert code == 2


async def _imaging(folder, names):
    settings = Settings(data=folder)
    store = await open_store(settings)
    imaging = await open_imaging(settings, store)
    for name in names:
        stored = await imaging.blobs.put(name.encode())
        if name != "orphan":
            one = instance(uid=f"1.{len(name)}")
            await imaging.archive.add([dataclasses.replace(one, blob=stored.digest)])
        if name == "lost":
            await imaging.blobs.delete(stored.digest)
    left = imaging.blobs.spool.open()
    left.write(b"half")
    os.close(left._descriptor)
    await imaging.close()
    await store.close()


def test_instances_and_what_broken_off_writes_left(tmp_path):
    asyncio.run(_imaging(tmp_path / "d", ["kept", "orphan"]))
    code, told = checked("--data", "d")
    assert code == 0
    assert "1 studies, 1 series, 1 instances" in told
    assert "1 blobs without an instance" in told
    assert "1 broken-off writes" in told
    code, told = checked("--data", "d", "--mend")
    assert "taken away: 1 broken-off writes, 1 blobs, 0 instances" in told
    code, told = checked("--data", "d")
    assert code == 0
    assert "without an instance" not in told
    assert "broken-off" not in told


def test_instances_without_their_bytes_are_wrong(tmp_path):
    asyncio.run(_imaging(tmp_path / "d", ["kept it", "lost"]))
    code, told = checked("--data", "d")
    assert code == 1
    assert "the bytes of 1 instances are not there" in told
    checked("--data", "d", "--mend")
    code, told = checked("--data", "d")
    assert code == 0
    assert "1 studies, 1 series, 1 instances" in told
