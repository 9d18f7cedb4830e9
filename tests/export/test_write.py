"""The files of an export: whole, and nobody else's."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from store.making import Clock, put

from fhirserver.export.write import Export, export
from fhirserver.store.sqlite import SqliteStore


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore.open(tmp_path / "fhir.db", clock=Clock())
    await store.commit([put("Patient", "a"), put("Basic", "b")])
    yield store
    await store.close()


@pytest.mark.parametrize("is_packed", [False, True])
async def test_only_its_owner_reads_an_export(
    store: SqliteStore, tmp_path: Path, is_packed: bool
) -> None:
    folder = tmp_path / "there-already"
    folder.mkdir(mode=0o755)
    await export(store, folder, Export(gzip=is_packed))
    assert len(list(folder.iterdir())) == 3
    for file in folder.iterdir():
        assert file.stat().st_mode & 0o077 == 0


async def test_the_manifest_appears_when_all_else_is_on_disk(
    store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "export"
    seen: list[tuple[str, bool]] = []
    sync = os.fsync

    def noted(descriptor: int) -> None:
        name = Path(os.readlink(f"/proc/self/fd/{descriptor}")).name
        seen.append((name, (folder / "manifest.json").exists()))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    await export(store, folder, Export())
    assert set(seen[:2]) == {("Basic.ndjson.part", False), ("Patient.ndjson.part", False)}
    assert seen[2:] == [("export", False), ("manifest.json.part", False), ("export", True)]
