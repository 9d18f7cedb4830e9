"""Keys change while others read and write, and whatever happens meanwhile, nothing is lost."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import stores
from store.making import Clock, put, removal, walk_history
from store.sealing import TENANT, sealed

from fhirserver.errors import Unavailable
from fhirserver.search.entry import String
from fhirserver.search.expression import Query, StringIs, StringMode
from fhirserver.store.port import HistoryQuery, Stale, Version
from fhirserver.store.sealed import SealedStore, allowance, open_sealed
from fhirserver.store.sealed.keys import GRACE
from fhirserver.store.sealed.master import OwnMaster, WrongMaster
from fhirserver.store.sealed.reseal import reseal, retire, survey
from fhirserver.store.sqlite import SqliteStore

OTHER = OwnMaster(bytes(32))
ADA = StringIs("name", StringMode.STARTS, ("ad",))
ENTRIES = {"name": (String("ada", "Ada"),)}
PROCESS = Path(__file__).with_name("resealing.py")


async def _open(folder: Path, clock: Clock) -> SealedStore:
    return await sealed(await stores.open_store(folder / "fhir.db", clock), clock)


async def _fill(store: SealedStore) -> list[Version]:
    """Some versions, a deletion, a code system and records; the versions as they are served."""
    for n in range(5):
        await store.commit([put("Patient", f"{n}", entries=ENTRIES, note=f"of {n}")])
    await store.commit([put("Patient", "1", 2, ENTRIES, note="again")])
    await store.commit([removal("Patient", "2", 2)])
    await store.commit([put("CodeSystem", "c", url="urn:c")])
    await store.records.put("job", "1", b"one", expires=2_000_000_000_000_000)
    await store.records.put("identity.name", "ada", b"two")
    return await walk_history(store, HistoryQuery())


@pytest.mark.check("OPS-5")
async def test_what_is_stored_is_sealed_anew_and_stays_what_it_is(
    each_store: str, tmp_path: Path, clock: Clock
) -> None:
    store = await _open(tmp_path, clock)
    before = await _fill(store)
    assert await survey(store) == {1: 8}
    assert await store.keys.rotate() == 2
    await store.commit([put("Patient", "new")])
    assert await survey(store) == {1: 8, 2: 1}
    found = await reseal(store)
    assert (found.done, found.left) == (8, frozenset())
    assert await survey(store) == {2: 9}
    assert (await reseal(store)).done == 0
    again = await _open(tmp_path, clock)
    assert (await walk_history(again, HistoryQuery()))[1:] == before
    assert len((await again.search(Query(("Patient",), ADA))).versions) == 4
    kept = await again.records.get("job", "1")
    assert kept is not None
    assert (kept.body, kept.expires) == (b"one", 2_000_000_000_000_000)
    assert [one.key for one in await again.records.list("identity.name")] == ["ada"]
    await again.close()
    await store.close()


async def test_another_process_reads_what_is_sealed_under_a_key_it_did_not_know(
    each_store: str, tmp_path: Path, clock: Clock
) -> None:
    here, there = await _open(tmp_path, clock), await _open(tmp_path, clock)
    await here.keys.rotate()
    await here.commit([put("Patient", "1", entries=ENTRIES)])
    await here.records.put("job", "1", b"one")
    assert await there.read("Patient", "1") == await here.read("Patient", "1")
    await here.keys.rotate()
    await here.commit([put("Patient", "2", entries=ENTRIES)])
    assert len((await there.search(Query(("Patient",), ADA))).versions) == 2
    await here.keys.rotate()
    await here.records.put("job", "1", b"two")
    kept = await there.records.get("job", "1")
    assert kept is not None
    assert kept.body == b"two"
    await here.close()
    await there.close()


async def test_a_key_goes_only_when_no_process_can_use_it(
    each_store: str, tmp_path: Path, clock: Clock
) -> None:
    here, there = await _open(tmp_path, clock), await _open(tmp_path, clock)
    await _fill(here)
    await here.keys.rotate()
    assert await retire(here) == []  # it had a successor just now
    await there.commit([put("Patient", "late")])  # it has not yet seen that
    assert (await survey(here))[1] == 1
    clock.now += GRACE + 1
    assert await retire(here) == [1]
    assert set(await survey(here)) == {2}
    assert {one.number for one in (await here.keys.ring()).data} == {2}
    assert await retire(here) == []
    again = await _open(tmp_path, clock)
    assert await again.read("Patient", "late") == await here.read("Patient", "late")
    for store in (here, there, again):
        await store.close()


@pytest.mark.check("OPS-5")
async def test_another_master_key_wraps_the_keys_and_changes_no_content(
    each_store: str, tmp_path: Path, clock: Clock
) -> None:
    store = await _open(tmp_path, clock)
    served = await _fill(store)
    sealed_bytes = [one.body for one in await walk_history(store.inner, HistoryQuery())]
    await store.keys.rotate()
    assert await store.keys.rewrap(OTHER) == 3
    with pytest.raises(WrongMaster, match="wrapped by the master key"):
        await sealed(store.inner, clock)
    await store.keys.refresh()
    await store.keys.rotate()
    again = await open_sealed(store.inner, OTHER, tenant=TENANT, clock=clock)
    assert await walk_history(again, HistoryQuery()) == served
    assert [one.body for one in await walk_history(store.inner, HistoryQuery())] == sealed_bytes
    await store.close()


async def _until(done: asyncio.Event, act: Callable[[int], Awaitable[None]]) -> int:
    number = 0
    while not done.is_set():
        await act(number)
        number += 1
        await asyncio.sleep(0)
    return number


async def test_others_read_and_write_while_it_is_sealed_anew(
    each_store: str, tmp_path: Path, clock: Clock
) -> None:
    store, other = await _open(tmp_path, clock), await _open(tmp_path, clock)
    await _fill(store)
    done = asyncio.Event()

    async def writes(number: int) -> None:
        try:
            await other.commit([put("Patient", "0", number + 2, ENTRIES, note=f"{number}")])
        except Stale as error:
            raise AssertionError("nobody else writes it") from error

    async def counts(number: int) -> None:
        held = await other.records.get("job", "count")
        try:
            body = str(int(held.body) + 1 if held else 1).encode()
            expected = held.revision if held else 0
            await other.records.put("job", "count", body, expected=expected)
        except Stale:  # it was sealed anew meanwhile: read it again
            return
        counted[0] += 1

    async def reads(number: int) -> None:
        found = await other.read("Patient", "1")
        assert found is not None
        assert b"again" in (found.body or b"")
        assert len((await other.search(Query(("Patient",), ADA))).versions) == 4

    async def turns() -> None:
        for _ in range(3):
            await store.keys.rotate()
            await reseal(store)
        done.set()

    counted = [0]
    results = await asyncio.gather(
        turns(), _until(done, writes), _until(done, counts), _until(done, reads)
    )
    await store.keys.refresh()
    await reseal(store)
    assert set(await survey(store)) == {4}
    head = await store.read("Patient", "0")
    assert head is not None
    assert head.version == results[1] + 1
    held = await store.records.get("job", "count")
    assert held is not None
    assert int(held.body) == counted[0]
    await store.close()
    await other.close()


def _killed(file: Path, after: int) -> None:
    """Begins to seal anew in another process, and ends that by force on its way."""
    root = PROCESS.parents[2]
    paths = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
    with subprocess.Popen(
        [sys.executable, str(PROCESS), str(file)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) >= after:
                break
        process.send_signal(signal.SIGKILL)
        process.wait()


@pytest.mark.check("OPS-5")
@pytest.mark.parametrize("after", [200, 300])
async def test_a_process_that_dies_while_it_seals_anew_loses_nothing(
    tmp_path: Path, clock: Clock, after: int
) -> None:
    file = tmp_path / "fhir.db"
    store = await sealed(SqliteStore.open(file, clock=clock), clock)
    for start in range(0, 500, 50):
        await store.commit([put("Patient", f"{start + n}") for n in range(50)])
    served = await walk_history(store, HistoryQuery())
    await store.close()
    await asyncio.to_thread(_killed, file, after)
    store = await sealed(SqliteStore.open(file, clock=clock), clock)
    assert await walk_history(store, HistoryQuery()) == served
    under: Counter[int] = await survey(store)
    assert set(under) == {1, 2}, "it was not killed on its way"
    assert (await reseal(store)).done == under[1]
    assert await survey(store) == {2: 500}
    assert await walk_history(store, HistoryQuery()) == served
    await store.close()


@pytest.mark.check("OPS-5")
async def test_a_key_seals_no_more_than_it_may(
    each_store: str, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(allowance, "BOUND", 120)
    monkeypatch.setattr(allowance, "BLOCK", 8)
    first, second = await _open(tmp_path, clock), await _open(tmp_path, clock)
    for n in range(60):  # two processes write, one by one and together
        await first.commit([put("Patient", f"a{n}"), put("Patient", f"b{n}")])
        await asyncio.gather(
            first.commit([put("Patient", f"c{n}")]), second.records.put("job", f"{n}", b"x")
        )
    found = await survey(second)
    assert sum(found.values()) == 240
    assert max(found.values()) <= 120
    assert len(found) >= 240 // 120
    assert len(await walk_history(second, HistoryQuery())) == 180
    await reseal(second)  # seals 240 messages, under several keys again
    assert max((await survey(second)).values()) <= 120
    await second.close()
    await first.close()


@pytest.mark.check("OPS-5")
async def test_nothing_is_sealed_where_no_key_can_take_the_place_of_one_that_is_used_up(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(allowance, "BOUND", 4)
    monkeypatch.setattr(allowance, "BLOCK", 2)
    store = await _open(tmp_path, clock)

    async def away(*arguments: object) -> bytes:
        raise Unavailable("The key service does not answer.")

    monkeypatch.setattr(OwnMaster, "wrap", away)
    written = 0
    with pytest.raises(Unavailable):
        for n in range(9):
            await store.records.put("job", f"{n}", b"x")
            written += 1
    assert written <= 4
    assert await store.records.get("job", "0")
    await store.close()
