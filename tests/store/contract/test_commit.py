"""Commits: all or nothing, in one order, with what they rely on."""

from __future__ import annotations

import asyncio

import pytest
from store.making import SECOND, Clock, commit_all, needs_transactions, put, removal, walk

from fhirserver.errors import NotSupported
from fhirserver.search.entry import Reference, Token
from fhirserver.search.expression import (
    EVERYTHING,
    NOTHING,
    Chain,
    Has,
    IdIs,
    Not,
    Query,
    ReferenceIs,
    Target,
    TokenValue,
)
from fhirserver.search.expression import TokenIs as Is
from fhirserver.store.port import Committed, Expectation, Key, ServerStore, Stale, Store

CODE = {"code": (Token("s", "a"),)}
HAS_CODE = Is("code", (TokenValue("s", "a"),))
NOBODY = Expectation(("Patient",), HAS_CODE, ())


async def test_commits_are_numbered_and_never_go_back_in_time(store: Store, clock: Clock) -> None:
    first = await store.commit([put("Patient", "1")])
    clock.now -= 3600 * SECOND
    second = await store.commit([put("Patient", "2")])
    clock.now += 7200 * SECOND
    third = await store.commit([put("Patient", "1", 2)])
    assert first.number < second.number < third.number
    assert first.instant == second.instant < third.instant


@pytest.mark.parametrize("version", [2, 3, 7])
async def test_a_first_version_has_number_1(store: Store, version: int) -> None:
    with pytest.raises(Stale):
        await store.commit([put("Patient", "1", version)])


@pytest.mark.parametrize("version", [1, 2, 4])
async def test_a_version_follows_the_stored_one(store: Store, version: int) -> None:
    await store.commit([put("Patient", "1")])
    await store.commit([removal("Patient", "1", 2)])
    with pytest.raises(Stale):
        await store.commit([put("Patient", "1", version)])
    await store.commit([put("Patient", "1", 3)])


async def test_one_stale_change_undoes_all_others(store: Store) -> None:
    needs_transactions(store)
    await store.commit([put("Patient", "1", entries=CODE)])
    with pytest.raises(Stale):
        await store.commit([
            put("Patient", "2", entries=CODE),
            put("Patient", "1", 2),
            removal("Group", "1", 2),
        ])  # fmt: skip
    assert await store.read("Patient", "2") is None
    assert await walk(store, Query(("Patient",), HAS_CODE)) == [Key("Patient", "1")]
    assert (await store.read("Patient", "1")).version == 1  # type: ignore[union-attr]
    await store.commit([put("Patient", "2")])


async def test_without_transactions_several_changes_are_refused(store: Store) -> None:
    changes = [put("Patient", "1"), put("Patient", "2")]
    if store.atomic:
        await store.commit(changes)
    else:
        with pytest.raises(NotSupported, match="batch"):
            await store.commit(changes)
    assert len(await walk(store, Query(("Patient",)))) == (2 if store.atomic else 0)


async def test_two_changes_of_one_resource_are_the_callers_fault(store: Store) -> None:
    with pytest.raises(ValueError, match="two changes"):
        await store.commit([put("Patient", "1"), put("Patient", "1", 2)])


async def test_a_commit_of_nothing_can_still_check(store: Store) -> None:
    done = await store.commit([put("Patient", "1", entries=CODE)])
    assert await store.commit([]) == Committed(done.number, done.instant)
    found = Expectation(("Patient",), HAS_CODE, (Key("Patient", "1"),))
    await store.commit([], before=[found], after=[found])
    with pytest.raises(Stale):
        await store.commit([], before=[NOBODY])


async def test_an_expectation_before_sees_the_state_without_the_changes(store: Store) -> None:
    await store.commit([put("Patient", "1", entries=CODE)], before=[NOBODY])
    with pytest.raises(Stale):
        await store.commit([put("Patient", "2", entries=CODE)], before=[NOBODY])
    assert await store.read("Patient", "2") is None


async def test_an_expectation_after_sees_the_state_with_the_changes(store: Store) -> None:
    with pytest.raises(Stale):
        await store.commit([put("Patient", "1", entries=CODE)], after=[NOBODY])
    assert await store.read("Patient", "1") is None
    await store.commit(
        [put("Patient", "1", entries=CODE)],
        after=[Expectation(("Patient",), HAS_CODE, (Key("Patient", "1"),))],
    )


async def test_of_an_expectation_two_are_looked_for(store: Store) -> None:
    keys = [Key("Patient", str(n)) for n in range(4)]
    await commit_all(store, [put(*key, entries=CODE) for key in keys])
    await store.commit([], before=[Expectation(("Patient",), HAS_CODE, tuple(keys[:2]))])
    for wrong in ((), keys[:1], (keys[0], Key("Patient", "none"))):
        with pytest.raises(Stale):
            await store.commit([], before=[Expectation(("Patient",), HAS_CODE, tuple(wrong))])


async def test_nobody_may_refer_to_what_is_deleted(store: Store) -> None:
    refers = {"subject": (Reference("Patient", "1"),)}
    await commit_all(store, [put("Patient", "1"), put("Observation", "1", entries=refers)])
    nobody = Expectation((), ReferenceIs(None, (Target("Patient", "1"),)), ())
    with pytest.raises(Stale):
        await store.commit([removal("Patient", "1", 2)], after=[nobody])
    if store.atomic:
        both = [removal("Patient", "1", 2), removal("Observation", "1", 2)]
        await store.commit(both, after=[nobody])
    else:
        await store.commit([removal("Observation", "1", 2)])
        await store.commit([removal("Patient", "1", 2)], after=[nobody])


async def test_expectations_over_all_types(store: Store) -> None:
    await commit_all(store, [put("Patient", "1"), put("Group", "1")])
    both = (Key("Group", "1"), Key("Patient", "1"))
    await store.commit([], before=[Expectation((), EVERYTHING, both)])
    await store.commit([], before=[Expectation((), IdIs(("1",)), both)])
    await store.commit([], before=[Expectation((), NOTHING, ())])


async def test_of_racing_conditional_creates_one_wins(store: Store) -> None:
    async def create(n: int) -> bool:
        try:
            await store.commit([put("Patient", f"p{n}", entries=CODE)], before=[NOBODY])
        except Stale:
            return False
        return True

    won = await asyncio.gather(*(create(n) for n in range(64)))
    assert sum(won) == 1
    assert await walk(store, Query(("Patient",), HAS_CODE)) == [
        Key("Patient", f"p{won.index(True)}")
    ]


async def test_of_racing_updates_of_one_version_one_wins(store: Store) -> None:
    await store.commit([put("Patient", "1")])

    async def update(n: int) -> bool:
        try:
            await store.commit([put("Patient", "1", 2, active=bool(n % 2))])
        except Stale:
            return False
        return True

    assert sum(await asyncio.gather(*(update(n) for n in range(64)))) == 1


async def test_a_failed_commit_takes_no_other_with_it(store: Store) -> None:
    await store.commit([put("Patient", "0")])
    outcomes = await asyncio.gather(
        *(store.commit([put("Patient", str(n % 20), entries=CODE)]) for n in range(40)),
        return_exceptions=True,
    )
    good = [outcome for outcome in outcomes if isinstance(outcome, Committed)]
    assert len(good) == 19
    assert len({outcome.number for outcome in good}) == 19
    assert len(await walk(store, Query(("Patient",), HAS_CODE))) == 19


async def test_an_update_replaces_what_it_is_found_by(store: Store) -> None:
    await store.commit([put("Patient", "1", entries=CODE)])
    await store.commit([put("Patient", "1", 2, entries={"code": (Token("s", "b"),)})])
    assert await walk(store, Query(("Patient",), HAS_CODE)) == []
    other = Is("code", (TokenValue(None, "b"),))
    assert await walk(store, Query(("Patient",), other)) == [Key("Patient", "1")]
    await store.commit([removal("Patient", "1", 3)])
    assert await walk(store, Query(("Patient",), other)) == []
    assert await walk(store, Query(("Patient",))) == []


async def test_a_reference_may_point_to_what_comes_later(store: Store) -> None:
    refers = {"subject": (Reference("Patient", "1"),)}
    await store.commit([put("Observation", "1", entries=refers)])
    assert await store.read("Patient", "1") is None
    assert await walk(store, Query(("Patient",))) == []
    await store.commit([put("Patient", "1")])
    found = await walk(
        store, Query(("Observation",), ReferenceIs("subject", (Target("Patient", "1"),)))
    )
    assert found == [Key("Observation", "1")]


async def test_a_closed_store_refuses(store: Store) -> None:
    await store.close()
    with pytest.raises(Exception, match="closed"):
        await store.commit([put("Patient", "1")])


async def test_an_expectation_follows_links_to_what_the_same_commit_changes(store: Store) -> None:
    needs_transactions(store)
    refers = {"subject": (Reference("Patient", "1"),)}
    await store.commit([put("Observation", "1", entries=refers), put("Patient", "1")])
    of_coded = Chain("subject", ("Patient",), HAS_CODE)
    observed = Has("Observation", "subject", EVERYTHING)
    coded = Expectation(("Observation",), of_coded, (Key("Observation", "1"),))
    changes = [put("Patient", "1", 2, CODE), put("Patient", "2")]
    with pytest.raises(Stale):
        await store.commit(changes, before=[coded])
    with pytest.raises(Stale):
        await store.commit(changes, after=[Expectation(("Observation",), Not(of_coded), coded.ids)])
    nobody_else = Expectation(("Patient",), Not(observed), (Key("Patient", "2"),))
    await store.commit(changes, after=[coded, nobody_else])
    moved = put("Observation", "1", 2, {"subject": (Reference("Patient", "2"),)})
    other = Expectation(("Patient",), observed, (Key("Patient", "2"),))
    with pytest.raises(Stale):
        await store.commit([moved], before=[other])
    await store.commit([moved], after=[other])
    await store.commit(
        [removal("Observation", "1", 3), removal("Patient", "2", 2)],
        after=[Expectation(("Patient",), observed, ()), Expectation((), of_coded, ())],
    )


async def test_a_note_is_kept_with_its_commit_until_it_is_forgotten(store: ServerStore) -> None:
    assert await store.noted() == []
    first = await store.commit([put("Patient", "1")], note=b"one")
    second = await store.commit([put("Patient", "2")], note=b"two")
    await store.commit([put("Patient", "3")])
    assert await store.noted() == [(first.number, b"one"), (second.number, b"two")]
    store.forget([first.number])
    await store.commit([put("Patient", "4")])
    assert await store.noted() == [(second.number, b"two")]


async def test_notes_of_commits_that_come_together(store: ServerStore) -> None:
    done = await asyncio.gather(
        *(store.commit([put("Patient", str(n))], note=str(n).encode()) for n in range(20))
    )
    expected = sorted((one.number, str(n).encode()) for n, one in enumerate(done))
    assert await store.noted() == expected
    store.forget([one.number for one in done])
    await store.commit([put("Patient", "20")], after=[NOBODY], note=b"last")
    assert [one.note for one in await store.noted()] == [b"last"]


async def test_what_is_refused_leaves_no_note(store: ServerStore) -> None:
    await store.commit([put("Patient", "1", entries=CODE)])
    with pytest.raises(Stale):
        await store.commit([put("Patient", "1", 3)], note=b"stale")
    with pytest.raises(Stale):
        await store.commit([put("Patient", "2", entries=CODE)], after=[NOBODY], note=b"refused")
    await store.commit([], note=b"nothing")
    assert await store.noted() == []
