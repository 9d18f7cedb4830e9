"""`fhirserver backup`, `backup verify` and `restore`, as commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from fhirserver.app.backing import NOT_OF_MONGODB
from fhirserver.cli import tenant
from fhirserver.cli.backup import backup, restore
from fhirserver.cli.export import export
from fhirserver.cli.load import load


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server with a patient, and a tenant with another."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FHIRSERVER_AUTH", "none")
    for id in "ab":
        Path(f"{id}.json").write_text(json.dumps({"resourceType": "Patient", "id": id}))
    done(tenant.create, "north")
    done(load, "a.json")
    done(load, "b.json", "--tenant", "north")


def run(command: Any, *arguments: str) -> Result:
    app = typer.Typer()
    app.command()(command)
    return CliRunner().invoke(app, list(arguments))


def done(command: Any, *arguments: str) -> str:
    result = run(command, *arguments)
    assert result.exit_code == 0, result.output
    return result.output


def refused(command: Any, *arguments: str) -> str:
    result = run(command, *arguments)
    assert result.exit_code == 2, result.output
    return result.output


def test_there_and_back() -> None:
    Path("word").write_text("a long passphrase\n")
    told = done(backup, "kept", "--keys", "kept.keys", "--passphrase", "word")
    assert "2 resources of 2 stores" in told
    assert "sealed by the passphrase" in told
    told = done(backup, "verify", "kept", "--keys", "kept.keys", "--passphrase", "word")
    assert "ok     north: 1 resources, 1 versions" in told
    assert "RPO" in told
    assert "RTO" in told
    assert "is sealed" in refused(restore, "kept", "--keys", "kept.keys", "--data", "there")
    sealed = ("--keys", "kept.keys", "--passphrase", "word")
    assert "2 resources of 2 stores" in done(restore, "kept", "--data", "there", *sealed)
    for name in ("sealing.key", "tenants/north/sealing.key"):
        assert Path("there", name).read_bytes() == Path("fhirserver-data", name).read_bytes()
    done(export, "out", "--data", "there", "--tenant", "north")
    assert '"id":"b"' in Path("out/Patient.ndjson").read_text()
    assert "not empty" in refused(restore, "kept", "--data", "there")


def test_keys_are_not_put_in_the_clear_beside_the_data() -> None:
    assert "beside the data" in refused(backup, "kept", "--keys", "kept/keys")
    assert not Path("kept").exists()
    assert "not in it" in done(backup, "kept")
    assert "Keys that are not there" in done(restore, "kept", "--data", "there")
    assert not list(Path("there").rglob("*.key"))
    done(backup, "other", "--keys", "other.keys")
    assert Path("other.keys").stat().st_mode & 0o077 == 0
    assert "is there already" in refused(backup, "third", "--keys", "other.keys")
    Path("empty").touch()
    assert "is empty" in refused(backup, "third", "--keys", "k", "--passphrase", "empty")
    assert not Path("third").exists()


def test_what_is_wrong_is_told() -> None:
    done(backup, "kept")
    store = Path("kept/stores/north/fhir.db")
    store.write_bytes(store.read_bytes()[:-4096])
    assert "is not as it was written" in refused(backup, "verify", "kept")
    assert "is not as it was written" in refused(restore, "kept", "--data", "there")
    assert "no backup" in refused(backup, "verify", "fhirserver-data")
    assert "not empty" in refused(backup, "kept")
    assert "Name one folder" in refused(backup, "a", "b")
    assert "nothing is stored yet" in refused(backup, "new", "--data", "absent")


def test_on_mongodb_its_own_tools_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FHIRSERVER_STORE", "mongodb://127.0.0.1:1/fhir")
    assert refused(backup, "kept").strip() == NOT_OF_MONGODB
    assert not Path("kept").exists()
