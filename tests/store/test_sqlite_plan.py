"""Which source leads, and that pages are taken from an index without a sort."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import pytest
from store.making import SECOND, Clock, put

from fhirserver.search.entry import Date, Entries, Number, Reference, String, Token, Uri
from fhirserver.search.expression import (
    EVERYTHING,
    And,
    Chain,
    DateIs,
    Expression,
    Has,
    IdIs,
    Not,
    NumberIs,
    Or,
    Query,
    ReferenceIs,
    SortKey,
    StringIs,
    StringMode,
    Target,
    TokenIs,
    TokenValue,
    UriIs,
    UriMode,
)
from fhirserver.store.sqlite import SqliteStore, plan, walk
from fhirserver.store.sqlite.plan import Plan, Planner

COUNT = 3000
LATE = (COUNT - 50) * SECOND


def _entries(n: int) -> Entries:
    return {
        "gender": (Token("g", "male" if n % 2 else "female"),),
        "code": (Token("c", f"c{n % 100}"),),
        "identifier": (Token("i", str(n)),),
        "name": (String(f"name{n}", f"Name{n}"),),
        "date": (Date(n * SECOND, (n + 1) * SECOND),),
        "number": (Number(n, n),),
        "url": (Uri(f"http://a/{n}"),),
        "link": (Reference("Patient", str(n // 10)),),
        "general": (Reference("Group", "all"),),
    }


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plan") / "fhir.db"

    async def fill() -> None:
        opened = SqliteStore.open(path, clock=Clock())
        await opened.commit([put("Patient", str(n), entries=_entries(n)) for n in range(COUNT)])
        await opened.commit([put("Group", "all", entries={"name": (String("all", "All"),)})])
        await opened.close()

    asyncio.run(fill())
    return path


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    opened = SqliteStore.open(path, clock=Clock())
    yield opened
    await opened.close()


def _plan(store: SqliteStore, where: Expression) -> tuple[Planner, Plan]:
    reader = store._reader
    planner = Planner(reader.connection, reader.names)
    return planner, planner.plan_in_order(where, reader.names.type("Patient"))


def _traced(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements of the store's reads from now on."""
    statements: list[str] = []

    def trace(cursor: object, text: str, args: object) -> bool:
        statements.append(text)
        return True

    monkeypatch.setattr(store._reader.connection, "exec_trace", trace)
    # However busy the machine is, no search goes to another thread, where nobody traces.
    monkeypatch.setattr("fhirserver.store.sqlite.store._AT_ONCE", 60.0)
    return statements


def _token(param: str, code: str) -> TokenIs:
    return TokenIs(param, (TokenValue(None, code),))


MALE = _token("gender", "male")
CODE = _token("code", "c7")
ONE = _token("identifier", "1207")
NAME = StringIs("name", StringMode.STARTS, ("name12",))
LATER = DateIs("date", "ge", LATE, LATE + 1)
ALL = ReferenceIs("general", (Target("Group", "all"),))
CHAINED = Chain("link", ("Patient",), ONE)
REFERRED = Has("Patient", "link", LATER)

LEADS: dict[str, tuple[Expression, Expression]] = {
    "an identifier before all": (And((MALE, CODE, ONE, NAME)), ONE),
    "a rare code before a common one": (And((MALE, CODE)), CODE),
    "a short range before a common code": (And((MALE, LATER)), LATER),
    "a code before a longer range": (And((NAME, CODE)), CODE),
    "a chain to one": (And((MALE, CHAINED, Not(CODE))), CHAINED),
    "what few refer to": (And((MALE, REFERRED)), REFERRED),
    "several codes": (And((MALE, Or((CODE, ONE)))), Or((CODE, ONE))),
    "nested": (And((MALE, And((CODE, And((ONE,)))))), ONE),
    "the one that nothing fulfils": (And((MALE, _token("code", "none"))), _token("code", "none")),
}


@pytest.mark.parametrize("name", LEADS)
async def test_the_most_selective_condition_leads(store: SqliteStore, name: str) -> None:
    where, lead = LEADS[name]
    _, made = _plan(store, where)
    assert made.lead == lead
    assert made.is_selective


@pytest.mark.parametrize("count", [2, 8, 40])
async def test_ids_are_looked_up_and_not_come_upon(store: SqliteStore, count: int) -> None:
    planner, made = _plan(store, IdIs(tuple(map(str, range(0, COUNT, COUNT // count)))))
    rows = planner.select(made)
    steps = store._reader.connection.execute(
        f"EXPLAIN QUERY PLAN {rows.text} ORDER BY 1 LIMIT ?", (*rows.args, 51)
    ).fetchall()
    assert "USING INDEX resource_id (tid=? AND id=?)" in steps[0][3]


async def test_of_broad_conditions_an_ordered_one_leads(store: SqliteStore) -> None:
    early = NumberIs("number", "ge", 3, 3, 4)
    _, made = _plan(store, And((early, MALE)))
    assert (made.lead, made.rest, made.is_selective) == (MALE, (early,), False)
    _, made = _plan(store, And((early, Not(CODE))))
    assert (made.lead, made.source) == (None, None)


UNSORTED: dict[str, Expression] = {
    "everything": EVERYTHING,
    "token": MALE,
    "two tokens": And((MALE, ALL)),
    "reference": ALL,
    "URI": UriIs("url", UriMode.EQUALS, ("http://a/7",)),
    "not": Not(CODE),
}


@pytest.mark.parametrize("name", UNSORTED)
async def test_a_page_in_the_stores_order_needs_no_sort(store: SqliteStore, name: str) -> None:
    planner, made = _plan(store, UNSORTED[name])
    rows = planner.select(made)
    steps = store._reader.connection.execute(
        f"EXPLAIN QUERY PLAN {rows.text} ORDER BY 1 LIMIT 51", rows.args
    )
    told = [step[3] for step in steps]
    assert not [line for line in told if "TEMP B-TREE" in line or line.startswith("SCAN")]


SORTS = (
    SortKey("date", "date"),
    SortKey("number", "number", True),
    SortKey("name", "string"),
    SortKey("_id", "token"),
    SortKey("_lastUpdated", "date", True),
)


@pytest.mark.parametrize("key", SORTS, ids=lambda key: key.param)
async def test_a_broad_order_walks_an_index(
    store: SqliteStore, key: SortKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements = _traced(store, monkeypatch)
    page = await store.search(Query(("Patient",), MALE, sort=(key,), count=5))
    assert len(page.versions) == 5
    (walked,) = [text for text in statements if "ORDER BY k0" in text]
    assert "INDEXED BY" in walked
    assert "MATERIALIZED" not in walked


async def test_a_late_range_is_found_without_walking_to_it(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "PROBES", (8,))
    monkeypatch.setattr(walk, "WINDOW", 10)
    statements = _traced(store, monkeypatch)
    for where in (LATER, And((LATER, Not(_token("code", "c99"))))):
        page = await store.search(Query(("Patient",), where, count=5))
        assert [version.id for version in page.versions] == [str(COUNT - 50 + n) for n in range(5)]
    assert len(statements) < 30


async def _rows_written(store: SqliteStore) -> int:
    """How many rows the writer has written so far, asked when it is idle."""
    while True:
        try:
            return store._writer._connection.total_changes()
        except apsw.ThreadingViolationError:
            await asyncio.sleep(0.001)


async def test_an_update_writes_only_what_differs(tmp_path: Path) -> None:
    opened = SqliteStore.open(tmp_path / "fhir.db", clock=Clock())
    await opened.commit([put("Patient", "1", entries=_entries(1))])
    before = await _rows_written(opened)
    await opened.commit([put("Patient", "1", 2, entries=_entries(1))])
    assert await _rows_written(opened) - before == 2  # the version, and the resource's row
    before = await _rows_written(opened)
    await opened.commit([put("Patient", "1", 3, entries=_entries(1) | {"code": (Token("", "x"),)})])
    assert await _rows_written(opened) - before == 4
    await opened.close()
