"""The log: versions in the order of their commits, in one snapshot."""

from __future__ import annotations

import pytest
from store.making import SECOND, Clock, commit_all, put, removal

from fhirserver.store.port import LogQuery, Store, Version

START = 1_000_000 * SECOND


def _short(versions: list[Version]) -> str:
    return " ".join(f"{version.type[0]}{version.id}.{version.version}" for version in versions)


@pytest.fixture
async def told(store: Store, clock: Clock) -> Store:
    steps = (
        [put("Patient", "1")],
        [put("Group", "1")],
        [put("Patient", "1", 2)],
        [put("Device", "1")],
        [removal("Group", "1", 2)],
    )
    for n, changes in enumerate(steps):
        clock.now = START + 10 * n * SECOND
        await commit_all(store, changes)
    return store


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (LogQuery(), "P1.1 G1.1 P1.2 D1.1 G1.2"),
        (LogQuery(("Patient",)), "P1.1 P1.2"),
        (LogQuery(("Patient", "Group")), "P1.1 G1.1 P1.2 G1.2"),
        (LogQuery(("Patient", "Account")), "P1.1 P1.2"),
        (LogQuery(("Account",)), ""),
        (LogQuery(since=START + 20 * SECOND), "P1.2 D1.1 G1.2"),
        (LogQuery(("Group",), since=START + 20 * SECOND), "G1.2"),
        (LogQuery(current=True), "P1.2 D1.1"),
        (LogQuery(("Patient",), current=True), "P1.2"),
        (LogQuery(since=START + 25 * SECOND, current=True), "D1.1"),
    ],
)
async def test_a_log(told: Store, query: LogQuery, expected: str) -> None:
    found = [version async for version in told.log(query)]
    assert _short(found) == expected
    for version in found:
        assert await told.read(version.type, version.id, version.version) == version


@pytest.mark.parametrize("current", [False, True])
async def test_a_walk_sees_one_snapshot_however_long(store: Store, current: bool) -> None:
    many = [f"{number:04}" for number in range(450)]
    for start in range(0, 450, 50):
        await commit_all(store, [put("Patient", id) for id in many[start : start + 50]])
    seen = []
    async for version in store.log(LogQuery(current=current)):
        seen.append(version)
        if len(seen) == 10:
            await commit_all(store, [put("Patient", many[400], 2), put("Patient", "new")])
            await store.commit([removal("Patient", many[401], 2)])
    assert [version.id for version in seen] == many
    assert {version.version for version in seen} == {1}


async def test_the_log_of_an_empty_store_is_empty(store: Store) -> None:
    assert [version async for version in store.log(LogQuery())] == []
