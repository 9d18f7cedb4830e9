"""What is in effect, whatever happens between two looks at it."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest
from indexing.server import EYES, parameter
from store.making import SECOND, Clock, removal

from fhirserver.definitions.packaged import packaged
from fhirserver.indexing import registry as registry_module
from fhirserver.indexing.marks import Marked, Marks, change_marks, read_marks
from fhirserver.indexing.registry import REINDEX, Registry
from fhirserver.jobs.table import JobTable
from fhirserver.model.json import Resource
from fhirserver.model.resource import draft
from fhirserver.store.port import Change, Expunge, Version
from fhirserver.store.records import Records
from fhirserver.store.sqlite import SqliteStore

BASE = "http://example.org/fhir"
HAIR = parameter("hair", "token", "Patient.extension('http://example.org/hair').value")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(tmp_path: Path, clock: Clock) -> AsyncIterator[SqliteStore]:
    store = SqliteStore.open(tmp_path / "fhir.db", clock=clock)
    yield store
    await store.close()


@pytest.fixture
def table(store: SqliteStore, clock: Clock) -> JobTable:
    numbers = itertools.count(1)
    return JobTable(store.records, now=clock, new_id=lambda: f"{next(numbers):06}")


@pytest.fixture
def worker(store: SqliteStore, table: JobTable) -> Callable[[], Registry]:
    return lambda: Registry(store, store.records, table, packaged(), "none")


def version(resource: Resource, number: int = 1, **changed: object) -> Change:
    id = resource["id"]
    body = draft(resource | changed, id, number)
    return Change("SearchParameter", id, number, "PUT", body)


async def mark(store: SqliteStore, registry: Registry) -> None:
    """As a job does that has indexed all."""
    stamps = dict((await registry.refresh()).stamps)
    await change_marks(
        store.records, lambda marks: msgspec.structs.replace(marks, parameters=stamps)
    )
    assert not (await registry.refresh()).unready


async def test_a_mark_is_not_one_for_what_was_made_anew_after_an_expunge(
    store: SqliteStore, worker: Callable[[], Registry], clock: Clock
) -> None:
    await store.commit([version(EYES)])
    await mark(store, worker())
    await store.commit([removal("SearchParameter", "eye-colour", 2)])
    await store.expunge(Expunge("SearchParameter", "eye-colour", True, True, 10))
    clock.now += SECOND
    await store.commit([version(EYES, expression="Patient.gender")])
    assert (await worker().refresh()).unready == {"Patient"}


async def test_what_is_written_during_the_first_look_is_seen_by_the_next(
    store: SqliteStore,
    worker: Callable[[], Registry],
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await store.commit([version(EYES)])
    scan = store.scan

    async def meanwhile(type: str | None = None) -> AsyncIterator[Version]:
        async for found in scan(type):
            yield found
        clock.now += SECOND
        await store.commit([version(EYES, 2, status="retired")])
        clock.now += SECOND
        await store.commit([version(HAIR)])
        hair = await store.read("SearchParameter", "hair")
        assert hair is not None
        yield hair

    monkeypatch.setattr(store, "scan", meanwhile)
    registry = worker()
    await registry.refresh()
    assert set((await registry.refresh()).stamps) == {"hair"}


async def test_a_mark_is_taken_away_while_others_are_set(
    store: SqliteStore, worker: Callable[[], Registry], monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.commit([version(EYES)])
    registry = worker()
    await mark(store, registry)
    await store.commit([removal("SearchParameter", "eye-colour", 2)])

    async def contended(records: Records, change: Callable[[Marks], Marks]) -> Marked:
        await change_marks(
            records,
            lambda marks: msgspec.structs.replace(
                marks, parameters=marks.parameters | {"y": "1@1"}
            ),
        )
        return await change_marks(records, change)

    monkeypatch.setattr(registry_module, "change_marks", contended)
    await registry.refresh()
    marked = await read_marks(store.records)
    assert marked is not None
    assert marked.marks.parameters == {"y": "1@1"}


async def test_a_job_that_failed_is_made_again_in_time(
    store: SqliteStore, worker: Callable[[], Registry], table: JobTable, clock: Clock
) -> None:
    await store.commit([version(EYES)])
    registry = worker()
    await registry.current(BASE)
    await registry.current(BASE)  # which knows that the base was noted
    held = await table.get(f"sole-{REINDEX}")
    assert held is not None
    await table.change(held, state="failed")
    await registry.current(BASE)
    assert [held async for held in table.unfinished()] == []
    clock.now += 700 * SECOND
    await registry.current(BASE)
    assert [held.job.kind async for held in table.unfinished()] == [REINDEX]
