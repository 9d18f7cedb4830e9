"""Whatever is done to the stored trail is found, and where."""

from __future__ import annotations

import asyncio
import random
import shutil
import tracemalloc
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from audit.conftest import TENANT, opened, patient
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.app.audit import checkpoints_of, key_of
from fhirserver.audit import verify as verification
from fhirserver.audit.chain import Place, found, genesis, link, place_of
from fhirserver.audit.checkpoint import Checkpoint, Checkpoints, Damaged, key_name
from fhirserver.audit.segment import Linked, Segment
from fhirserver.audit.verify import Verification, Verified
from fhirserver.model.resource import redrafted
from fhirserver.store.port import LogQuery, Version

_EVENTS = 12


class Recorded(NamedTuple):
    """A trail of two lanes, as the store and the data folder have it."""

    versions: tuple[Version, ...]
    checkpoints: tuple[Checkpoint, ...]
    key: bytes


class Held:
    """Versions and checkpoints as a store and a folder would give them."""

    def __init__(
        self,
        versions: list[Version],
        checkpoints: list[Checkpoint],
        unfiled: Sequence[Version] = (),
        later: Sequence[Version] = (),
    ) -> None:
        self._versions = versions
        self._checkpoints = checkpoints
        self._unfiled = unfiled
        self._later = later

    async def log(self, query: LogQuery) -> AsyncIterator[Version]:
        for version in self._versions:
            yield version

    async def read(self, type: str, id: str) -> Version | None:
        there = [*self._later, *reversed(self._versions)]
        return next((item for item in there if item.id == id), None)

    async def listed(self) -> AsyncIterator[Segment]:
        for version in self._unfiled:
            event = found(version)
            assert event is not None
            yield Segment(version.id, (Linked(version.id, *event),))

    async def stored(self) -> AsyncIterator[Checkpoint]:
        for checkpoint in self._checkpoints:
            yield checkpoint

    def copies(self) -> list[Checkpoint]:
        return []


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    return asyncio.run(_record(tmp_path_factory.mktemp("trail")))


async def _record(data: Path) -> Recorded:
    for _ in range(2):
        async with opened(data) as world:
            await world.put(patient("p1"))
            for _ in range(_EVENTS - 3):
                await world.ask("read", "Patient", id="p1")
    async with opened(data) as world:
        versions = [item async for item in world.running.store.log(LogQuery(("AuditEvent",)))]
        found = [
            item async for item in checkpoints_of(world.settings, world.running.store).stored()
        ]
        checkpoints = tuple(item for item in found if isinstance(item, Checkpoint))
        return Recorded(tuple(versions), checkpoints, key_of(world.settings))


def verify(
    recorded: Recorded,
    versions: Any,
    checkpoints: Any = None,
    unfiled: Sequence[Version] = (),
    later: Sequence[Version] = (),
) -> Verified:
    """`unfiled` is in the journal, `later` in the store when it is looked up, not in its log."""
    held: Any = Held(list(versions), list(checkpoints or recorded.checkpoints), unfiled, later)
    return asyncio.run(Verification(held, held, held, recorded.key, TENANT).run())


def places(found: Verified) -> set[str]:
    return {problem.place for problem in found.problems}


def test_a_trail_as_it_was_recorded_is_whole(recorded: Recorded) -> None:
    found = verify(recorded, recorded.versions)
    assert found.problems == []
    assert (found.events, found.lanes) == (2 * _EVENTS, 2)


def test_it_may_be_filed_in_another_order(recorded: Recorded) -> None:
    mixed = list(recorded.versions)
    random.Random(1).shuffle(mixed)
    assert verify(recorded, mixed).problems == []


@given(data=st.data())
def test_wherever_it_is_by_now_it_is_met(recorded: Recorded, data: st.DataObject) -> None:
    """Filed or not, filed since the log was read, not yet removed, in any order."""
    where = st.sets(st.sampled_from(["log", "journal", "later"]), min_size=1)
    places = [data.draw(where) for _ in recorded.versions]
    log, journal, later = (
        [version for version, of in zip(recorded.versions, places, strict=True) if name in of]
        for name in ("log", "journal", "later")
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verification, "_AHEAD", data.draw(st.integers(0, 5)))
        checked = verify(recorded, data.draw(st.permutations(log)), None, journal, later)
    assert checked == Verified(len(recorded.versions), 2, [])


@given(data=st.data())
def test_what_was_removed_is_told_and_nothing_else(recorded: Recorded, data: st.DataObject) -> None:
    gone = data.draw(st.sets(st.sampled_from([*recorded.versions]), min_size=1))
    left = [version for version in recorded.versions if version not in gone]
    later = data.draw(st.sets(st.sampled_from(left))) if left else set()
    log = [version for version in left if version not in later]
    checked = verify(recorded, log, None, (), sorted(later))
    assert places(checked) <= {version.id for version in gone}
    assert min(version.id for version in gone) in places(checked)


def test_the_journal_is_read_seldom_however_much_is_missing(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is long where nothing was filed for long."""
    monkeypatch.setattr(verification, "_AHEAD", 4)
    read = []

    class Journal(Held):
        def listed(self) -> AsyncIterator[Segment]:
            read.append(self)
            return super().listed()

    left = recorded.versions[1::2]
    held: Any = Journal(list(left), list(recorded.checkpoints))
    checked = asyncio.run(Verification(held, held, held, recorded.key, TENANT).run())
    assert checked.events == len(left) == 12
    assert len(read) <= 1 + len(left) // 4


async def test_a_lane_that_is_begun_meanwhile_is_none_put_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path) as one, opened(tmp_path) as other:
        await one.put(patient("p1"))
        stored = Checkpoints.stored

        async def then_another(self: Checkpoints) -> AsyncIterator[Checkpoint | Damaged]:
            async for item in stored(self):
                yield item
            await other.put(patient("p2"))
            await other.events()

        with monkeypatch.context() as patch:
            patch.setattr(Checkpoints, "stored", then_another)
            found = await one.verified()
        assert (found.problems, found.lanes, found.events) == ([], 2, 4)


def test_what_is_not_filed_is_not_held_in_memory() -> None:
    key, lane, count, size = bytes(32), 1, 2000, 20_000
    begun = Checkpoint(TENANT, lane, 0, genesis(key, TENANT, lane).hex(), 0, key_name(key))

    class Journal(Held):
        async def listed(self) -> AsyncIterator[Segment]:
            before = genesis(key, TENANT, lane)
            for number in range(1, count + 1):
                id, content = Place(lane, number).id, b"%d" % number * size
                before = link(key, before, id, content)
                yield Segment(id, (Linked(id, before, content),))

    held: Any = Journal([], [begun])
    tracemalloc.start()
    try:
        checked = asyncio.run(Verification(held, held, held, key, TENANT).run())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert checked == Verified(count, 1, [])
    assert peak < count * size / 20


@pytest.mark.check("AUD-7")
@given(data=st.data())
def test_a_changed_byte_is_found_where_it_is(recorded: Recorded, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(recorded.versions) - 1))
    version = recorded.versions[index]
    body = bytearray(version.body or b"")
    at = data.draw(st.integers(0, len(body) - 1))
    body[at] ^= data.draw(st.integers(1, 255))
    changed = [*recorded.versions]
    changed[index] = version._replace(body=bytes(body))
    assert version.id in places(verify(recorded, changed))


@pytest.mark.check("AUD-7")
@given(data=st.data())
def test_removed_events_are_found(recorded: Recorded, data: st.DataObject) -> None:
    gone = data.draw(st.sets(st.sampled_from(recorded.versions), min_size=1))
    left = [version for version in recorded.versions if version not in gone]
    problems = verify(recorded, left).problems
    assert problems
    first = min(version.id for version in gone)
    assert first in {problem.place for problem in problems}


@pytest.mark.check("AUD-7")
@given(data=st.data())
def test_events_in_each_others_place_are_found(recorded: Recorded, data: st.DataObject) -> None:
    one, other = data.draw(
        st.lists(st.integers(0, len(recorded.versions) - 1), min_size=2, max_size=2, unique=True)
    )
    swapped = [*recorded.versions]
    first, second = recorded.versions[one], recorded.versions[other]

    def renamed(version: Version, as_: Version) -> Version:
        body = (version.body or b"").replace(version.id.encode(), as_.id.encode(), 1)
        return version._replace(id=as_.id, body=body)

    swapped[one], swapped[other] = renamed(second, first), renamed(first, second)
    assert {first.id, second.id} <= places(verify(recorded, swapped))


@pytest.mark.check("AUD-7")
@pytest.mark.parametrize("id", ["000001-0000000fff", "000009-0000000001", "by-hand"])
def test_an_event_put_in_is_found(recorded: Recorded, id: str) -> None:
    version = recorded.versions[3]
    body = (version.body or b"").replace(version.id.encode(), id.encode(), 1)
    assert verify(recorded, [*recorded.versions, version._replace(id=id, body=body)]).problems


def test_a_copy_of_an_event_is_found(recorded: Recorded) -> None:
    version = recorded.versions[3]
    assert version.id in places(verify(recorded, [*recorded.versions, version]))


def test_a_deleted_or_updated_event_is_found(recorded: Recorded) -> None:
    version = recorded.versions[3]
    deleted = version._replace(version=2, body=None, method="DELETE")
    updated = version._replace(version=2, method="PUT")
    assert version.id in places(verify(recorded, [*recorded.versions, deleted]))
    assert version.id in places(verify(recorded, [*recorded.versions, updated]))


def test_another_time_is_found(recorded: Recorded) -> None:
    version = recorded.versions[3]
    draft = redrafted(version.body or b"", "AuditEvent", version.id, 1, version.last_updated)
    earlier = version.last_updated - 3600 * 1_000_000
    changed = [*recorded.versions]
    changed[3] = version._replace(last_updated=earlier, body=draft.stamped(earlier))
    assert version.id in places(verify(recorded, changed))


@pytest.mark.parametrize("lane", [1, 2])
def test_a_lane_that_is_taken_out_is_found(recorded: Recorded, lane: int) -> None:
    left = [item for item in recorded.versions if place_of(item.id)[0] != lane]  # type: ignore[index]
    assert verify(recorded, left).problems
    others = [item for item in recorded.checkpoints if item.lane != lane]
    found = verify(recorded, left, others)
    assert bool(found.problems) is (lane == 1)  # the last one only the data folder knows of


def test_a_tail_that_is_cut_off_is_found_by_the_checkpoint(recorded: Recorded) -> None:
    found = verify(recorded, recorded.versions[:-3])
    (problem,) = found.problems
    assert "cut off" in problem.text
    assert problem.place == recorded.versions[-3].id


def test_another_key_finds_every_lane_wrong(recorded: Recorded) -> None:
    other = recorded._replace(key=bytes(32))
    assert len(verify(other, recorded.versions).problems) >= 2


async def test_a_store_that_was_put_back_is_found_by_the_folder(tmp_path: Path) -> None:
    """The whole database as it was earlier, with its own checkpoints: only the copies tell."""
    async with opened(tmp_path) as world:
        await world.put(patient("p1"))
    shutil.copy(tmp_path / "fhir.db", tmp_path / "earlier.db")
    async with opened(tmp_path) as world:
        await world.ask("read", "Patient", id="p1")
    for name in ("fhir.db", "fhir.db-wal", "fhir.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    shutil.copy(tmp_path / "earlier.db", tmp_path / "fhir.db")
    async with opened(tmp_path) as world:
        found = await world.verified()
    assert "000002-0000000001" in places(found)
