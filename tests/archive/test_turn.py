"""Whose turn it is to write."""

from __future__ import annotations

import fcntl
import multiprocessing
from pathlib import Path

from fhirserver.archive.sqlite.turn import Turn


def _wait(path: Path, begun, had, goes) -> None:
    turn = Turn(path)
    begun.set()
    with turn:
        had.set()
        goes.wait(30)


def test_one_at_a_time_and_who_waited_comes_first(tmp_path):
    context = multiprocessing.get_context("spawn")
    begun, had, goes = context.Event(), context.Event(), context.Event()
    mine = Turn(tmp_path / "a.db")
    other = context.Process(target=_wait, args=(tmp_path / "a.db", begun, had, goes))
    with mine:
        other.start()
        while not _waits(tmp_path / "a.db.next"):
            assert not had.wait(0.05)
        goes.set()
    with mine:
        assert had.is_set()
    other.join(30)
    assert other.exitcode == 0
    mine.close()


def _waits(path: Path) -> bool:
    """Whether somebody is next."""
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_a_turn_ends_with_its_process(tmp_path):
    context = multiprocessing.get_context("spawn")
    begun, had, goes = context.Event(), context.Event(), context.Event()
    other = context.Process(target=_wait, args=(tmp_path / "a.db", begun, had, goes))
    other.start()
    assert had.wait(30)
    other.kill()
    mine = Turn(tmp_path / "a.db")
    with mine:
        other.join(30)
    mine.close()
