"""Restore: a store becomes what another one was."""

from __future__ import annotations

import pytest
from store.making import SECOND, Clock, put, walk, walk_history

from fhirserver.search.entry import Entries, Token
from fhirserver.search.expression import Query, TokenIs, TokenValue
from fhirserver.store.port import HistoryQuery, Kept, Key, Stale, Store, Version

AT = 900_000 * SECOND


def kept(
    type: str, id: str, version: int, instant: int = AT, entries: Entries | None = None
) -> Kept:
    change = put(type, id, version, entries)
    assert change.body is not None
    body = change.body.stamped(instant)
    return Kept(Version(type, id, version, instant, "PUT", body), change.entries)


def gone(type: str, id: str, version: int, instant: int = AT) -> Kept:
    return Kept(Version(type, id, version, instant, "DELETE", None), {})


def _sex(code: str) -> Entries:
    return {"gender": (Token("", code),)}


async def test_versions_come_back_as_they_were(store: Store) -> None:
    told = [
        kept("Patient", "1", 1, AT, _sex("male")),
        kept("Group", "1", 4, AT),  # what came before was expunged
        kept("Patient", "1", 2, AT + SECOND, _sex("female")),
        gone("Group", "1", 5, AT + 2 * SECOND),
        kept("Patient", "1", 7, AT + 3 * SECOND, _sex("other")),
    ]
    await store.restore(told[:2])
    await store.restore(told[2:])
    found = await walk_history(store, HistoryQuery())
    assert found[::-1] == [one.version for one in told]
    assert await store.counts() == {"Patient": 1}
    for code, expected in (("other", [Key("Patient", "1")]), ("male", []), ("female", [])):
        where = TokenIs("gender", (TokenValue(None, code),))
        assert await walk(store, Query(("Patient",), where)) == expected


async def test_writing_goes_on_from_there(store: Store, clock: Clock) -> None:
    clock.now = AT  # a clock that is behind what was restored
    await store.restore([kept("Patient", "1", 3, AT + SECOND)])
    with pytest.raises(Stale):
        await store.commit([put("Patient", "1", 3)])
    done = await store.commit([put("Patient", "1", 4)])
    assert done.instant >= AT + SECOND
    await store.commit([put("Patient", "2")])
    assert await store.counts() == {"Patient": 2}


@pytest.mark.parametrize(
    "late",
    [
        kept("Patient", "1", 2, AT),
        kept("Patient", "1", 1, AT),
        gone("Patient", "1", 2, AT),
        kept("Patient", "1", 3, AT - SECOND),
        kept("Patient", "2", 1, AT - SECOND),
    ],
    ids=["the same", "older", "deleted", "earlier", "another's, earlier"],
)
async def test_what_is_not_newer_is_refused_with_all_that_came_with_it(
    store: Store, late: Kept
) -> None:
    await store.restore([kept("Patient", "1", 2)])
    with pytest.raises(Stale):
        await store.restore([kept("Patient", "9", 1), late])
    assert len(await walk_history(store, HistoryQuery())) == 1
    assert await store.counts() == {"Patient": 1}


async def test_bytes_that_are_not_of_the_version_are_refused(store: Store) -> None:
    version, entries, _ = kept("Patient", "1", 2)
    for wrong in (
        version._replace(version=3),
        version._replace(id="2"),
        version._replace(last_updated=AT + SECOND),
    ):
        with pytest.raises(ValueError, match="bytes"):
            await store.restore([Kept(wrong, entries)])
    assert await store.counts() == {}


async def test_a_deletion_can_be_restored_by_itself(store: Store) -> None:
    await store.restore([gone("Patient", "1", 2)])
    found = await store.read("Patient", "1")
    assert found is not None
    assert found.body is None
    assert await store.counts() == {}
