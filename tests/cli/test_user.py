"""`fhirserver user`, as commands; and the first administrator."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import bcrypt
import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from fhirserver.app import open_identity
from fhirserver.cli.user import COMMANDS, tell_first
from fhirserver.identity.sign_in import Passed, Refused, Visitor
from fhirserver.settings.reading import read

HERE = Visitor(address="127.0.0.1", origin="http://localhost:8080", visit="visit")


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(command: str, *arguments: str) -> Result:
    app = typer.Typer()
    for name, function in COMMANDS.items():
        app.command(name)(function)
    return CliRunner().invoke(app, [command, *arguments])


def once(output: str) -> str:
    found = re.search(r"^One-time password  (\S+)$", output, re.MULTILINE)
    assert found
    return found[1]


def enters(name: str, password: str) -> Passed | Refused:
    async def work() -> Passed | Refused:
        async with open_identity(read()) as (identity, _):
            return await identity.sign_in.by_password(name, password, HERE)

    return asyncio.run(work())


def test_an_account_from_its_beginning_to_its_end() -> None:
    assert run("list").output == "There is no account.\n"
    added = run("add", "Anna", "--role", "nurse", "--role", "doctor", "--person", "Practitioner/7")
    assert added.exit_code == 0, added.output
    assert added.output.startswith("anna was added (doctor, nurse).\n")
    assert isinstance(enters("anna", once(added.output)), Passed)
    assert run("list").output == "anna  active  doctor, nurse  Practitioner/7\n"
    shown = run("show", "anna").output
    assert "one-time, until" in shown
    assert "second step:    none" in shown

    assert run("lock", "anna").output == "anna is locked.\n"
    assert isinstance(enters("anna", once(added.output)), Refused)
    assert "locked" in run("show", "anna").output
    run("unlock", "anna")
    assert run("roles", "anna", "support").output == "anna: support.\n"
    assert run("roles", "anna").output == "anna: no role.\n"
    given = once(run("password", "anna").output)
    assert isinstance(enters("anna", once(added.output)), Refused)
    assert isinstance(enters("anna", given), Passed)
    assert run("reset", "anna").exit_code == 0
    assert run("link", "anna", "https://id.example.org", "4711").exit_code == 0
    assert "4711 of https://id.example.org" in run("show", "anna").output
    run("link", "anna", "https://id.example.org", "4711", "--remove")
    assert "4711" not in run("show", "anna").output

    assert run("remove", "anna").exit_code == 1
    assert run("remove", "anna", "--yes").output == "anna was removed.\n"
    assert run("list").output == "There is no account.\n"
    assert run("add", "anna").exit_code == 0


def test_an_account_of_another_system_keeps_its_password() -> None:
    stored = bcrypt.hashpw(b"Weather-Vane 42", bcrypt.gensalt(4)).decode()
    added = run("add", "anna", "--password-hash", stored)
    assert "One-time" not in added.output
    assert isinstance(enters("anna", "Weather-Vane 42"), Passed)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("add", "anna", "--role", "king"), "'king' is no role"),
        (("add", "anna", "--person", "Device/1"), "no account's person"),
        (("add", "a name"), "letters, digits"),
        (("add", "anna", "--password-hash", "secret"), "argon2id"),
        (("show", "nobody"), "There is no account with the name 'nobody'"),
        (("add", "taken"), "There is an account with the name 'taken'"),
    ],
    ids=["role", "person", "name", "hash", "nobody", "taken"],
)
def test_what_does_not_fit_is_told(arguments: tuple[str, ...], told: str) -> None:
    run("add", "taken")
    found = run(*arguments)
    assert found.exit_code == 2
    assert told in found.output
    assert run("list").output.count("\n") == 1


def test_the_first_start_makes_an_administrator(capsys: pytest.CaptureFixture[str]) -> None:
    tell_first(read())
    told = capsys.readouterr().out
    assert told.startswith("Administrator  admin\n")
    found = enters("admin", once(told))
    assert isinstance(found, Passed)
    assert found.account.roles == ("admin",)
    assert found.stage == "password"
    tell_first(read())
    assert capsys.readouterr().out == ""


def test_the_key_of_accounts_is_its_owners_alone() -> None:
    run("list")
    key = Path("fhirserver-data/identity.key")
    assert key.stat().st_mode & 0o777 == 0o600
    key.write_bytes(b"short")
    found = run("list")
    assert found.exit_code == 2
    assert "damaged" in found.output
