"""A copy of a store file is one state of it, whoever writes meanwhile."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from fhirserver.errors import Unavailable
from fhirserver.store.sqlite import copy as module
from fhirserver.store.sqlite.copy import content, copy, damage
from fhirserver.store.sqlite.schema import prepare


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "fhir.db"
    prepare(path)
    with apsw.Connection(str(path)) as connection:
        for number in range(300):
            connection.execute(
                "INSERT INTO record(collection, key, body) VALUES('x', ?, ?)",
                (str(number), b"0" * 1000),
            )
    return path


def test_what_is_written_meanwhile_is_not_in_it(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PAGES", 1)
    before = content(file)
    writer = apsw.Connection(str(file))
    steps: list[float] = []

    def written(part: float) -> None:
        """Between any two pages all rows become others."""
        steps.append(part)
        assert len(steps) < 1000, "it begins anew each time"
        writer.execute("UPDATE record SET body=?", (str(len(steps)).encode() * 300,))

    copy(file, tmp_path / "copy.db", written)
    writer.close()
    assert len(steps) > 50
    assert steps == sorted(steps)
    assert steps[-1] == 1.0
    assert content(tmp_path / "copy.db") == before
    assert content(file).record_digest != before.record_digest
    assert damage(tmp_path / "copy.db") == []
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("copy")] == ["copy.db"]


def test_what_was_written_before_is_in_it(file: Path, tmp_path: Path) -> None:
    with apsw.Connection(str(file)) as connection:
        connection.execute("DELETE FROM record WHERE key='7'")
    copy(file, tmp_path / "copy.db")
    assert content(tmp_path / "copy.db").records == 299
    assert content(tmp_path / "copy.db") == content(file)


def test_a_copy_goes_over_nothing(file: Path, tmp_path: Path) -> None:
    with pytest.raises(FileExistsError):
        copy(file, file)
    with pytest.raises(Unavailable):
        copy(tmp_path / "absent.db", tmp_path / "copy.db")
    other = tmp_path / "other.db"
    other.write_bytes(b"no store" * 1000)
    with pytest.raises(Unavailable):
        copy(other, tmp_path / "second.db")
