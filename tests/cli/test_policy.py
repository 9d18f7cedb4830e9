"""`fhirserver policy`, as commands, and what `check` says of policies."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from fhirserver.access.authority import POLICIES
from fhirserver.app import whole_store
from fhirserver.cli.audit import verify
from fhirserver.cli.check import check
from fhirserver.cli.commands import _group
from fhirserver.cli.policy import COMMANDS
from fhirserver.model.json import Resource, decode
from fhirserver.settings.reading import read

OWN = """role = "nurse"
title = "Nurse of this house"
[[rule]]
types = ["Patient"]
letters = "rs"
"""


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")


def run(*arguments: str) -> Result:
    app = _group("x", {"policy": dict(COMMANDS), "check": check, "verify": verify})
    assert isinstance(app, typer.Typer)
    return CliRunner().invoke(app, list(arguments))


def written(text: str, name: str = "own.toml") -> str:
    Path(name).write_text(text)
    return name


async def trail() -> list[Resource]:
    async with whole_store(read()) as store:
        found = [decode(item.body or b"") async for item in store.scan("AuditEvent")]
    changes = [item for item in found if item["subtype"][0]["code"] == "110129"]
    return sorted(changes, key=lambda item: item["id"])


async def kept() -> list[str]:
    async with whole_store(read()) as store:
        return [item.key for item in await store.records.list(POLICIES)]


def test_a_policy_is_shown_changed_and_put_back() -> None:
    shown = run("policy", "show", "nurse")
    assert shown.exit_code == 0, shown.output
    assert 'title = "Nurse"' in shown.output
    assert "nurse            packaged  Nurse" in run("policy", "list").output
    changed = run("policy", "set", "nurse", written(OWN))
    assert changed.exit_code == 0, changed.output
    assert run("policy", "show", "nurse").output == OWN
    assert "nurse            own       Nurse of this house" in run("policy", "list").output
    assert run("policy", "check").exit_code == 0
    assert run("policy", "reset", "nurse").exit_code == 0
    assert run("policy", "show", "nurse").output == shown.output
    events = asyncio.run(trail())
    told = [item["valueString"] for event in events for item in event["entity"][-1]["detail"]]
    assert told == ["command", "policy of nurse set", "command", "policy of nurse reset"]
    assert all(event["agent"][-1]["altId"].startswith("os:") for event in events)
    assert "The trail is whole" in run("verify").output


@pytest.mark.parametrize(
    ("role", "text", "why"),
    [
        ("nurse", "role = ", "This is no policy"),
        ("nurse", OWN.replace("Patient", "Patent"), "there is no type Patent"),
        ("nurse", OWN + 'where = ["colour=red"]\n', "Patient has no parameter 'colour'"),
        ("nurse", OWN.replace('"rs"', '"rx"'), "letters are some of"),
        ("doctor", OWN, "the policy of 'nurse', not of 'doctor'"),
        ("admin", OWN.replace("nurse", "admin"), "no role administers"),
    ],
)
def test_what_is_no_policy_is_refused(role: str, text: str, why: str) -> None:
    result = run("policy", "set", role, written(text))
    assert result.exit_code != 0
    assert why in result.output
    assert asyncio.run(kept()) == []
    assert asyncio.run(trail()) == []


def test_what_is_not_there() -> None:
    assert "There is no policy of 'pilot'" in run("policy", "show", "pilot").output
    assert "no policy of its own for nurse" in run("policy", "reset", "nurse").output
    assert "cannot be read" in run("policy", "set", "nurse", "nowhere.toml").output


def test_a_new_role() -> None:
    text = OWN.replace("nurse", "porter")
    assert run("policy", "set", "porter", written(text)).exit_code == 0
    assert "porter" in run("policy", "list").output


async def _put(role: str, text: str) -> None:
    async with whole_store(read()) as store:
        await store.records.put(POLICIES, role, text.encode())


def test_what_went_wrong_later_is_found_by_check() -> None:
    asyncio.run(_put("nurse", OWN.replace("Patient", "Patent")))
    found = run("policy", "check")
    assert found.exit_code == 1
    assert "nurse: there is no type Patent" in found.output
    whole = run("check")
    assert "policies: nurse: there is no type Patent" in whole.output
    assert "policies of the tenant's own: nurse" in whole.output
    assert whole.exit_code == 1
