"""`fhirserver package install`, `list` and `remove`, as commands."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from fhirserver.cli.package import install, list_packages, remove

MANIFEST = {
    "name": "example.colours",
    "version": "1.0.0",
    "title": "Colours",
    "fhirVersions": ["4.0.1"],
    "dependencies": {"hl7.fhir.r4.core": "4.0.1", "example.shapes": "2.0.0"},
}
SYSTEM = {
    "resourceType": "CodeSystem",
    "id": "colours",
    "url": "http://example.org/colours",
    "status": "active",
    "content": "complete",
    "concept": [{"code": "red"}],
}
GENDER = {
    "resourceType": "SearchParameter",
    "id": "gender",
    "url": "http://example.org/gender",
    "name": "gender",
    "status": "active",
    "description": "Another meaning of a standard code.",
    "code": "gender",
    "base": ["Patient"],
    "type": "token",
    "expression": "Patient.maritalStatus",
}


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(command: Any, *arguments: str) -> Result:
    app = typer.Typer()
    app.command()(command)
    return CliRunner().invoke(app, list(arguments))


def packed(*resources: dict[str, Any], **manifest: Any) -> str:
    files = {"package.json": MANIFEST | manifest}
    files |= {f"{item['resourceType']}-{item['id']}.json": item for item in resources}
    with tarfile.open("p.tgz", "w:gz") as archive:
        for name, content in files.items():
            data = json.dumps(content).encode()
            info = tarfile.TarInfo(f"package/{name}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return "p.tgz"


def test_a_package_comes_and_goes() -> None:
    assert run(list_packages).output == "No package is installed.\n"
    found = run(install, packed(SYSTEM, GENDER))
    assert found.exit_code == 0, found.output
    first, *rest = found.output.splitlines()
    assert first == "example.colours#1.0.0: 1 definitions installed."
    assert rest[0].startswith("  left out SearchParameter/gender: Patient has a search parameter")
    assert rest[1:] == ["  needs example.shapes#2.0.0, which is not installed."]
    assert run(list_packages).output == "example.colours#1.0.0  1 definitions  Colours\n"
    assert run(remove, "example.colours#1.0.0").output == "example.colours#1.0.0 is removed.\n"
    assert run(list_packages).output == "No package is installed.\n"


def test_a_folder_is_installed_as_its_archive() -> None:
    folder = Path("unpacked/package")
    folder.mkdir(parents=True)
    (folder / "package.json").write_text(json.dumps(MANIFEST))
    (folder / "CodeSystem-colours.json").write_text(json.dumps(SYSTEM))
    assert run(install, "unpacked").exit_code == 0
    assert "1 definitions" in run(list_packages).output


@pytest.mark.parametrize(
    ("path", "text"), [("none.tgz", "There is no file"), ("bad.tgz", "no .tgz that can be read")]
)
def test_what_is_no_package_is_refused(path: str, text: str) -> None:
    Path("bad.tgz").write_bytes(b"no archive")
    found = run(install, path)
    assert found.exit_code == 2
    assert text in found.output
    assert "Traceback" not in found.output


def test_a_broken_definition_leaves_nothing() -> None:
    found = run(install, packed(SYSTEM, SYSTEM | {"id": "broken", "unknown": 1}))
    assert found.exit_code == 2
    assert "CodeSystem" in found.output
    assert run(list_packages).output == "No package is installed.\n"


def test_what_is_not_there_cannot_be_removed() -> None:
    found = run(remove, "example.colours")
    assert found.exit_code == 2
    assert "is not installed" in found.output
