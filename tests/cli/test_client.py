"""`fhirserver client` and `fhirserver keys signing`, as commands."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import typer
from click.testing import Result
from joserfc.jwk import RSAKey
from typer.testing import CliRunner

from fhirserver.cli.client import COMMANDS
from fhirserver.cli.commands import _group
from fhirserver.cli.signing_keys import list_signing_keys, rotate_signing_key

RSA = RSAKey.generate_key(2048, parameters={"kid": "k"})


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> Result:
    app = _group("x", {"client": dict(COMMANDS)})
    app.add_typer(
        _group("x", {"signing": {"list": list_signing_keys, "rotate": rotate_signing_key}}),
        name="keys",
    )
    assert isinstance(app, typer.Typer)
    return CliRunner().invoke(app, list(arguments))


def id_of(result: Result) -> str:
    assert result.exit_code == 0, result.output
    found = re.search(r"client_id +(\S+)", result.output)
    assert found
    assert found[1].isalnum()  # a dash at its head would be an option of the other commands
    return found[1]


def test_codes_under_which_an_app_keeps_state() -> None:
    id = id_of(run("client", "add", "My app", "--redirect-uri", "https://a.test/cb"))
    assert "no state" in run("client", "app-state", id).output
    told = run("client", "app-state", id, "https://a.test/c|preferences")
    assert told.exit_code == 0
    every = "of Patient, Practitioner, RelatedPerson, nobody"
    assert told.output == f"https://a.test/c|preferences  {every}\n"
    given = ("--subject", "Patient", "--subject", "nobody", "--read-only")
    run("client", "app-state", id, "https://a.test/c|shared", *given)
    shared = "https://a.test/c|shared  of Patient, nobody  read only"
    assert run("client", "app-state", id).output.splitlines() == [told.output.strip(), shared]
    assert shared in run("client", "show", id).output
    run("client", "app-state", id, "https://a.test/c|preferences", "--read-only")
    run("client", "app-state", id, "https://a.test/c|shared", "--remove")
    left = run("client", "app-state", id).output
    assert left == f"https://a.test/c|preferences  {every}  read only\n"
    for wrong in (
        ("app-state", id, "preferences"),
        ("app-state", id, "https://a.test/c|"),
        ("app-state", id, "https://a.test/c|x", "--subject", "Device"),
        ("app-state", id, "https://a.test/c|x", "--remove"),
        ("app-state", "nobody", "https://a.test/c|x"),
    ):
        assert run("client", *wrong).exit_code == 2, wrong
    assert run("client", "app-state", id).output == left


def test_an_app_from_registration_to_removal() -> None:
    added = run(
        "client", "add", "My app", "--kind", "symmetric", "--redirect-uri", "https://a.test/cb"
    )
    id = id_of(added)
    secret = re.search(r"client_secret +(\S+)", added.output)
    assert secret
    assert len(secret[1]) >= 43
    assert f"{id}  symmetric   My app" in run("client", "list").output
    shown = run("client", "show", id).output
    assert "https://a.test/cb" in shown
    assert secret[1] not in shown
    assert run("client", "suspend", id).exit_code == 0
    assert "suspended" in run("client", "list").output
    assert run("client", "resume", id).exit_code == 0
    assert "suspended" not in run("client", "list").output
    assert run("client", "remove", id, "--yes").exit_code == 0
    assert "no client" in run("client", "list").output
    for command in ("show", "suspend", "resume"):
        assert run("client", command, id).exit_code == 2


def test_a_system(tmp_path: Path) -> None:
    keys = tmp_path / "jwks.json"
    keys.write_text(json.dumps({"keys": [RSA.as_dict(private=False)]}))
    usual = ["client", "add", "Batch", "--kind", "asymmetric", "--system"]
    given = [*usual, "--role", "doctor", "--scope", "system/*.rs", "--jwks", str(keys)]
    shown = run("client", "show", id_of(run(*given))).output
    assert "client_credentials" in shown
    assert "1 by value" in shown
    assert "doctor" in shown


PRIVATE = {"keys": [RSA.as_dict(private=True)]}
REFUSED: dict[str, list[str]] = {
    "no-redirect": [],
    "kind": ["--kind", "secret"],
    "http": ["--redirect-uri", "http://a.test/cb"],
    "fragment": ["--redirect-uri", "https://a.test/cb#x"],
    "user": ["--redirect-uri", "https://u:p@a.test/cb"],
    "script": ["--redirect-uri", "javascript:alert(1)"],
    "no-keys": ["--redirect-uri", "https://a.test/cb", "--kind", "asymmetric"],
    "two-keys": [
        *("--redirect-uri", "https://a.test/cb", "--kind", "asymmetric"),
        *("--jwks", "private.json", "--jwks-uri", "https://a.test/jwks"),
    ],
    "private-keys": [
        *("--redirect-uri", "https://a.test/cb", "--kind", "asymmetric"),
        *("--jwks", "private.json"),
    ],
    "scope": ["--redirect-uri", "https://a.test/cb", "--scope", "patient/Observation.dus"],
    "system-without-role": ["--system", "--scope", "system/*.rs"],
    "system-with-secret": ["--system", "--role", "doctor", "--scope", "system/*.rs"],
}


@pytest.mark.check("SEC-2")
@pytest.mark.parametrize("arguments", REFUSED.values(), ids=REFUSED)
def test_clients_that_cannot_be(arguments: list[str]) -> None:
    Path("private.json").write_text(json.dumps(PRIVATE))
    result = run("client", "add", "App", *arguments)
    assert result.exit_code == 2, result.output
    assert "no client" in run("client", "list").output


def kids(result: Any) -> list[str]:
    assert result.exit_code == 0, result.output
    return [line.split()[0] for line in result.output.splitlines()]


def test_signing_keys() -> None:
    (first,) = kids(run("keys", "signing", "list"))
    (second,) = kids(run("keys", "signing", "rotate"))
    assert kids(run("keys", "signing", "list")) == [first, second]
    (third,) = kids(run("keys", "signing", "rotate", "--at-once"))
    assert kids(run("keys", "signing", "list")) == [third]
