"""Opening files: new, older, newer, foreign, damaged, locked."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import apsw
import pytest
from store.making import Clock, put

from fhirserver.errors import Unavailable
from fhirserver.store.sqlite import SqliteStore, connection, migration, schema


def _open(path: Path) -> SqliteStore:
    return SqliteStore.open(path, clock=Clock())


def _sqlite(path: Path, script: str) -> None:
    opened = apsw.Connection(str(path))
    opened.execute(script)
    opened.close()


def _damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[migration.PAGE_SIZE : 60 * migration.PAGE_SIZE] = b"\xff" * 59 * migration.PAGE_SIZE
    path.write_bytes(data)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "fhir.db"


async def test_a_new_file_is_durable_and_of_the_newest_schema(path: Path) -> None:
    store = _open(path)
    await store.commit([put("Patient", "1")])
    written = store._writer._connection
    assert written.pragma("journal_mode") == "wal"
    assert written.pragma("synchronous") == 2
    assert written.pragma("user_version") == len(schema.MIGRATIONS)
    await store.close()


async def test_what_was_written_is_there_when_opened_again(path: Path) -> None:
    for version in (1, 2, 3):
        store = _open(path)
        await store.commit([put("Patient", "1", version)])
        await store.close()
    store = _open(path)
    found = await store.read("Patient", "1")
    await store.close()
    assert found is not None
    assert found.version == 3


async def test_an_older_file_is_migrated_with_what_it_holds(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = _open(path)
    await store.commit([put("Patient", "1")])
    await store.close()
    newer = (*schema.MIGRATIONS, "CREATE TABLE later(a); INSERT INTO later VALUES (7);")
    monkeypatch.setattr(schema, "MIGRATIONS", newer)
    for _ in range(2):
        store = _open(path)
        assert await store.read("Patient", "1")
        assert store._writer._connection.execute("SELECT a FROM later").get == 7
        await store.close()


async def test_a_migration_that_fails_changes_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _open(path).close()
    broken = (*schema.MIGRATIONS, "CREATE TABLE later(a); CREATE TABLE later(a);")
    monkeypatch.setattr(schema, "MIGRATIONS", broken)
    with pytest.raises(apsw.SQLError):
        _open(path)
    monkeypatch.undo()
    await _open(path).close()


def test_a_newer_file_is_refused(path: Path) -> None:
    _sqlite(path, f"PRAGMA application_id={schema.APPLICATION_ID}; PRAGMA user_version=99")
    with pytest.raises(Unavailable, match="newer fhirserver"):
        _open(path)


@pytest.mark.parametrize("script", ["CREATE TABLE a(b)", "PRAGMA application_id=5"])
def test_a_file_of_another_program_is_refused(path: Path, script: str) -> None:
    _sqlite(path, script)
    with pytest.raises(Unavailable, match="another program"):
        _open(path)


def test_a_file_that_is_no_store_is_refused(path: Path) -> None:
    path.write_text("This is a letter, and a rather long one at that. " * 100)
    with pytest.raises(Unavailable, match="not a SQLite file"):
        _open(path)


async def test_a_damaged_file_is_refused(path: Path) -> None:
    store = _open(path)
    await store.commit([put("Patient", str(n), text="x" * 500) for n in range(500)])
    await store.close()
    _damage(path)
    with pytest.raises(Unavailable, match="damaged"):
        store = _open(path)
        await store.read("Patient", "1")


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="cannot be opened"):
        _open(tmp_path / "none" / "fhir.db")


async def test_a_file_that_another_program_locks_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = _open(path)
    other = apsw.Connection(str(path))
    other.execute("BEGIN IMMEDIATE")
    store._writer._connection.set_busy_timeout(50)
    with pytest.raises(Unavailable, match="busy"):
        await store.commit([put("Patient", "1")])
    other.execute("COMMIT")
    await store.commit([put("Patient", "1")])
    await store.close()
    other.close()
    locker = apsw.Connection(str(path))
    locker.pragma("locking_mode", "exclusive")
    locker.execute("BEGIN EXCLUSIVE")
    monkeypatch.setattr(connection, "BUSY_TIMEOUT", 50)
    with pytest.raises(Unavailable, match=r"busy|locked"):
        _open(path)
    locker.close()


async def test_many_may_open_a_new_file_at_once(path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        stores = list(pool.map(_open, [path] * 8))
    for n, store in enumerate(stores):
        await store.commit([put("Patient", str(n))])
    assert await stores[0].counts() == {"Patient": 8}
    for store in stores:
        await store.close()
