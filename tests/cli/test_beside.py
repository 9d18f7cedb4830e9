"""Processes that are kept: started again whenever they end, and ended whenever they are told."""

from __future__ import annotations

import subprocess
import threading
import time
from typing import Any

import pytest

from fhirserver.cli import beside
from fhirserver.cli.beside import _Kept

ENDS = ("this",)
"""A module that has nothing to do."""

LASTS = ("http.server", "--bind", "127.0.0.1", "0")


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "_PAUSES", (0.01,))


def test_one_that_is_started_while_it_is_told_to_end_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    start, begun, may, processes = _Kept._started, threading.Event(), threading.Event(), []

    def slowly(kept: _Kept) -> subprocess.Popen[bytes]:
        if processes:
            begun.set()
            may.wait(0.5)  # long enough to be told meanwhile, if it can be
        processes.append(start(kept))
        kept._command = LASTS
        return processes[-1]

    monkeypatch.setattr(_Kept, "_started", slowly)
    kept = _Kept(ENDS, ())
    assert begun.wait(20)
    told = threading.Thread(target=lambda: (kept.tell(), may.set(), kept.end()))
    told.start()
    told.join(30)
    is_over = not told.is_alive()
    for process in processes:
        process.kill()
    told.join(30)
    assert is_over
    assert all(process.poll() is not None for process in processes)


def test_one_that_cannot_be_started_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    start, tries = _Kept._started, []

    def started(kept: _Kept) -> subprocess.Popen[bytes]:
        tries.append(kept)
        if len(tries) == 2:
            raise BlockingIOError("no more processes")
        if len(tries) > 2:
            kept._command = LASTS
        return start(kept)

    monkeypatch.setattr(_Kept, "_started", started)
    kept: Any = _Kept(ENDS, ())
    end = time.monotonic() + 20
    while len(tries) < 3 and time.monotonic() < end:
        time.sleep(0.01)
    kept.tell()
    kept.end()
    assert len(tries) == 3
