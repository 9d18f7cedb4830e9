"""`fhirserver audit`, and what other commands record."""

from __future__ import annotations

import asyncio
import csv
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from fhirserver.access.grant import Grant
from fhirserver.access.principal import Principal
from fhirserver.app import whole_store
from fhirserver.app.running import Running
from fhirserver.app.stores import open_store
from fhirserver.audit.recorder import Origin
from fhirserver.cli.audit import verify, who_saw
from fhirserver.cli.breach import breach
from fhirserver.cli.export import export
from fhirserver.cli.load import load
from fhirserver.interactions.request import Request
from fhirserver.model.json import Resource, decode
from fhirserver.settings import Settings

BASE = "http://example.org/fhir"
DOCTOR = Principal(
    "account-1", "default", ("doctor",), "Practitioner/d1", client="chart", name="Dr. Example"
)


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")


def run(command: Any, *arguments: str) -> Result:
    app = typer.Typer()
    app.command()(command)
    return CliRunner().invoke(app, list(arguments))


async def used() -> None:
    """A doctor reads one patient's record, and looks for what both have."""
    settings = Settings(data=Path("one"), audit="on", auth="none")
    running = Running(settings, await open_store(settings))
    grant = Grant("account-1", unrestricted=True, principal=DOCTOR)

    async def ask(interaction: str, type: str, **more: Any) -> None:
        origin = Origin("192.0.2.7", "example.org", "req-1")
        await running.dispatch(Request(interaction, BASE, type, grant=grant, origin=origin, **more))

    for id in ("p1", "p2"):
        await ask("update", "Patient", id=id, resource={"resourceType": "Patient", "id": id})
    await ask("read", "Patient", id="p1")
    await ask("search-type", "Patient")
    await running.close()


def events(folder: str) -> list[Resource]:
    async def asked() -> list[Resource]:
        async with whole_store(Settings(data=Path(folder))) as store:
            found = [item async for item in store.scan("AuditEvent")]
            return [decode(item.body or b"") for item in found]

    return asyncio.run(asked())


@pytest.mark.check("AUD-7")
def test_a_whole_trail_is_told_to_be_whole() -> None:
    asyncio.run(used())
    result = run(verify, "--data", "one")
    assert result.exit_code == 0
    assert "The trail is whole: 9 events in 1 lanes." in result.output


@pytest.mark.check("AUD-7")
def test_what_was_done_to_the_database_is_told() -> None:
    asyncio.run(used())
    with sqlite3.connect("one/fhir.db") as database:
        (tid,) = database.execute("SELECT tid FROM type WHERE name='AuditEvent'").fetchone()
        database.execute(
            "UPDATE version SET body=CAST(replace(CAST(body AS TEXT), '192.0.2.7', '192.0.2.8') "
            "AS BLOB) WHERE rid=(SELECT rid FROM resource WHERE tid=? AND id=?)",
            (tid, "000001-0000000003"),
        )
        database.execute(
            "DELETE FROM version WHERE rid=(SELECT rid FROM resource WHERE tid=? AND id=?)",
            (tid, "000001-0000000005"),
        )
    result = run(verify, "--data", "one")
    assert result.exit_code == 1
    assert "000001-0000000003 was altered" in result.output
    assert "000001-0000000005 was removed" in result.output
    assert "NOT whole" in result.output


def test_an_empty_folder_has_no_trail() -> None:
    assert run(verify, "--data", "nothing").exit_code == 2
    assert run(who_saw, "p1", "--data", "nothing").exit_code == 2
    assert run(who_saw, "--data", "nothing").exit_code == 2


@pytest.mark.check("OPS-8")
def test_who_saw_a_record() -> None:
    asyncio.run(used())
    result = run(who_saw, "Patient/p1", "--data", "one", "--csv", "list.csv")
    assert result.exit_code == 0, result.output
    with Path("list.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["action"], row["classes"], row["outcome"]) for row in rows] == [
        ("create", "Patient", "success"),
        ("read", "Patient", "success"),
        ("search-type", "Patient 1", "success"),
        ("who-saw", "", "success"),
    ]
    assert {row["who"] for row in rows[:3]} == {"Practitioner/d1 (Dr. Example)"}
    assert {row["client"] for row in rows[:3]} == {"chart"}
    assert {row["address"] for row in rows[:3]} == {"192.0.2.7"}
    assert rows[3]["who"].startswith("os:")
    assert Path("list.csv").stat().st_mode & 0o077 == 0


@pytest.mark.check("OPS-8")
def test_whose_records_somebody_saw() -> None:
    asyncio.run(used())
    result = run(who_saw, "--by", "Practitioner/d1", "--since", "2020", "--data", "one")
    assert result.exit_code == 0, result.output
    assert "5 accesses by 1 to 2 patients" in result.output
    later = run(who_saw, "--by", "Practitioner/d1", "--since", "2999", "--data", "one")
    assert "0 accesses" in later.output


def test_a_command_is_recorded_as_a_whole() -> None:
    lines = [json.dumps({"resourceType": "Patient", "id": f"p{n}"}) for n in range(20)]
    Path("Patient.ndjson").write_text("\n".join(lines))
    assert run(load, "Patient.ndjson", "--data", "one").exit_code == 0
    assert run(export, "out", "--data", "one").exit_code == 0
    told = [
        {item["type"]: item["valueString"] for item in event["entity"][-1]["detail"]}
        for event in events("one")
        if "entity" in event
    ]
    assert sorted(told, key=str) == sorted(
        [
            {"state": "begun"},
            {"state": "ended", "Patient": "20"},
            {"state": "begun"},
            {"state": "ended", "versions": "24"},
        ],
        key=str,
    )
    result = run(load, "out", "--data", "other")
    assert result.exit_code == 0, result.output
    assert "4 AuditEvents passed over" in result.output
    assert run(verify, "--data", "one").exit_code == 0
    assert run(verify, "--data", "other").exit_code == 0


@pytest.mark.check("OPS-8")
def test_a_breach_is_counted_and_its_notices_are_kept() -> None:
    asyncio.run(used())
    asked = ("--discovered", "2026-11-20T08:00Z", "--by", "Practitioner/d1", "--data", "one")
    result = run(breach, *asked, "--others", "600", "--keep", "laptop")
    assert result.exit_code == 0, result.output
    assert "602 people are concerned, 5 accesses" in result.output
    assert "Kinds of data: Patient" in result.output
    assert "The store is not encrypted" in result.output
    assert "2026-11-23 08:00 UTC  supervisory authority" in result.output
    assert "2027-01-19 08:00 UTC  Secretary of HHS" in result.output
    assert run(breach, *asked, "--keep", "laptop").exit_code == 0  # fewer, as it turns out

    async def tasks() -> list[Resource]:
        async with whole_store(Settings(data=Path("one"))) as store:
            return [decode(one.body or b"") async for one in store.scan("Task")]

    found = {one["description"]: one["restriction"]["period"] for one in asyncio.run(tasks())}
    assert len(found) == 3
    assert all(text.endswith("People concerned: 2.") for text in found)
    assert {"start": "2026-11-20T08:00:00Z", "end": "2026-11-23T08:00:00Z"} in found.values()
    assert run(breach, "--discovered", "2026-11-20", "--data", "one").exit_code == 2
    assert run(breach, "--discovered", "soon", "--by", "x", "--data", "one").exit_code == 2
