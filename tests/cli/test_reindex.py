"""`fhirserver reindex` on a data folder, with and without a server on it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import serving
from indexing.server import EYES, found, patient, put, when_indexed
from typer import Typer
from typer.testing import CliRunner

from fhirserver.cli.export import export
from fhirserver.cli.load import load
from fhirserver.cli.reindex import reindex
from fhirserver.store.port import Entered
from fhirserver.store.sqlite import SqliteStore


def run(*arguments: str, command: Any = reindex) -> tuple[int, str]:
    app = Typer()
    app.command()(command)
    result = CliRunner().invoke(app, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.output


async def forget_entries(folder: Path, id: str) -> None:
    store = SqliteStore.open(folder / "fhir.db", clock=lambda: 1)
    await store.reindex([Entered("Patient", id, 1, {})])
    await store.close()


@pytest.mark.parametrize("option", [(), ("--type", "Patient"), ("--type", "Group")])
async def test_on_a_folder_that_no_server_uses(tmp_path: Path, option: tuple[str, ...]) -> None:
    async with serving.client(tmp_path) as client:
        await put(client, patient("a", gender="male"), patient("b", gender="male"))
    await forget_entries(tmp_path, "a")
    code, told = await asyncio.to_thread(run, "--data", str(tmp_path), *option)
    assert code == 0, told
    assert ("0 resources" if "Group" in option else "2 resources") in told
    async with serving.client(tmp_path) as client:
        both = await found(client, "Patient?gender=male")
    assert both == (["b"] if "Group" in option else ["a", "b"])


async def test_while_a_server_runs(tmp_path: Path) -> None:
    async with serving.client(tmp_path) as client:
        await put(client, *(patient(f"p{n}", "green") for n in range(30)), EYES)
        code, told = await asyncio.to_thread(run, "--data", str(tmp_path))
        assert code == 0, told
        assert len(await when_indexed(client, "Patient?eye-colour=green")) == 30


async def test_what_was_restored_waits_for_its_own_parameters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with serving.client(tmp_path / "one") as client:
        await put(client, EYES, patient("a", "green"))
        await when_indexed(client, "Patient?eye-colour=green")
    async with serving.client(tmp_path / "two"):
        pass  # it was started once, so that its empty store is marked as wholly indexed
    for command, *arguments in (
        (export, "out", "--data", "one", "--history"),
        (load, "out", "--data", "two", "--restore"),
    ):
        code, told = await asyncio.to_thread(run, *arguments, command=command)
        assert code == 0, told
    async with serving.client(tmp_path / "two") as client:
        assert await when_indexed(client, "Patient?eye-colour=green") == ["a"]


def test_where_nothing_is_stored(tmp_path: Path) -> None:
    code, told = run("--data", str(tmp_path / "none"))
    assert code == 2
    assert "nothing is stored yet" in told


async def test_a_type_that_there_is_not(tmp_path: Path) -> None:
    async with serving.client(tmp_path) as client:
        await put(client, patient("a"))
    code, told = await asyncio.to_thread(run, "--data", str(tmp_path), "--type", "Dragon")
    assert code == 2
    assert "'Dragon' is not a resource type" in told
