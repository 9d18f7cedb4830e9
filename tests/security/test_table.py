"""Every security requirement is shown by a test, or the table says why not."""

from __future__ import annotations

from security.table import DOCUMENT, checks, document, marks


def test_marks_name_known_requirements() -> None:
    groups, missing = checks()
    known = {id for group in groups.values() for id in group}
    assert len(known) == 143
    assert set(marks()) <= known
    assert set(missing) <= known


def test_what_no_test_shows_has_a_reason() -> None:
    groups, missing = checks()
    shown = set(marks())
    assert [id for group in groups.values() for id in group if id not in shown | set(missing)] == []


def test_the_table_is_the_one_of_the_tests() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == document()
