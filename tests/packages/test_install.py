"""Packages: read safely, installed as a whole, removed as a whole."""

import gzip
import io
import json
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from interactions.client import Client, open_context

from fhirserver.definitions.packaged import packaged
from fhirserver.errors import FhirError, NotFound
from fhirserver.operations.table import OPERATIONS
from fhirserver.packages.archive import NotAPackage, files_of
from fhirserver.packages.install import install, installed, missing, remove
from fhirserver.packages.package import Package, package

SYSTEM = {
    "resourceType": "CodeSystem",
    "id": "colours",
    "url": "http://example.org/colours",
    "version": "1",
    "status": "active",
    "content": "complete",
    "concept": [{"code": "red", "display": "Red"}],
}
MANIFEST = {
    "name": "example.colours",
    "version": "1.0.0",
    "fhirVersions": ["4.0.1"],
    "dependencies": {"hl7.fhir.r4.core": "4.0.1", "example.shapes": "2.0.0"},
}


def tgz(path: Path, files: dict[str, Any], *, extra: tarfile.TarInfo | None = None) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        if extra is not None:
            archive.addfile(extra)
    return path


def made(path: Path, *resources: dict[str, Any], **manifest: Any) -> Package:
    files = {f"package/{r['resourceType']}-{r['id']}.json": r for r in resources}
    return package(files_of(tgz(path, {"package/package.json": MANIFEST | manifest, **files})))


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    async with open_context(tmp_path / "fhir.db") as context:
        yield Client(context, OPERATIONS)


async def test_what_is_installed_takes_effect_at_once(client: Client, tmp_path: Path) -> None:
    dispatch = client.gate.dispatch
    found = made(tmp_path / "p.tgz", SYSTEM)
    assert await install(dispatch, found, packaged()) == (1, {})
    known = await installed(dispatch)
    assert [(item.name, item.version, item.resources) for item in known] == [
        ("example.colours", "1.0.0", ("CodeSystem/colours",))
    ]
    assert missing(found, known) == ["example.shapes#2.0.0"]
    told = await client.get("CodeSystem/$lookup?system=http://example.org/colours&code=red")
    assert {"name": "display", "valueString": "Red"} in told["parameter"]


async def test_what_is_removed_is_gone(client: Client, tmp_path: Path) -> None:
    dispatch = client.gate.dispatch
    await install(dispatch, made(tmp_path / "p.tgz", SYSTEM), packaged())
    assert [item.version for item in await remove(dispatch, "example.colours")] == ["1.0.0"]
    assert await installed(dispatch) == []
    with pytest.raises(NotFound):
        await client.get("CodeSystem/$lookup?system=http://example.org/colours&code=red")
    with pytest.raises(NotFound):
        await remove(dispatch, "example.colours")


async def test_what_two_packages_have_stays_with_one(client: Client, tmp_path: Path) -> None:
    dispatch = client.gate.dispatch
    await install(dispatch, made(tmp_path / "a.tgz", SYSTEM), packaged())
    await install(dispatch, made(tmp_path / "b.tgz", SYSTEM, version="1.1.0"), packaged())
    await remove(dispatch, "example.colours", "1.0.0")
    assert (await client.get("CodeSystem/colours"))["url"] == SYSTEM["url"]


async def test_a_new_edition_leaves_nothing_of_the_old_one(client: Client, tmp_path: Path) -> None:
    dispatch = client.gate.dispatch
    other = SYSTEM | {"id": "shades", "url": "http://example.org/shades"}
    await install(dispatch, made(tmp_path / "a.tgz", SYSTEM, other), packaged())
    await install(dispatch, made(tmp_path / "b.tgz", SYSTEM), packaged())
    with pytest.raises(FhirError):
        await client.get("CodeSystem/shades")


async def test_nothing_is_half_installed(client: Client, tmp_path: Path) -> None:
    broken = SYSTEM | {"id": "broken", "url": "http://example.org/broken", "unknown": 1}
    with pytest.raises(FhirError):
        await install(client.gate.dispatch, made(tmp_path / "p.tgz", SYSTEM, broken), packaged())
    assert await installed(client.gate.dispatch) == []
    with pytest.raises(FhirError):
        await client.get("CodeSystem/colours")


async def test_a_definition_of_others_is_not_written_over(client: Client, tmp_path: Path) -> None:
    mine = SYSTEM | {"url": "http://example.org/mine"}
    await client.ask("PUT", "CodeSystem/colours", resource=mine)
    await install(client.gate.dispatch, made(tmp_path / "p.tgz", SYSTEM), packaged())
    assert (await client.get("CodeSystem/colours"))["url"] == "http://example.org/mine"
    (entry,) = (await client.get("CodeSystem?url=http://example.org/colours"))["entry"]
    assert entry["resource"]["id"].startswith("colours-")


@pytest.mark.parametrize(
    "name", ["package/../../evil.json", "/package/evil.json", "package\\x.json"]
)
def test_a_file_outside_is_refused(tmp_path: Path, name: str) -> None:
    path = tgz(tmp_path / "p.tgz", {"package/package.json": MANIFEST, name: SYSTEM})
    with pytest.raises(NotAPackage, match="outside"):
        package(files_of(path))


def test_a_link_is_refused(tmp_path: Path) -> None:
    link = tarfile.TarInfo("package/CodeSystem-x.json")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    path = tgz(tmp_path / "p.tgz", {"package/package.json": MANIFEST}, extra=link)
    with pytest.raises(NotAPackage, match="link"):
        package(files_of(path))


def test_a_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fhirserver.packages.archive.MAX_UNPACKED", 1_000_000)
    path = tgz(tmp_path / "p.tgz", {"package/x.txt": bytes(2_000_000)})
    assert path.stat().st_size < 10_000
    with pytest.raises(NotAPackage, match="unpacks to more"):
        package(files_of(path))


def test_a_bomb_in_a_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The names of an archive are read before its files are."""
    monkeypatch.setattr("fhirserver.packages.archive.MAX_FILE", 1_000_000)
    path = tgz(tmp_path / "p.tgz", {"package/package.json": MANIFEST, "x" * 2_000_000: b""})
    assert path.stat().st_size < 10_000
    with pytest.raises(NotAPackage, match="unpacks to more"):
        package(files_of(path))


@pytest.mark.parametrize(
    ("limit", "most", "why"),
    [("MAX_FILES", 1, "more than 1 files"), ("MAX_FILE", 100, "unpacks to more")],
)
def test_what_is_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, most: int, why: str
) -> None:
    path = tgz(tmp_path / "p.tgz", {"package/package.json": MANIFEST, "package/x.json": SYSTEM})
    monkeypatch.setattr(f"fhirserver.packages.archive.{limit}", most)
    with pytest.raises(NotAPackage, match=why):
        package(files_of(path))


def test_what_is_packed_too_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tgz(tmp_path / "p.tgz", {"package/package.json": MANIFEST})
    monkeypatch.setattr("fhirserver.packages.archive.MAX_PACKED", 10)
    with pytest.raises(NotAPackage, match="is larger"):
        package(files_of(path))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"no archive", "no .tgz"),
        (gzip.compress(b"no tar" * 200), "no .tgz"),
    ],
    ids=["plain", "packed"],
)
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "p.tgz"
    path.write_bytes(content)
    with pytest.raises(NotAPackage, match=why):
        package(files_of(path))


@pytest.mark.parametrize(
    ("manifest", "why"),
    [
        ({"name": "../x"}, "name in package.json"),
        ({"version": ""}, "version in package.json"),
        ({"fhirVersions": ["5.0.0"]}, "not for R4"),
        ({"dependencies": []}, None),
        ({"dependencies": ["x"]}, "dependencies"),
    ],
)
def test_manifests(tmp_path: Path, manifest: dict[str, Any], why: str | None) -> None:
    if why is None:
        assert made(tmp_path / "p.tgz", SYSTEM, **manifest).dependencies == {}
        return
    with pytest.raises(NotAPackage, match=why):
        made(tmp_path / "p.tgz", SYSTEM, **manifest)


def test_a_folder_is_read_as_its_archive(tmp_path: Path) -> None:
    folder = tmp_path / "unpacked/package"
    folder.mkdir(parents=True)
    (folder / "package.json").write_text(json.dumps(MANIFEST))
    (folder / "CodeSystem-colours.json").write_text(json.dumps(SYSTEM))
    assert package(files_of(tmp_path / "unpacked")).resources == (SYSTEM,)


def test_examples_are_left_out(tmp_path: Path) -> None:
    patient = {"resourceType": "Patient", "id": "x"}
    assert made(tmp_path / "p.tgz", SYSTEM, patient).resources == (SYSTEM,)


async def test_search_parameters_that_repeat_standard_ones_are_answered_by_these(
    client: Client, tmp_path: Path
) -> None:
    def parameter(code: str, type: str, expression: str) -> dict[str, Any]:
        return {
            "resourceType": "SearchParameter",
            "id": code,
            "url": f"http://example.org/{code}",
            "name": code,
            "status": "active",
            "description": code,
            "code": code,
            "base": ["Patient"],
            "type": type,
            "expression": expression,
        }

    found = made(
        tmp_path / "p.tgz",
        parameter("birthdate", "date", "Patient.birthDate"),
        parameter("gender", "token", "Patient.maritalStatus"),
        parameter("nickname", "string", "Patient.name.where(use='nickname').given"),
    )
    outcome = await install(client.gate.dispatch, found, packaged())
    assert outcome.number == 2
    assert list(outcome.left_out) == ["SearchParameter/gender"]
    known = await client.get("SearchParameter?url=http://example.org/birthdate")
    assert len(known["entry"]) == 1
    patient = {"resourceType": "Patient", "birthDate": "2000-01-01", "gender": "female"}
    await client.ask("POST", "Patient", resource=patient)
    assert len((await client.get("Patient?birthdate=2000-01-01&gender=female"))["entry"]) == 1
