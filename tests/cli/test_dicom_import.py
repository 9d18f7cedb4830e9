"""`fhirserver dicom import` and `fhirserver dicom peers`, as commands."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import pytest
from click.testing import Result
from pydicom.data import get_testdata_file
from typer.testing import CliRunner

from fhirserver.access.grant import OPEN
from fhirserver.app import open_gate, open_peers, whole_store
from fhirserver.cli.commands import _group
from fhirserver.cli.dicom_import import import_
from fhirserver.cli.peers import COMMANDS
from fhirserver.interactions.request import Request
from fhirserver.model.json import Resource, decode
from fhirserver.settings.reading import read
from fhirserver.store.port import LogQuery


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "files").mkdir()
    shutil.copy(str(get_testdata_file("CT_small.dcm")), tmp_path / "files" / "1.dcm")
    (tmp_path / "files" / "notes.txt").write_text("nothing")


def run(*arguments: str) -> Result:
    app = _group("x", {"import": import_, "peers": {**COMMANDS}})
    return CliRunner().invoke(app, list(arguments))


def found(type: str) -> list[Resource]:
    async def search() -> list[Resource]:
        async with open_gate(read(auth="none")) as dispatch:
            request = Request("search-type", "http://x/fhir", type, grant=OPEN)
            bundle = decode((await dispatch(request)).body or b"{}")
            return [entry["resource"] for entry in bundle.get("entry", ())]

    return asyncio.run(search())


def test_a_folder_is_imported_and_its_study_is_there() -> None:
    result = run("import", "files", "--report", "report")
    assert result.exit_code == 1  # notes.txt
    assert "1 instances of 1 studies stored" in result.stderr
    (line,) = Path("report").read_text().splitlines()
    assert json.loads(line)["file"].endswith("notes.txt")
    (study,) = found("ImagingStudy")
    assert study["numberOfInstances"] == 1


def test_it_goes_on_and_can_begin_again() -> None:
    run("import", "files")
    assert "1 files were there already" in run("import", "files").stderr
    assert "1 files were there already" in run("import", "files", "--again").stderr
    assert len(found("ImagingStudy")) == 1


def test_a_folder_that_is_not_there() -> None:
    result = run("import", "nowhere")
    assert result.exit_code == 2
    assert "There is no nowhere." in result.stderr


def test_peers() -> None:
    settings = ["--from", "10.0.0.0/8", "--may", "echo store", "--may", "find"]
    assert run("peers", "add", "CT1", *settings, "--issuer", "HOSP").exit_code == 0
    assert run("peers", "list").stdout.split() == [
        "CT1",
        "echo",
        "store",
        "find",
        "from",
        "10.0.0.0/8",
    ]
    assert run("peers", "add", "CT1").exit_code == 2
    assert run("peers", "suspend", "CT1").exit_code == 0
    assert run("peers", "list").stdout.split()[-1] == "suspended"
    assert run("peers", "resume", "CT1").exit_code == 0

    async def issuer() -> str | None:
        async with open_peers(read(auth="none")) as (peers, _):
            peer = await peers.get("CT1")
            return peer.issuer if peer else None

    assert asyncio.run(issuer()) == "HOSP"
    assert run("peers", "remove", "CT1").exit_code == 0
    assert run("peers", "remove", "CT1").exit_code == 2
    assert run("peers", "list").stdout == "There is no peer.\n"


def test_a_service_that_there_is_not_is_refused() -> None:
    result = run("peers", "add", "CT1", "--may", "print")
    assert result.exit_code == 2
    assert "print" in result.stderr


def test_changes_of_peers_are_on_record() -> None:
    run("peers", "add", "CT1")
    run("peers", "remove", "CT1")

    async def kinds() -> list[str]:
        async with whole_store(read(auth="none")) as store:
            return [
                decode(version.body or b"{}")["subtype"][0]["code"]
                async for version in store.log(LogQuery(("AuditEvent",)))
            ]

    assert {"peer-added", "peer-removed"} <= set(asyncio.run(kinds()))
