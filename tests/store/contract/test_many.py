"""Searches with lists of very many resources: as with a few, also of what is made later."""

from __future__ import annotations

import pytest
from store.making import ids, put, walk

from fhirserver.search.entry import Reference
from fhirserver.search.expression import (
    And,
    Chain,
    Expression,
    Has,
    IdIs,
    Not,
    Or,
    Query,
    ReferenceIs,
    Target,
)
from fhirserver.search.many import Many
from fhirserver.store.port import Store

OUT = Many(f"p{number}" for number in range(0, 400, 2))
TARGETS = Many(Target("Patient", id) for id in OUT)
OTHERS = OUT.without(["p2", "nobody"])
OTHER_TARGETS = TARGETS.without([Target("Patient", "p2")])


def about(targets: tuple[Target, ...]) -> Expression:
    return ReferenceIs("subject", targets)


async def fill(store: Store) -> None:
    for number in range(6):
        await store.commit([put("Patient", f"p{number}")])
        subject = {"subject": (Reference("Patient", f"p{number}"),)}
        await store.commit([put("Observation", f"o{number}", entries=subject)])
    await store.commit([put("Observation", "o-none")])
    both = {"subject": (Reference("Patient", "p2"), Reference("Patient", "p4"))}
    await store.commit([put("Observation", "o-two", entries=both)])


@pytest.mark.parametrize(
    ("type", "where", "expected"),
    [
        ("Patient", IdIs(OUT), "p0 p2 p4"),
        ("Patient", Not(IdIs(OUT)), "p1 p3 p5"),
        ("Patient", IdIs(OTHERS), "p0 p4"),
        ("Patient", Not(IdIs(OTHERS)), "p1 p2 p3 p5"),
        ("Observation", about(TARGETS), "o-two o0 o2 o4"),
        ("Observation", Not(about(TARGETS)), "o-none o1 o3 o5"),
        ("Observation", Not(about(OTHER_TARGETS)), "o-none o1 o2 o3 o5"),
        ("Observation", Or((about(TARGETS), IdIs(("o1",)))), "o-two o0 o1 o2 o4"),
        ("Observation", And((Not(about(TARGETS)), IdIs(("o1", "o2")))), "o1"),
        ("Observation", Chain("subject", ("Patient",), Not(IdIs(OUT))), "o1 o3 o5"),
        ("Patient", Has("Observation", "subject", Not(about(TARGETS))), "p1 p3 p5"),
    ],
)
async def test_what_many_mean(store: Store, type: str, where: Expression, expected: str) -> None:
    await fill(store)
    found = await walk(store, Query((type,), where, count=2))
    assert sorted(ids(found).split()) == expected.split()
    page = await store.search(Query((type,), where, count=0, total=True))
    assert page.total == len(expected.split())


async def test_what_was_not_there_when_the_list_was_first_used(store: Store) -> None:
    await fill(store)
    where = Not(about(TARGETS))
    assert len(await walk(store, Query(("Observation",), where))) == 4
    subject = {"subject": (Reference("Patient", "p100"),)}
    await store.commit([put("Observation", "late", entries=subject)])
    assert len(await walk(store, Query(("Observation",), where))) == 4
    await store.commit([put("Patient", "p100")])
    assert len(await walk(store, Query(("Observation",), where))) == 4
    assert "p100" in ids(await walk(store, Query(("Patient",), IdIs(OUT))))


async def test_many_lists(store: Store) -> None:
    await fill(store)
    for number in range(300):
        some = Many([Target("Patient", "p0"), Target("Patient", f"x{number}")])
        found = await walk(store, Query(("Observation",), about(some)))
        assert ids(found) == "o0"
    assert len(await walk(store, Query(("Observation",), about(TARGETS)))) == 4
