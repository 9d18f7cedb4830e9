"""Other entries for versions that stay, and who may rest on what is stored of a type."""

from __future__ import annotations

import asyncio

import pytest
from store.making import Clock, put, removal, walk

from fhirserver.search.entry import Contained, Entries, Reference, String, Token, Words
from fhirserver.search.expression import (
    IdIs,
    Query,
    ReferenceIs,
    SortKey,
    Target,
    TextIs,
    TokenIs,
    TokenValue,
)
from fhirserver.store.port import (
    Entered,
    Expectation,
    HistoryQuery,
    Key,
    Outdated,
    Stale,
    Store,
    Unchanged,
)

OLD = {"code": (Token("s", "a"), Token("s", "b")), "name": (String("xu", "Xu"),)}
NEW = {
    "code": (Token("s", "b"), Token("s", "c")),
    "subject": (Reference("Patient", "new"),),
    "_text": (Words("fever"),),
}


def code(value: str) -> Query:
    return Query(("Observation",), TokenIs("code", (TokenValue("s", value),)))


async def found(store: Store, query: Query) -> list[str]:
    return [id for _, id in await walk(store, query)]


async def test_other_entries_take_the_place_of_all(store: Store) -> None:
    await store.commit([put("Observation", "1", entries=OLD)])
    assert await store.reindex([Entered("Observation", "1", 1, NEW)]) == 1
    assert await found(store, code("a")) == []
    assert await found(store, code("b")) == ["1"]
    assert await found(store, code("c")) == ["1"]
    to_patient = ReferenceIs("subject", (Target("Patient", "new"),))
    assert await found(store, Query(("Observation",), to_patient)) == ["1"]
    assert await found(store, Query(("Observation",), TextIs("_text", (("fever",),)))) == ["1"]
    assert await store.reindex([Entered("Observation", "1", 1, OLD)]) == 1
    assert await found(store, code("a")) == ["1"]
    assert await found(store, Query(("Observation",), to_patient)) == []
    assert await found(store, Query(("Observation",), TextIs("_text", (("fever",),)))) == []


async def test_no_version_and_no_instant_changes(store: Store, clock: Clock) -> None:
    await store.commit([put("Observation", "1", entries=OLD)])
    before = await store.read("Observation", "1")
    number = await store.latest("Observation")
    clock.now += 1_000_000
    await store.reindex([Entered("Observation", "1", 1, NEW)])
    assert await store.read("Observation", "1") == before
    assert (await store.history(HistoryQuery("Observation", "1"))).total == 1
    assert await store.latest("Observation") == number
    await store.commit([put("Observation", "1", 2, entries=OLD)])


async def test_what_is_no_longer_current_is_passed_over(store: Store) -> None:
    await store.commit([put("Observation", "1", entries=OLD), put("Observation", "2", entries=OLD)])
    await store.commit([put("Observation", "1", 2, entries=OLD), removal("Observation", "2", 2)])
    entered = [Entered("Observation", id, 1, NEW) for id in ("1", "2", "never")]
    assert await store.reindex(entered) == 0
    assert await found(store, code("c")) == []
    assert await found(store, code("a")) == ["1"]


async def test_reindex_among_writers_loses_nothing(store: Store) -> None:
    """Whoever is last, the entries are those of the version that is there."""
    await store.commit([put("Observation", str(n), entries=OLD) for n in range(10)])

    async def write(number: int) -> None:
        newer = {"code": (Token("s", "newer"),)}
        await store.commit([put("Observation", str(number), 2, entries=newer)])

    async def enter(number: int) -> int:
        return await store.reindex([Entered("Observation", str(number), 1, NEW)])

    await asyncio.gather(*(do(n) for n in range(10) for do in (enter, write, enter)))
    assert len(await found(store, code("newer"))) == 10
    assert await found(store, code("c")) == []


async def test_a_walk_by_pages_goes_on(store: Store) -> None:
    await store.commit([put("Observation", f"{n:02}", entries=OLD) for n in range(10)])
    query = Query(("Observation",), TokenIs("code", (TokenValue("s", "b"),)), count=4)
    sorted_ = Query(query.types, query.where, (SortKey("_id", "token"),), count=4)
    page = await store.search(sorted_)
    await store.reindex([Entered("Observation", f"{n:02}", 1, NEW) for n in range(10)])
    rest = await walk(store, Query(query.types, query.where, sorted_.sort, 4, page.next))
    assert [*(v.id for v in page.versions), *(id for _, id in rest)] == [
        f"{n:02}" for n in range(10)
    ]


async def test_latest_grows_with_commits_of_the_type_only(store: Store) -> None:
    assert await store.latest("Patient") == 0
    await store.commit([put("Patient", "1")])
    first = await store.latest("Patient")
    assert first > 0
    await store.commit([put("Observation", "1")])
    assert await store.latest("Patient") == first
    await store.commit([put("Observation", "2"), put("Patient", "1", 2), put("Group", "1")])
    second = await store.latest("Patient")
    assert second > first
    await store.commit([removal("Patient", "1", 3)])
    assert await store.latest("Patient") > second


async def test_a_commit_that_rests_on_what_was_changed_is_outdated(store: Store) -> None:
    nothing = Unchanged("SearchParameter", await store.latest("SearchParameter"))
    await store.commit([put("Patient", "1")], unchanged=nothing)
    await store.commit([put("SearchParameter", "1")], unchanged=nothing)
    with pytest.raises(Outdated):
        await store.commit([put("Patient", "2")], unchanged=nothing)
    assert await store.read("Patient", "2") is None
    now = Unchanged("SearchParameter", await store.latest("SearchParameter"))
    await store.commit([put("Patient", "2")], unchanged=now)


async def test_entries_that_rest_on_what_was_changed_are_outdated(store: Store) -> None:
    await store.commit([put("Observation", "1", entries=OLD)])
    nothing = Unchanged("SearchParameter", await store.latest("SearchParameter"))
    assert await store.reindex([Entered("Observation", "1", 1, OLD)], nothing) == 1
    await store.commit([put("SearchParameter", "1")])
    with pytest.raises(Outdated):
        await store.reindex([Entered("Observation", "1", 1, NEW)], nothing)
    assert await found(store, code("c")) == []


async def test_of_those_who_rest_on_the_same_one_changes_it(store: Store) -> None:
    start = Unchanged("SearchParameter", await store.latest("SearchParameter"))

    async def add(number: int) -> bool:
        try:
            await store.commit([put("SearchParameter", str(number))], unchanged=start)
        except Outdated:
            return False
        return True

    assert sum(await asyncio.gather(*map(add, range(20)))) == 1


async def test_a_commit_that_fails_changes_nothing_to_rest_on(store: Store) -> None:
    start = Unchanged("SearchParameter", await store.latest("SearchParameter"))
    wrong = Expectation(("SearchParameter",), IdIs(("1",)), ())

    async def fail() -> None:
        with pytest.raises(Stale):
            await store.commit([put("SearchParameter", "1")], after=[wrong])

    await asyncio.gather(fail(), store.commit([put("Patient", "1")], unchanged=start))
    assert await store.read(*Key("Patient", "1")) is not None


async def test_what_is_contained_gets_other_entries_too(store: Store) -> None:
    def holding(value: str) -> Entries:
        part = Contained("#Patient", "Observation/1#p", {"code": (Token("s", value),)})
        return {"_contained": (part,), "_contained:type": (Token("", "Patient"),)}

    await store.commit([put("Observation", "1", entries=holding("a"))])
    assert await store.reindex([Entered("Observation", "1", 1, holding("b"))]) == 1
    for value, expected in (("a", []), ("b", ["Observation/1#p"])):
        where = TokenIs("code", (TokenValue("s", value),))
        assert await found(store, Query(("#Patient",), where)) == expected


@pytest.mark.parametrize("before", [(), ("p",), ("p", "q")])
@pytest.mark.parametrize("after", [(), ("q",), ("p", "q")])
async def test_what_is_contained_comes_and_goes(
    store: Store, before: tuple[str, ...], after: tuple[str, ...]
) -> None:
    """As with other rules about what of it is indexed."""

    def holding(names: tuple[str, ...]) -> Entries:
        code = {"code": (Token("s", "a"),)}
        parts = tuple(Contained("#Patient", f"Observation/1#{name}", code) for name in names)
        return {"_contained": parts, "_contained:type": (Token("", "Patient"),)} if parts else {}

    where = TokenIs("code", (TokenValue("s", "a"),))
    every = Query(("#Patient",), where, count=1)
    await store.commit([put("Observation", "1", entries=holding(before))])
    assert await store.reindex([Entered("Observation", "1", 1, holding(after))]) == 1
    assert sorted(await found(store, every)) == [f"Observation/1#{name}" for name in after]
    await store.commit([put("Patient", "2")])
    await store.commit([put("Observation", "1", 2, entries=holding(before))])
    assert sorted(await found(store, every)) == [f"Observation/1#{name}" for name in before]
    await store.commit([removal("Observation", "1", 3)])
    assert await found(store, every) == []
