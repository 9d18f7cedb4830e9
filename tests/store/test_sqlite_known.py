"""What a transaction looks up beforehand is what it would have found one by one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhirserver.model.resource import draft
from fhirserver.search.contained import CONTAINED, CONTAINED_TYPE
from fhirserver.search.entry import Contained, Entries, Reference, Token
from fhirserver.store.port import Change, Stale
from fhirserver.store.sqlite import insertion, known
from fhirserver.store.sqlite.changes import Batch
from fhirserver.store.sqlite.connection import Connection
from fhirserver.store.sqlite.dictionary import Interning
from fhirserver.store.sqlite.insertion import insert
from fhirserver.store.sqlite.schema import migrate

TABLES = ("resource", "version", "token", "reference")
TYPES = st.sampled_from(["Patient", "Observation", "AuditEvent"])
IDS = st.sampled_from(["a", "b", "1", "01", "null"])
ODD = st.text(st.characters(codec="utf-8"), max_size=6)
REFERENCES = st.one_of(st.builds(Reference, TYPES, IDS), st.builds(Reference, st.just(""), ODD))


@st.composite
def commits(draw: st.DrawFn) -> list[Change]:
    keys = draw(st.lists(st.tuples(TYPES, IDS), min_size=1, max_size=6, unique=True))
    return [_change(draw, *key) for key in keys]


def _change(draw: st.DrawFn, type: str, id: str) -> Change:
    version = draw(st.integers(1, 3))
    if draw(st.integers(0, 4)) == 4:
        return Change(type, id, version, "DELETE", None)
    entries: dict[str, Any] = {"subject": tuple(draw(st.lists(REFERENCES, max_size=3)))}
    if draw(st.booleans()):
        entries[CONTAINED] = (
            Contained(
                "#Medication",
                f"{type}/{id}#m",
                {"code": (Token("s", "c"),), "subject": (draw(REFERENCES),)},
            ),
        )
        entries[CONTAINED_TYPE] = (Token("", "Medication"),)
    return Change(type, id, version, "PUT", draft({"resourceType": type}, id, version), entries)


GROUPS = st.lists(st.lists(commits(), min_size=1, max_size=4), min_size=1, max_size=4)


@given(GROUPS)
@settings(max_examples=60, deadline=None)
def test_what_is_looked_up_together_is_what_is_found_one_by_one(
    groups: list[list[list[Change]]],
) -> None:
    assert _written(groups, few=1) == _written(groups, few=10**6)


def _written(groups: list[list[list[Change]]], few: int) -> tuple[object, object]:
    told: list[object] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(known, "_FEW", few)
        connection = _opened()
        names = Interning(connection)
        for instant, group in enumerate(groups):
            connection.execute("BEGIN IMMEDIATE")
            batch = Batch(connection, names)
            batch.known.expect(change for commit in group for change in commit)
            for commit in group:
                try:
                    told.append(batch.add(commit, instant))
                except Stale as error:
                    told.append(str(error))
            batch.flush()
            connection.execute("COMMIT")
        rows = [sorted(connection.execute(f"SELECT * FROM {table}")) for table in TABLES]
        connection.close()
    return told, rows


def _opened() -> Connection:
    connection = Connection(Path(":memory:"))
    migrate(connection)
    return connection


@pytest.fixture
def connection() -> Connection:
    return _opened()


@pytest.mark.parametrize("is_first", [True, False])
def test_a_group_asks_once_for_all_that_it_needs(connection: Connection, is_first: bool) -> None:
    names = Interning(connection)
    changes = [_referring(number) for number in range(200)]
    asked: list[str] = []
    with connection:
        if not is_first:
            Batch(connection, names).add([_referring(200)], 1)
        batch = Batch(connection, names)
        connection.exec_trace = lambda _, sql, __: asked.append(sql) or True  # type: ignore[func-returns-value]
        batch.known.expect(changes)
        batch.add(changes, 1)
        batch.flush()
        connection.exec_trace = None
    assert sum("FROM resource" in sql or "JOIN resource" in sql for sql in asked) <= 2  # and max
    assert len(asked) < 20


def _referring(number: int) -> Change:
    entries: Entries = {"subject": (Reference("Patient", f"p{number}"),)}
    body = draft({"resourceType": "Observation"}, f"o{number}", 1)
    return Change("Observation", f"o{number}", 1, "POST", body, entries)


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 63, 64, 65, 1000, 1600, 1601, 3300])
def test_rows_are_all_there_whatever_their_number(connection: Connection, count: int) -> None:
    rows = [(rid, 1, "code", 0) for rid in range(count)]
    insert(connection, "token", rows)
    assert list(connection.execute("SELECT * FROM token ORDER BY rid")) == rows


def test_the_longest_statements_stay_prepared(connection: Connection) -> None:
    for table in ("token", "reference"):
        count = insertion._MOST[table]
        for turn in range(3):
            start = turn * count
            rest = (1, "x", 0) if table == "token" else (1, 1)
            rows = [(rid, *rest) for rid in range(start, start + count)]
            insert(connection, table, rows)
    assert connection.cache_stats()["too_big"] == 0
    assert connection.cache_stats()["hits"] >= 4
    assert all(len(insertion._text(*item)) < 16_384 for item in insertion._MOST.items())


def test_what_comes_often_is_put_together_from_statements_that_stay_prepared(
    connection: Connection,
) -> None:
    """As the process that files does, whose commits have another number of events each time."""
    counts, before, first = (2560, 2650, 2600, 2711, 2560), connection.cache_stats(), 0
    for count in counts:
        insert(connection, "token", [(first + n, 1, f"{n}", 0) for n in range(count)])
        first += count
    after = connection.cache_stats()
    assert connection.execute("SELECT count(*), max(rid) FROM token").get == (first, first - 1)
    assert after["no_cache"] - before["no_cache"] <= len(counts)  # of 127 rows at the most
    assert after["hits"] - before["hits"] >= 3 * len(counts)


@pytest.mark.parametrize("most", [600, 888, 1600])
def test_all_rows_are_in_one_portion(most: int) -> None:
    for count in range(3 * most):
        portions = list(insertion._portions(count, most))
        assert sum(portions) == count
        assert all(0 < portion <= most for portion in portions)
