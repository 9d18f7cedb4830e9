from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.load.journal import END, Journal


def test_what_was_noted_is_there_the_next_time(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "journal"
    with Journal(path) as journal:
        journal.add("a", 0, 10)
        journal.add("b", 0, END)
    with Journal(path) as journal:
        assert journal.has("a", 2, 7)
        assert not journal.has("a", 5, 11)
        assert journal.has("b", 0, END)
        assert not journal.has("c", 0, 1)


@pytest.mark.parametrize("cut", range(1, 36))
def test_a_line_that_was_cut_off_only_loses_itself(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "journal"
    with Journal(path) as journal:
        journal.add("a", 0, 10)
        journal.add("a", 10, 20)
    path.write_bytes(path.read_bytes()[:-cut])
    with Journal(path) as journal:
        journal.add("a", 20, 30)
    with Journal(path) as journal:
        assert journal.has("a", 0, 10)
        assert journal.has("a", 20, 30)


spans = st.tuples(st.integers(0, 30), st.integers(1, 8)).map(lambda one: (one[0], sum(one)))


@given(st.lists(spans, max_size=12), spans)
def test_a_span_is_had_when_all_its_positions_are(
    noted: list[tuple[int, int]], asked: tuple[int, int]
) -> None:
    journal = Journal(None)
    for start, end in noted:
        journal.add("x", start, end)
    positions = {position for start, end in noted for position in range(start, end)}
    assert journal.has("x", *asked) == (set(range(*asked)) <= positions)
