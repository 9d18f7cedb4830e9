"""Walks over pages while others write."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

import pytest
from store.making import SECOND, Clock, commit_all, put, removal, walk

from fhirserver.errors import Invalid
from fhirserver.search.entry import Date, Number, Reference, Token
from fhirserver.search.expression import EVERYTHING, Expression, Query, SortKey, TokenIs, TokenValue
from fhirserver.store.port import Change, Key, Store

COUNT = 120
ODD = TokenIs("parity", (TokenValue(None, "odd"),))
ORDERS: dict[str, tuple[SortKey, ...]] = {
    "default": (),
    "id": (SortKey("_id", "token", True),),
    "changed": (SortKey("_lastUpdated", "date"),),
    "changed, newest first": (SortKey("_lastUpdated", "date", True),),
    "date": (SortKey("date", "date"), SortKey("_id", "token")),
    "number": (SortKey("number", "number", True),),
    "changed, then number": (SortKey("_lastUpdated", "date"), SortKey("number", "number")),
}


def _patient(n: int, version: int = 1, shift: int = 0) -> Change:
    entries = {
        "parity": (Token("", "odd" if n % 2 else "even"),),
        "number": (Number(n % 7 + shift, n % 7 + shift),),
        "date": (Date((n % 5 + shift) * SECOND, (n % 5 + shift + 1) * SECOND),),
    }
    return put("Patient", f"{n:03}", version, entries if n % 11 else {"parity": entries["parity"]})


@pytest.fixture
async def filled(store: Store, clock: Clock) -> Store:
    for start in range(0, COUNT, 20):
        await commit_all(store, [_patient(n) for n in range(start, start + 20)])
        clock.now += SECOND
    return store


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("where", [EVERYTHING, ODD], ids=["everything", "odd"])
async def test_a_walk_while_others_write(
    filled: Store, clock: Clock, order: str, where: Expression
) -> None:
    """What does not change comes once, what is new never, what changes at most once."""
    query = Query(("Patient",), where, sort=ORDERS[order], count=7)
    found: Counter[str] = Counter()
    page = await filled.search(query)
    changed, new = set(), set()
    for step in range(1000):
        found.update(version.id for version in page.versions)
        if page.next is None:
            break
        clock.now += SECOND
        some = [n for n in range(step * 3, COUNT, 17) if f"{n:03}" not in changed]
        await commit_all(
            filled,
            [_patient(n, 2, shift=3) for n in some[:3]]
            + [removal("Patient", f"{n:03}", 2) for n in some[3:4]]
            + [_patient(1000 + step)],
        )
        changed |= {f"{n:03}" for n in some[:4]}
        new.add(f"{1000 + step:03}")
        page = await filled.search(replace(query, after=page.next))
    assert max(found.values()) == 1
    assert not new & set(found)
    wanted = {f"{n:03}" for n in range(COUNT) if where == EVERYTHING or n % 2}
    assert wanted - changed <= set(found) <= wanted


@pytest.mark.parametrize("order", ["default", "id", "changed", "changed, newest first"])
async def test_what_only_changes_comes_once_in_orders_that_outlast_changes(
    filled: Store, clock: Clock, order: str
) -> None:
    query = Query(("Patient",), sort=ORDERS[order], count=7)
    found: Counter[str] = Counter()
    page = await filled.search(query)
    versions = Counter(dict.fromkeys(range(COUNT), 1))
    step = 0
    while True:
        found.update(version.id for version in page.versions)
        if page.next is None:
            break
        step += 1
        clock.now += SECOND
        some = list(range(step % 13, COUNT, 13))
        versions.update(some)
        await commit_all(filled, [_patient(n, versions[n]) for n in some])
        page = await filled.search(replace(query, after=page.next))
    assert found == Counter({f"{n:03}": 1 for n in range(COUNT)})


async def test_a_walk_with_a_busy_writer_gives_each_id_once(filled: Store) -> None:
    stop = asyncio.Event()

    async def write() -> int:
        n = 0
        while not stop.is_set():
            version = n // COUNT + 2
            await commit_all(filled, [_patient(n % COUNT, version), _patient(5000 + n)])
            n += 1
        return n

    writing = asyncio.create_task(write())
    for _ in range(5):
        found = []
        query = Query(("Patient",), count=5)
        while True:
            page = await filled.search(query)
            found += [version.id for version in page.versions]
            if page.next is None:
                break
            query = replace(query, after=page.next)
            await asyncio.sleep(0.001)
        assert len(found) == len(set(found))
        assert {f"{n:03}" for n in range(COUNT)} <= set(found)
    stop.set()
    assert await writing > 0


async def test_what_was_referred_to_before_it_was_created_is_new(filled: Store) -> None:
    refers = {"link": (Reference("Patient", "later"),)}
    await filled.commit([put("Group", "g", entries=refers)])
    first = await filled.search(Query(("Patient",), count=50))
    await filled.commit([put("Patient", "later")])
    rest = await walk(filled, Query(("Patient",), count=50, after=first.next))
    assert Key("Patient", "later") not in rest
    assert len(first.versions) + len(rest) == COUNT


@pytest.mark.parametrize("order", ["default", "id"])
async def test_a_cursor_of_something_else_is_refused(filled: Store, order: str) -> None:
    for cursor in (("x",), (1,), ("a", "b", "c"), (1, None, "x")):
        with pytest.raises(Invalid):
            await filled.search(Query(("Patient",), sort=ORDERS[order], after=cursor))
