"""Several comparisons with one date: one range of the index, where a resource has but one."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import pytest
from store.making import Clock, put

from fhirserver.model.temporal import DAY
from fhirserver.search.entry import Date
from fhirserver.search.expression import And, Comparator, DateIs, Expression, IdIs, Not, Query
from fhirserver.search.match import Document, match
from fhirserver.store.port import Expectation, Key, Stale
from fhirserver.store.sqlite import SqliteStore, schema
from fhirserver.store.sqlite.plan import Plan, Planner

COUNT = 200
COMPARATORS: Sequence[Comparator] = ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")
DAY_40 = And((
    DateIs("date", "ge", 40 * DAY, 40 * DAY + 1), DateIs("date", "lt", 41 * DAY, 42 * DAY)
))  # fmt: skip


def _plan(store: SqliteStore, where: Expression) -> Plan:
    reader = store._reader
    return Planner(reader.connection, reader.names).plan(where, reader.names.type("Patient"))


def _dates(chance: random.Random) -> Date:
    start = chance.randrange(100) * DAY // 2
    return Date(start, start + chance.choice([1, DAY // 2, DAY, DAY + 1, 3 * DAY, 50 * DAY]))


def _open(path: Path) -> SqliteStore:
    return SqliteStore.open(path / "fhir.db", clock=Clock())


@pytest.mark.parametrize("most", [1, 2])
async def test_two_comparisons_find_what_each_matches(tmp_path: Path, most: int) -> None:
    chance = random.Random(most)
    entries = [
        {"date": tuple(_dates(chance) for _ in range(chance.randint(1, most)))}
        for _ in range(COUNT)
    ]
    store = _open(tmp_path)
    await store.commit([put("Patient", str(n), entries=some) for n, some in enumerate(entries)])
    documents = [Document("Patient", str(n), 0, some) for n, some in enumerate(entries)]
    for one, other in product(COMPARATORS, repeat=2):
        leaves = []
        for comparator in (one, other):
            start = chance.randrange(100) * DAY // 2
            leaves.append(DateIs("date", comparator, start, start + chance.choice([1, DAY])))
        for where in (And(tuple(leaves)), And((Not(And(tuple(leaves))), leaves[0]))):
            page = await store.search(Query(("Patient",), where, count=COUNT))
            wanted = [document.id for document in documents if match(where, document)]
            assert [version.id for version in page.versions] == wanted
    await store.close()


async def test_one_range_leads_until_a_resource_has_two_dates(tmp_path: Path) -> None:
    store = _open(tmp_path)
    dates = [Date(n * DAY, (n + 1) * DAY) for n in range(COUNT)]
    await store.commit(
        [put("Patient", str(n), entries={"date": (date,)}) for n, date in enumerate(dates)]
    )
    plan = _plan(store, DAY_40)
    assert (plan.lead, plan.rest, plan.rows) == (DAY_40, (), 1)
    others = {"date": (dates[3], dates[80])}
    await store.commit([put("Patient", "two", entries=others)])
    assert _plan(store, DAY_40).rest
    page = await store.search(Query(("Patient",), DAY_40, count=COUNT))
    assert [version.id for version in page.versions] == ["40", "two"]
    await store.commit([put("Patient", "two", 2)])
    assert _plan(store, DAY_40).rest  # it is not found out that none has two any more
    await store.close()


async def test_a_commit_that_is_refused_marks_nothing_for_good(tmp_path: Path) -> None:
    store = _open(tmp_path)
    await store.commit([put("Patient", "1", entries={"date": (Date(0, DAY),)})])
    two = {"date": (Date(0, 1), Date(DAY, DAY + 1))}
    unmet = Expectation(("Patient",), IdIs(("3",)), (Key("Patient", "3"),))
    with pytest.raises(Stale):
        await store.commit([put("Patient", "2", entries=two)], after=[unmet])
    assert not _plan(store, DAY_40).rest
    await store.commit([put("Patient", "2", entries=two)])
    assert _plan(store, DAY_40).rest
    await store.close()


async def test_times_of_change_are_one_range(tmp_path: Path) -> None:
    store = _open(tmp_path)
    await store.commit([put("Patient", "1")])
    where = And((DateIs("_lastUpdated", "ge", 0, 1), DateIs("_lastUpdated", "lt", DAY, DAY + 1)))
    plan = _plan(store, where)
    assert (plan.lead, plan.rest) == (where, ())
    await store.close()


async def test_a_file_that_knew_nothing_of_it_is_looked_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = _open(tmp_path)
    entries = {"date": (Date(0, 1), Date(DAY, DAY + 1)), "birthdate": (Date(0, DAY),)}
    await store.commit([put("Patient", "1", entries=entries)])
    writer = store._writer._connection
    writer.execute("DROP TABLE several")
    writer.execute(schema._SEVERAL)
    names = store._reader.names
    type_ = names.type("Patient")
    assert names.has_several(names.param(type_, "date"))
    assert not names.has_several(names.param(type_, "birthdate"))
    await store.close()
