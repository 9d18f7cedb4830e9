"""Records of a file that several write to: a new one is a statement of its own where it can be."""

from __future__ import annotations

import asyncio
from pathlib import Path

import apsw
import pytest
from store.making import SECOND, Clock, put

from fhirserver.store.port import Stale
from fhirserver.store.records import ABSENT
from fhirserver.store.sqlite import SqliteStore


async def test_a_place_that_another_process_took_is_taken(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "fhir.db"
    one, other = (SqliteStore.open(path, clock=clock) for _ in range(2))
    first = await one.records.put("job", "a", b"1", expected=ABSENT)
    with pytest.raises(Stale):
        await other.records.put("job", "a", b"2", expected=ABSENT)
    second = await other.records.put("job", "b", b"2", expected=ABSENT)
    assert second > first
    assert [record.body for record in await one.records.list("job")] == [b"1", b"2"]
    await one.close()
    await other.close()


async def test_a_new_record_waits_for_another_process(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "fhir.db"
    store = SqliteStore.open(path, clock=clock)
    other = apsw.Connection(str(path))
    other.execute("BEGIN IMMEDIATE")
    other.execute("INSERT INTO record(collection, key, body) VALUES('job', 'a', x'')")
    taken, free = (
        asyncio.create_task(store.records.put("job", key, b"1", expected=ABSENT)) for key in "ab"
    )
    await asyncio.sleep(0.05)
    assert not taken.done()
    other.execute("COMMIT")
    with pytest.raises(Stale):
        await taken
    assert await free > 0
    other.close()
    await store.close()


async def test_alone_or_with_others_it_is_the_same(tmp_path: Path, clock: Clock) -> None:
    store = SqliteStore.open(tmp_path / "fhir.db", clock=clock)
    await store.records.put("session", "old", b"", expires=clock.now + SECOND)
    clock.now += SECOND
    revisions = [await store.records.put("session", "old", b"1", expected=ABSENT)]
    revisions += await asyncio.gather(
        *(store.records.put("job", str(n), b"", expected=ABSENT) for n in range(50)),
    )
    await store.commit([put("Patient", "1")])
    revisions.append(await store.records.put("job", "last", b"", expected=ABSENT))
    assert revisions == sorted(set(revisions))
    assert len(await store.records.list("job")) == 51
    await store.close()
