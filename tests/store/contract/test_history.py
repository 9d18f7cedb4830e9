"""History: newest first, in the snapshot of the first page, by instant, type and system."""

from __future__ import annotations

from dataclasses import replace

import pytest
from store.making import SECOND, Clock, commit_all, put, removal, walk_history

from fhirserver.errors import Invalid
from fhirserver.model.temporal import ALWAYS, Interval
from fhirserver.store.port import HistoryQuery, Store, Version

START = 1_000_000 * SECOND


def _at(seconds: int) -> int:
    return START + seconds * SECOND


@pytest.fixture
async def told(store: Store, clock: Clock) -> Store:
    """A store in which something happens every ten seconds."""
    steps = (
        [put("Patient", "1", method="POST"), put("Patient", "2")],  # at 0
        [put("Patient", "1", 2)],  # at 10
        [put("Group", "1")],  # at 20
        [removal("Patient", "1", 3)],  # at 30
        [put("Patient", "1", 4)],  # at 40
    )
    for n, changes in enumerate(steps):
        clock.now = _at(10 * n)
        await commit_all(store, changes)
    return store


def _short(versions: list[Version]) -> str:
    return " ".join(f"{version.type[0]}{version.id}.{version.version}" for version in versions)


HISTORIES = {
    "instance": (HistoryQuery("Patient", "1"), "P1.4 P1.3 P1.2 P1.1"),
    "type": (HistoryQuery("Patient"), "P1.4 P1.3 P1.2 P2.1 P1.1"),
    "system": (HistoryQuery(), "P1.4 P1.3 G1.1 P1.2 P2.1 P1.1"),
    "other type": (HistoryQuery("Device"), ""),
    "unknown": (HistoryQuery("Patient", "none"), ""),
    "since an instant, itself included": (HistoryQuery(since=_at(20)), "P1.4 P1.3 G1.1"),
    "since between two": (HistoryQuery("Patient", since=_at(25)), "P1.4 P1.3"),
    "since the future": (HistoryQuery(since=_at(99)), ""),
    "since the past": (HistoryQuery("Patient", "1", since=0), "P1.4 P1.3 P1.2 P1.1"),
    "at an instant": (HistoryQuery(at=Interval(_at(15), _at(15) + 1)), "P1.2 P2.1"),
    "at a time that ends with a change": (
        HistoryQuery("Patient", "1", at=Interval(_at(11), _at(30))),
        "P1.2",
    ),
    "at a time that begins with a change": (
        HistoryQuery("Patient", "1", at=Interval(_at(30), _at(35))),
        "P1.3",
    ),
    "at a time before all": (HistoryQuery(at=Interval(0, START)), ""),
    "at a time after all": (
        HistoryQuery(at=Interval(_at(100), _at(200))),
        "P1.4 G1.1 P2.1",
    ),
    "at and since": (
        HistoryQuery("Patient", since=_at(10), at=Interval(_at(5), _at(31))),
        "P1.3 P1.2",
    ),
    "always": (HistoryQuery("Group", at=ALWAYS), "G1.1"),
}


@pytest.mark.parametrize("name", HISTORIES)
@pytest.mark.parametrize("count", [1, 2, 50])
async def test_a_history(told: Store, name: str, count: int) -> None:
    query, expected = HISTORIES[name]
    versions = await walk_history(told, replace(query, count=count))
    assert sorted(_short(versions).split()) == sorted(expected.split())
    instants = [version.last_updated for version in versions]
    assert instants == sorted(instants, reverse=True)
    if "." in expected and "P2.1" not in expected:
        assert _short(versions) == expected


async def test_versions_of_a_history_are_those_that_are_read(told: Store) -> None:
    for version in await walk_history(told, HistoryQuery()):
        assert version == await told.read(version.type, version.id, version.version)


async def test_a_history_of_no_versions_still_counts(told: Store) -> None:
    page = await told.history(HistoryQuery("Patient", count=0))
    assert (list(page.versions), page.total, page.next) == ([], 5, None)


async def test_a_walk_sees_nothing_that_came_after_its_first_page(
    told: Store, clock: Clock
) -> None:
    query = HistoryQuery("Patient", count=2)
    first = await told.history(query)
    clock.now = _at(60)
    await commit_all(told, [put("Patient", "1", 5), put("Patient", "3")])
    rest = await told.history(replace(query, after=first.next, count=10))
    assert _short([*first.versions, *rest.versions]) == "P1.4 P1.3 P1.2 P2.1 P1.1"
    assert (first.total, rest.total, rest.next) == (5, 5, None)


async def test_a_cursor_of_something_else_is_refused(told: Store) -> None:
    with pytest.raises(Invalid):
        await told.history(HistoryQuery(after=("x",)))
