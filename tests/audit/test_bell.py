"""The bell: who listens hears the names of tenants, and that nobody listens is known at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from fhirserver.audit.bell import Bell, Listener, bell_of


def test_nobody_listens(tmp_path: Path) -> None:
    bell = Bell(bell_of(tmp_path), "default")
    assert not bell.ring()
    Listener(bell_of(tmp_path)).close()
    assert bell_of(tmp_path).stat().st_mode & 0o077 == 0
    assert not bell.ring()  # the pipe is there, and nobody at its end
    assert not bell.is_heard()


def test_who_listens_hears_of_whom(tmp_path: Path) -> None:
    listener = Listener(bell_of(tmp_path))
    assert listener.heard() == {}
    one, two = Bell(bell_of(tmp_path), "one"), Bell(bell_of(tmp_path), "two")
    assert one.is_heard()
    assert listener.heard() == {}
    assert [one.ring(), two.ring(), two.ring(urgent=True), one.ring()] == [True] * 4
    assert listener.heard() == {"one": False, "two": True}
    assert listener.heard() == {}
    listener.close()


def test_a_bell_that_was_rung_often_is_rung(tmp_path: Path) -> None:
    listener = Listener(bell_of(tmp_path))
    bell = Bell(bell_of(tmp_path), "t" * 60)
    assert all(bell.ring() for _ in range(2000))  # more than a pipe holds
    assert "t" * 60 in listener.heard()
    listener.close()


def test_a_file_is_no_bell(tmp_path: Path) -> None:
    path = tmp_path / "filing"
    path.write_bytes(b"")
    assert not Bell(path, "default").ring()
    assert path.read_bytes() == b""
    with pytest.raises(FileExistsError):
        Listener(path)
