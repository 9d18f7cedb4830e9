"""When what was handed over is filed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fhirserver.audit.due import LONGEST, MUCH, QUIET, Due


def test_a_burst_is_let_end() -> None:
    due = Due()
    for now in (100.0, 100.5, 101.0):
        due.hear({"one": False}, now)
        assert due.ready(now + 0.25, {"one": 1000}) == []
    assert due.ready(101.0 + QUIET, {"one": 1000}) == ["one"]
    due.done("one")
    assert not due
    assert due.ready(200.0, {"one": 1000}) == []


def test_it_is_not_let_grow() -> None:
    due = Due()
    due.hear({"one": False, "two": False}, 100.0)
    assert due.ready(100.0, {"one": MUCH, "two": MUCH - 1}) == ["one"]


def test_who_waits_does_not_wait_for_an_end() -> None:
    due = Due()
    due.hear({"one": True, "two": False}, 100.0)
    due.hear({"one": False}, 100.5)
    assert due.ready(100.5, {}) == ["one"]


def test_what_nobody_rang_for_is_found_once() -> None:
    due = Due()
    due.hear({"one": False}, 100.0)
    due.find(["one", "two"], 100.5)
    assert due.ready(100.0 + QUIET, {}) == ["one"]
    assert due.ready(100.5 + QUIET, {}) == ["one", "two"]


@given(st.lists(st.floats(0.01, 5.0), max_size=60))
def test_everything_is_filed_some_time(pauses: list[float]) -> None:
    due, now = Due(), 0.0
    due.hear({"one": False}, now)
    for pause in pauses:
        now += pause
        due.hear({"one": False}, now)
    assert bool(due.ready(now, {})) == (now >= LONGEST)
