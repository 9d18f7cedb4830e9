"""`fhirserver export`, and `load` of what it wrote, as commands."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import stores
import typer
from click.testing import Result
from store.making import walk_history
from typer.testing import CliRunner

from fhirserver.access.grant import OPEN
from fhirserver.app import open_gate, whole_store
from fhirserver.cli.export import export
from fhirserver.cli.load import load
from fhirserver.interactions.request import Request
from fhirserver.settings import Settings
from fhirserver.store.port import HistoryQuery, Version


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FHIRSERVER_AUDIT", "off")  # of what commands record: test_audit
    asyncio.run(fill())


def run(command: Any, *arguments: str) -> Result:
    app = typer.Typer()
    app.command()(command)
    return CliRunner().invoke(app, list(arguments))


async def fill() -> None:
    """A patient in two versions, one whose number has a long fraction, a deleted one, a Bundle."""
    async with open_gate(Settings(data=Path("one"))) as dispatch:
        for interaction, type, id, more in (
            ("update", "Patient", "a", {"gender": "male"}),
            ("update", "Patient", "a", {"gender": "female"}),
            ("update", "Patient", "b", {}),
            ("delete", "Patient", "b", {}),
            ("update", "Bundle", "c", {"type": "collection"}),
        ):
            resource = {"resourceType": type, "id": id, **more}
            sent = resource if interaction == "update" else None
            await dispatch(
                Request(interaction, "http://x/fhir", type, id, resource=sent, grant=OPEN)
            )


def history(folder: str, **settings: Any) -> list[Version]:
    async def asked() -> list[Version]:
        async with whole_store(Settings(data=Path(folder), **settings)) as store:
            return await walk_history(store, HistoryQuery())

    return asyncio.run(asked())


def content(version: Version) -> Any:
    found = json.loads(version.body or b"null")
    found.pop("meta")
    return found


def test_a_store_is_moved_with_its_history() -> None:
    assert run(export, "out", "--data", "one", "--history", "--gzip").exit_code == 0
    result = run(load, "out", "--data", "other", "--restore")
    assert result.exit_code == 0, result.output
    assert history("other") == history("one")
    assert run(load, "out", "--data", "other", "--restore").exit_code == 0


@pytest.mark.mongodb
def test_a_store_is_moved_to_mongodb_and_back(wire: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every version, its number, time and bytes; the files are the same from either store."""
    with stores.databases(wire.address()) as made:
        url = made.fresh()
        assert run(export, "out", "--data", "one", "--history").exit_code == 0
        with monkeypatch.context() as there:
            there.setenv("FHIRSERVER_STORE", url)
            result = run(load, "out", "--data", "other", "--restore")
            assert result.exit_code == 0, result.output
            assert run(export, "back", "--data", "other", "--history").exit_code == 0
            assert run(load, "out", "--data", "other", "--restore").exit_code == 0
        assert history("other", store=url) == history("one")
    result = run(load, "back", "--data", "third", "--restore")
    assert result.exit_code == 0, result.output
    assert history("third") == history("one")
    files = {path.name for path in Path("out").glob("*.ndjson")}
    assert files == {path.name for path in Path("back").glob("*.ndjson")} != set()
    for name in files:
        assert Path("back", name).read_bytes() == Path("out", name).read_bytes()


def test_what_was_exported_can_be_loaded_as_new() -> None:
    assert run(export, "out", "--data", "one").exit_code == 0
    result = run(load, "out", "--data", "other")
    assert result.exit_code == 0, result.output
    loaded = {(one.type, one.id): one for one in history("other")}
    assert set(loaded) == {("Patient", "a"), ("Bundle", "c")}
    assert {one.version for one in loaded.values()} == {1}
    current = next(one for one in history("one") if one.type == "Patient" and one.id == "a")
    assert content(loaded["Patient", "a"]) == content(current)


def test_a_history_is_not_loaded_as_new() -> None:
    run(export, "out", "--data", "one", "--history")
    result = run(load, "out", "--data", "other")
    assert result.exit_code == 1
    assert "--restore" in result.output


@pytest.mark.parametrize(
    "arguments",
    [
        ("--type", "Nonsense"),
        ("--since", "yesterday"),
    ],
)
def test_what_cannot_be_exported_is_refused(arguments: tuple[str, ...]) -> None:
    result = run(export, "out", "--data", "one", *arguments)
    assert result.exit_code == 2
    assert not Path("out").exists()


def test_a_folder_that_holds_something_is_refused() -> None:
    assert run(export, "one", "--data", "one").exit_code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("out", "--url", "http://localhost/fhir"),
        ("out", "out", "--data", "other"),
        ("one", "--data", "other"),
        ("out", "--data", "one"),
    ],
    ids=["a server", "two folders", "no export", "a store that is not empty"],
)
def test_a_restore_that_cannot_be_is_refused(arguments: tuple[str, ...]) -> None:
    run(export, "out", "--data", "one", "--type", "Patient")
    result = run(load, "--restore", *arguments)
    assert result.exit_code == 2, result.output
