"""Expunge: versions go for good, and what stays is a coherent store."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace

import pytest
from store.making import Clock, commit_all, put, removal, walk, walk_history

from fhirserver.search.entry import Entries, Reference, Token
from fhirserver.search.expression import (
    EVERYTHING,
    Query,
    ReferenceIs,
    SortKey,
    Target,
    TokenIs,
    TokenValue,
)
from fhirserver.store.port import Expunge, HistoryQuery, Key, Stale, Store, Version

BOTH = Expunge(previous=True, deleted=True)


def _short(versions: list[Version]) -> str:
    return " ".join(f"{version.type[0]}{version.id}.{version.version}" for version in versions)


def _sex(code: str) -> Entries:
    return {"gender": (Token("", code),)}


@pytest.fixture
async def told(store: Store) -> Store:
    """Patient 1 lives in its third version, Patient 2 and Group 1 were deleted."""
    await commit_all(store, [put("Patient", "1"), put("Patient", "2", 1, _sex("male"))])
    await commit_all(store, [put("Patient", "1", 2), put("Group", "1")])
    await store.commit([removal("Patient", "2", 2)])
    await store.commit([put("Patient", "1", 3, _sex("female"))])
    await store.commit([removal("Group", "1", 2)])
    return store


CASES = {
    "nothing": (Expunge(), 0, "G1.2 P1.3 P2.2 G1.1 P1.2 P2.1 P1.1"),
    "previous versions": (Expunge(previous=True), 2, "G1.2 P1.3 P2.2 G1.1 P2.1"),
    "deleted resources": (Expunge(deleted=True), 4, "P1.3 P1.2 P1.1"),
    "both": (BOTH, 6, "P1.3"),
    "of a type": (replace(BOTH, type="Patient"), 4, "G1.2 P1.3 G1.1"),
    "of a type that is not there": (
        replace(BOTH, type="Device"),
        0,
        "G1.2 P1.3 P2.2 G1.1 P1.2 P2.1 P1.1",
    ),
    "of an instance": (
        replace(BOTH, type="Patient", id="1"),
        2,
        "G1.2 P1.3 P2.2 G1.1 P2.1",
    ),
    "of an instance that is not there": (
        replace(BOTH, type="Patient", id="9"),
        0,
        "G1.2 P1.3 P2.2 G1.1 P1.2 P2.1 P1.1",
    ),
    "of a deleted instance, the oldest first": (
        replace(BOTH, type="Patient", id="2", limit=1),
        1,
        "G1.2 P1.3 P2.2 G1.1 P1.2 P1.1",
    ),
}


@pytest.mark.parametrize("name", CASES)
async def test_what_goes_and_what_stays(told: Store, name: str) -> None:
    what, count, left = CASES[name]
    assert await told.expunge(what) == count
    versions = await walk_history(told, HistoryQuery())
    assert sorted(_short(versions).split()) == sorted(left.split())
    for version in versions:
        assert await told.read(version.type, version.id, version.version) == version


async def test_no_more_than_the_limit_go_at_once(told: Store) -> None:
    counts = []
    while count := await told.expunge(replace(BOTH, limit=2)):
        counts.append(count)
        for version in await walk_history(told, HistoryQuery()):
            chain = await walk_history(told, HistoryQuery(version.type, version.id))
            numbers = [one.version for one in chain]
            assert numbers == list(range(numbers[0], numbers[-1] - 1, -1))
    assert counts == [2, 2, 2]


async def test_what_was_expunged_is_as_if_it_had_never_been(told: Store) -> None:
    await told.expunge(BOTH)
    assert await told.read("Patient", "2") is None
    assert await told.read("Patient", "2", 1) is None
    assert (await told.history(HistoryQuery("Patient", "2"))).total == 0
    assert await told.counts() == {"Patient": 1}
    await told.commit([put("Patient", "2")])
    found = await told.read("Patient", "2")
    assert found is not None
    assert found.version == 1


async def test_the_current_version_stays_searchable(told: Store) -> None:
    await told.expunge(BOTH)
    for code, expected in (("female", [Key("Patient", "1")]), ("male", [])):
        where = TokenIs("gender", (TokenValue(None, code),))
        assert await walk(told, Query(("Patient",), where)) == expected


async def test_who_refers_to_what_was_expunged_still_does(told: Store) -> None:
    refers: Entries = {"member": (Reference("Patient", "2"),)}
    await told.commit([put("Group", "2", 1, refers)])
    await told.expunge(BOTH)
    query = Query(("Group",), ReferenceIs("member", (Target("Patient", "2"),)))
    assert await walk(told, query) == [Key("Group", "2")]
    await told.commit([put("Patient", "2")])
    assert await walk(told, query) == [Key("Group", "2")]


async def test_walks_under_way_go_on_without_what_went(told: Store, clock: Clock) -> None:
    await commit_all(told, [put("Patient", str(number)) for number in range(10, 20)])
    search = Query(("Patient",), EVERYTHING, count=4)
    history = HistoryQuery("Patient", count=4)
    first, past = await told.search(search), await told.history(history)
    assert first.next is not None
    assert past.next is not None
    await told.commit([removal("Patient", "19", 2)])
    await told.expunge(BOTH)
    await told.commit([put("Patient", "new")])
    rest = await walk(told, replace(search, after=first.next))
    seen = [Key(one.type, one.id) for one in first.versions] + rest
    everybody = ["1", *map(str, range(10, 19))]
    assert sorted(seen) == [Key("Patient", id) for id in sorted(everybody)]
    older = await told.history(replace(history, after=past.next, count=50))
    assert _short(sorted(older.versions)) == "P1.3 P10.1 P11.1 P12.1 P13.1 P14.1 P15.1"


@pytest.mark.parametrize(
    "key",
    [
        SortKey("_lastUpdated", "date"),
        SortKey("_lastUpdated", "date", True),
        SortKey("_id", "token"),
    ],
    ids=["changed", "changed, newest first", "id"],
)
async def test_a_sorted_walk_goes_on_too(store: Store, clock: Clock, key: SortKey) -> None:
    ids = [f"p{number}" for number in range(9)]
    for id in ids:
        clock.now += 1_000_000
        await store.commit([put("Patient", id)])
    query = Query(("Patient",), EVERYTHING, sort=(key,), count=3)
    first = await store.search(query)
    changed = {"p1", "p4", "p7"}
    await commit_all(store, [put("Patient", id, 2) for id in changed])
    await store.expunge(BOTH)
    rest = await walk(store, replace(query, after=first.next))
    found = [one.id for one in first.versions] + [one.id for one in rest]
    assert sorted(id for id in found if id not in changed) == sorted(set(ids) - changed)


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize(("seconds", "left"), [(0, ""), (1, "p4"), (3, "p4 p3 p2")])
async def test_a_history_since_an_instant_goes_on_when_its_end_went(
    store: Store, clock: Clock, count: int, seconds: int, left: str
) -> None:
    for number in range(6):
        clock.now += 1_000_000
        await store.commit([put("Patient", f"p{number}")])
    since = clock.now - seconds * 1_000_000
    await store.commit([removal("Patient", "p5", 2)])
    query = HistoryQuery("Patient", since=since, count=count)
    first = await store.history(query)
    await store.expunge(BOTH)
    seen = [one.id for one in first.versions]
    while first.next is not None:
        first = await store.history(replace(query, after=first.next))
        seen += [one.id for one in first.versions]
    assert [id for id in seen if id != "p5"] == left.split()


async def test_numbers_of_commits_are_not_given_twice(store: Store) -> None:
    await store.commit([put("Patient", "1")])
    last = await store.commit([removal("Patient", "1", 2)])
    assert await store.expunge(BOTH) == 2
    assert (await store.commit([put("Patient", "1")])).number > last.number


async def test_instants_do_not_go_back_after_it(store: Store, clock: Clock) -> None:
    await store.commit([put("Patient", "1")])
    last = await store.commit([removal("Patient", "1", 2)])
    await store.expunge(BOTH)
    clock.now -= 60_000_000
    assert (await store.commit([put("Patient", "2")])).instant >= last.instant


async def test_it_races_with_writers_and_all_stays_coherent(store: Store) -> None:
    async def write(id: str) -> None:
        """Puts and deletes it by turns, from what is there."""
        for step in range(12):
            there = await store.read("Patient", id)
            number = there.version + 1 if there else 1
            lives = there is not None and there.body is not None
            make = removal if lives and step % 3 else put
            with suppress(Stale):
                await store.commit([make("Patient", id, number)])

    async def expunge() -> None:
        while not all(writer.done() for writer in writers):
            await store.expunge(replace(BOTH, limit=3))
            await asyncio.sleep(0)

    ids = [f"p{number}" for number in range(6)]
    writers = [asyncio.create_task(write(id)) for id in ids]
    await asyncio.gather(expunge(), *writers)
    while await store.expunge(BOTH):
        pass
    live = []
    for id in ids:
        there = await store.read("Patient", id)
        chain = await walk_history(store, HistoryQuery("Patient", id))
        assert chain == ([there] if there else [])
        if there is not None:
            assert there.body is not None
            live.append(Key("Patient", id))
    assert sorted(await walk(store, Query(("Patient",), EVERYTHING))) == live
    assert (await store.counts()).get("Patient", 0) == len(live)
