"""`fhirserver keys`, and moving a store into encryption, as commands."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import stores
import typer
from click.testing import Result
from store.making import walk_history
from typer.testing import CliRunner

from fhirserver.access.grant import OPEN
from fhirserver.app import open_gate, whole_store
from fhirserver.cli.backup import backup
from fhirserver.cli.export import export
from fhirserver.cli.keys import list_keys, make, retire, rewrap, rotate, status
from fhirserver.cli.load import load
from fhirserver.interactions.request import Request
from fhirserver.settings.reading import read
from fhirserver.store.port import HistoryQuery, Version


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(command: Any, *arguments: str) -> Result:
    app = typer.Typer()
    app.command()(command)
    return CliRunner().invoke(app, list(arguments))


def encrypt(monkeypatch: pytest.MonkeyPatch, key: str, data: str = "data") -> None:
    """Sets the environment of the commands from here on."""
    monkeypatch.setenv("FHIRSERVER_ENCRYPTION", "on")
    monkeypatch.setenv("FHIRSERVER_ENCRYPTION_KEY", f"file:{key}")
    use(monkeypatch, data)


def use(monkeypatch: pytest.MonkeyPatch, data: str) -> None:
    monkeypatch.setenv("FHIRSERVER_DATA", data)
    if url := stores.url_of(Path.cwd() / data):
        monkeypatch.setenv("FHIRSERVER_STORE", url)


async def fill() -> None:
    async with open_gate(read()) as dispatch:
        for n in range(3):
            sent = {"resourceType": "Patient", "id": f"{n}", "name": [{"family": "Quill"}]}
            await dispatch(
                Request("update", "http://x/fhir", "Patient", f"{n}", resource=sent, grant=OPEN)
            )


def history() -> list[Version]:
    async def asked() -> list[Version]:
        async with whole_store(read()) as store:
            return await walk_history(store, HistoryQuery())

    return asyncio.run(asked())


def test_keys_are_made_listed_rotated_and_wrapped_anew(
    each_store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(make, "one.key").exit_code == 0
    encrypt(monkeypatch, "one.key")
    asyncio.run(fill())
    before = history()
    found = run(status)
    assert found.exit_code == 0, found.output
    assert "encryption: on, 1 data keys, newest 1" in found.output
    turned = run(rotate)
    assert turned.exit_code == 0, turned.output
    assert "Data key 2 is in use." in turned.output
    found = run(status)
    assert "under data key 2" in found.output
    assert "under data key 1" not in found.output
    listed = run(list_keys).output
    assert [line.split(" made ")[0].strip()[:10] for line in listed.splitlines()] == [
        "index key",
        "data key 1",
        "data key 2",
    ]
    assert "None can go" in run(retire).output
    assert run(make, "two.key").exit_code == 0
    wrapped = run(rewrap, "--to", "file:two.key")
    assert "3 keys are wrapped" in wrapped.output
    refused = run(status)
    assert refused.exit_code == 2
    assert "wrapped by the master key" in refused.output
    encrypt(monkeypatch, "two.key")
    assert history() == before


def test_a_store_is_moved_into_encryption_and_out_of_it(
    each_store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, "plain")
    asyncio.run(fill())
    before = history()
    assert run(export, "--history", "copy").exit_code == 0
    run(make, "one.key")
    encrypt(monkeypatch, "one.key", "plain")
    refused = run(status)
    assert (refused.exit_code, "made without encryption" in refused.output) == (2, True)
    use(monkeypatch, "data")
    moved = run(load, "--restore", "copy")
    assert moved.exit_code == 0, moved.output
    assert history() == before
    assert run(export, "--history", "back").exit_code == 0
    monkeypatch.setenv("FHIRSERVER_ENCRYPTION", "off")
    refused = run(export, "--history", "none")
    assert (refused.exit_code, "made with encryption" in refused.output) == (2, True)
    use(monkeypatch, "again")
    assert run(load, "--restore", "back").exit_code == 0
    assert history() == before


def test_a_backup_is_sealed_as_the_store_is(monkeypatch: pytest.MonkeyPatch) -> None:
    run(make, "one.key")
    encrypt(monkeypatch, "one.key")
    monkeypatch.delenv("FHIRSERVER_STORE", raising=False)  # files alone are backed up here
    asyncio.run(fill())
    assert run(backup, "kept").exit_code == 0
    found = b"".join(path.read_bytes() for path in Path("kept").rglob("*") if path.is_file())
    assert b"quill" not in found.lower()
    verified = run(backup, "verify", "kept")
    assert verified.exit_code == 0, verified.output
    run(make, "two.key")
    monkeypatch.setenv("FHIRSERVER_ENCRYPTION_KEY", "file:two.key")
    assert "wrapped by the master key" in run(backup, "verify", "kept").output


def test_without_encryption_there_are_no_keys() -> None:
    refused = run(status)
    assert refused.exit_code == 2
    assert "Encryption is off" in refused.output


def test_encryption_needs_a_master_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FHIRSERVER_ENCRYPTION", "on")
    refused = run(status)
    assert refused.exit_code == 2
    assert "encryption needs a master key" in refused.output


def test_a_master_key_is_not_overwritten() -> None:
    run(make, "one.key")
    key = Path("one.key").read_bytes()
    assert run(make, "one.key").exit_code == 2
    assert Path("one.key").read_bytes() == key
