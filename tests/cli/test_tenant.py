"""`fhirserver tenant`, and `--tenant` of other commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from fhirserver.app import removal
from fhirserver.cli import tenant, user
from fhirserver.cli.audit import verify
from fhirserver.cli.backup import backup, restore
from fhirserver.cli.check import check
from fhirserver.cli.export import export
from fhirserver.cli.load import load


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FHIRSERVER_AUTH", "none")
    monkeypatch.setattr(removal, "_NOTICED", 0.0)


def run(command: Any, *arguments: str, told: str | None = None) -> Result:
    app = typer.Typer()
    app.command()(command)
    return CliRunner().invoke(app, list(arguments), input=told)


def done(command: Any, *arguments: str) -> str:
    result = run(command, *arguments)
    assert result.exit_code == 0, result.output
    return result.output


def refused(command: Any, *arguments: str, told: str | None = None) -> str:
    result = run(command, *arguments, told=told)
    assert result.exit_code == 2, result.output
    return result.output


def test_the_life_of_a_tenant() -> None:
    assert "no tenant" in done(tenant.list_tenants)
    assert "/t/north/fhir" in done(tenant.create, "north", "--title", "North Clinic")
    assert "given before" in refused(tenant.create, "north")
    assert done(tenant.list_tenants) == "north  active  North Clinic\n"
    done(tenant.suspend, "north")
    done(tenant.suspend, "north")
    assert "suspended" in done(tenant.list_tenants)
    done(tenant.resume, "north")
    Path("p.json").write_text(json.dumps({"resourceType": "Patient", "id": "a"}))
    done(load, "p.json", "--tenant", "north")
    assert "1 versions" in done(tenant.export_all, "north", "out")
    done(export, "plain", "--tenant", "north")
    assert Path("plain/Patient.ndjson").exists()
    done(export, "default")
    assert not Path("default/Patient.ndjson").exists()
    assert "1 resources" in done(check, "--tenant", "north")
    folder = Path("fhirserver-data/tenants/north")
    assert (folder / "fhir.db").exists()
    assert "another name" in refused(tenant.delete, "north", told="nort\n")
    assert "another name" in refused(tenant.delete, "north", "--confirm", "nort")
    assert folder.exists()
    assert run(tenant.delete, "north", told="north\n").exit_code == 0
    assert not folder.exists()
    assert "no tenant" in done(tenant.list_tenants)
    assert "no tenant" in refused(export, "again", "--tenant", "north")
    assert "given before" in refused(tenant.create, "north")


def test_the_first_administrator_of_a_tenant(monkeypatch: pytest.MonkeyPatch) -> None:
    """With authorization; each tenant's is its own, and recorded in its own trail."""
    monkeypatch.setenv("FHIRSERVER_AUTH", "smart")
    told = [done(tenant.create, name) for name in ("north", "south")]
    words = []
    for output in told:
        assert "Administrator  admin\n" in output
        words.append(output.partition("One-time password  ")[2].split()[0])
    assert len(set(words)) == 2
    for name in ("north", "south"):
        shown = done(user.show, "admin", "--tenant", name)
        assert "roles:          admin" in shown
        assert "one-time" in shown
        done(export, name, "--tenant", name, "--type", "AuditEvent")
        assert "identity.account/" in Path(name, "AuditEvent.ndjson").read_text()
    assert "no account with the name" in refused(user.show, "admin")  # that is the server's own
    done(user.lock, "admin", "--tenant", "north")
    assert "locked" in done(user.show, "admin", "--tenant", "north")
    assert "active" in done(user.show, "admin", "--tenant", "south")


def test_settings_of_a_tenant() -> None:
    done(tenant.create, "north", "--set", "validation=warn")
    assert done(tenant.configure, "north") == "validation = warn\n"
    done(tenant.configure, "north", "--set", "page_size=10", "--set", "cors_origins=https://a.b")
    told = done(tenant.configure, "north", "--set", "validation=")
    assert told == "cors_origins = ['https://a.b']\npage_size = 10\n"
    assert "larger than" in refused(tenant.configure, "north", "--set", "max_page_size=5")
    assert "no value of its own" in refused(tenant.configure, "north", "--set", "auth=none")
    assert "NAME=VALUE" in refused(tenant.configure, "north", "--set", "validation")
    assert done(tenant.configure, "north") == told


def test_a_tenant_that_is_not_there() -> None:
    for command in (tenant.suspend, tenant.resume, tenant.configure):
        assert "no tenant 'north'" in refused(command, "north")
    assert "no tenant 'north'" in refused(tenant.delete, "north", "--confirm", "north")
    assert "no tenant 'north'" in refused(load, "x.json", "--tenant", "north")
    assert "lower-case" in refused(tenant.create, "North")
    assert not Path("fhirserver-data/tenants").exists()


def test_what_an_operator_does_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FHIRSERVER_AUDIT", "on")
    done(tenant.create, "north")
    done(tenant.suspend, "north")
    done(tenant.delete, "north", "--confirm", "north")
    done(backup, "kept", "--keys", "keys")
    done(restore, "kept", "--data", "there", "--keys", "keys")
    assert "is whole" in done(verify, "--data", "there")
    done(export, "out", "--data", "there", "--type", "AuditEvent")
    told = Path("out/AuditEvent.ndjson").read_text()
    for text in ("tenant/north", "created", "suspended", "deleted", '"backup"', '"restore"'):
        assert text in told, text
