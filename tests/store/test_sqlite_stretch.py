"""Walks in the order of a date begin where the date of the search does."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from store.making import Clock, put

from fhirserver.model.temporal import DAY
from fhirserver.search.entry import Date, Token
from fhirserver.search.expression import (
    And,
    Comparator,
    DateIs,
    Expression,
    Query,
    SortKey,
    TokenIs,
    TokenValue,
)
from fhirserver.search.match import Document, match
from fhirserver.store.sqlite import SqliteStore, plan, stretch

COUNT = 120
ODD = TokenIs("code", (TokenValue(None, "odd"),))
COMPARATORS: Sequence[Comparator] = ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")


async def _filled(path: Path, entries: Sequence[dict[str, Any]]) -> SqliteStore:
    store = SqliteStore.open(path / "fhir.db", clock=Clock())
    await store.commit([put("Patient", str(n), entries=some) for n, some in enumerate(entries)])
    return store


async def _walked(store: SqliteStore, where: Expression, key: SortKey) -> list[str]:
    found: list[str] = []
    after = None
    while True:
        page = await store.search(Query(("Patient",), where, sort=(key,), count=7, after=after))
        found += [version.id for version in page.versions]
        after = page.next
        if after is None:
            return found


@pytest.mark.parametrize("most", [1, 2])
@pytest.mark.parametrize("longest", [DAY, 60 * DAY])
@pytest.mark.parametrize("down", [False, True])
async def test_a_walk_gives_all_that_match_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int, longest: int, down: bool
) -> None:
    monkeypatch.setattr(plan, "PROBES", (1,))  # nothing is selective
    chance = random.Random(f"{most} {longest} {down}")
    entries: list[dict[str, Any]] = []
    for n in range(COUNT):
        starts = [chance.randrange(100) * DAY // 2 for _ in range(chance.randint(1, most))]
        dates = tuple(Date(start, start + chance.choice([1, DAY, longest])) for start in starts)
        entries.append({"date": dates, "code": (Token("", "odd" if n % 2 else "even"),)})
    store = await _filled(tmp_path, entries)
    documents = [Document("Patient", str(n), 0, some) for n, some in enumerate(entries)]
    key = SortKey("date", "date", down)
    for comparators in [(one,) for one in COMPARATORS] + [("ge", "lt"), ("sa", "le")]:
        start = chance.randrange(20, 60) * DAY // 2
        leaves = [
            DateIs("date", comparator, at, at + chance.choice([1, DAY]))
            for comparator, at in zip(comparators, (start, start + 12 * DAY), strict=False)
        ]
        where = And((ODD, *leaves))
        wanted = [document for document in documents if match(where, document)]
        first = max if down else min
        ranked = sorted(
            wanted,
            key=lambda document: first(date.start for date in document.entries["date"]),  # type: ignore[union-attr]
            reverse=down,
        )
        assert await _walked(store, where, key) == [document.id for document in ranked]
    await store.close()


@pytest.mark.parametrize("down", [False, True])
async def test_a_walk_passes_over_nothing(tmp_path: Path, down: bool) -> None:
    entries = [{"date": (Date(n * DAY, (n + 1) * DAY),)} for n in range(COUNT)]
    store = await _filled(tmp_path, entries)
    reader = store._reader
    planner = plan.Planner(reader.connection, reader.names)
    leaf = DateIs("date", "lt" if down else "ge", 60 * DAY, 61 * DAY)
    made = plan.Plan(reader.names.type("Patient"), None, None, None, (ODD, leaf))
    key = SortKey("date", "date", down)
    found = stretch.stretch(reader.connection, reader.names, planner, made, key)
    assert found == ((None, 60 * DAY) if down else (60 * DAY, None))
    assert found.beyond(70 * DAY, down=down) == ((None, 60 * DAY) if down else (70 * DAY, None))
    long = {"date": (Date(0, 100 * DAY),)}
    await store.commit([put("Patient", "long", entries=long)])
    planner = plan.Planner(reader.connection, reader.names)
    found = stretch.stretch(reader.connection, reader.names, planner, made, key)
    assert found == ((None, 60 * DAY) if down else (None, None))
    await store.close()


async def test_an_order_by_time_of_change_begins_there(tmp_path: Path) -> None:
    store = await _filled(tmp_path, [{} for _ in range(COUNT)])
    where = DateIs("_lastUpdated", "ge", 0, 1)
    made = plan.Plan(1, None, None, None, (where,))
    assert ">=?" in stretch.instants(made, "d.instant").text
    key = SortKey("_lastUpdated", "date", False)
    assert len(await _walked(store, where, key)) == COUNT
    await store.close()
