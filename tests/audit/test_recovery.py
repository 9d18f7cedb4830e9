"""What a process committed and did not record before it ended is recorded by another."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from audit.conftest import BASE, DOCTOR, World, about, observation, patient

from fhirserver.app.audit import notes_of
from fhirserver.app.running import Running
from fhirserver.app.stores import open_store
from fhirserver.audit.agents import Caller
from fhirserver.audit.event import Access
from fhirserver.audit.notes import Made, Notes, made_by
from fhirserver.audit.recorder import Origin
from fhirserver.audit.recovery import LATE, Recovery
from fhirserver.interactions.accesses import Accesses
from fhirserver.store.port import Change

pytestmark = pytest.mark.check("AUD-6")


def recovery_of(world: World, patience: float = 0) -> Recovery:
    found = world.running._recovery
    assert found is not None
    found._patience = patience
    return found


async def unrecorded(world: World, monkeypatch: pytest.MonkeyPatch, do: Any) -> None:
    """Does something as a process would that ends before it records it."""

    async def ends(*arguments: Any) -> None:
        raise asyncio.CancelledError

    with monkeypatch.context() as patch:
        patch.setattr(Accesses, "answered", ends)
        with pytest.raises(asyncio.CancelledError):
            await do()


async def written(world: World) -> list[dict[str, Any]]:
    return [event for event in await world.events() if event["action"] in "CUD"]


async def test_a_create_is_recorded_as_of_its_time(world: World, monkeypatch: Any) -> None:
    await world.put(patient("p1"))
    resource = observation("", "p1")
    del resource["id"]
    await unrecorded(
        world, monkeypatch, lambda: world.ask("create", "Observation", resource=resource)
    )
    ((found),) = [item async for item in world.running.store.scan("Observation")]
    assert len(await written(world)) == 1
    await recovery_of(world).look()
    (event,) = (await written(world))[1:]
    assert about(event) == [f"Observation/{found.id}/_history/1", "Patient/p1"]
    assert event["outcomeDesc"] == LATE
    assert event["action"] == "C"
    assert event["subtype"][0]["code"] == "create"
    assert event["agent"][2]["who"] == {"reference": "Practitioner/d1"}
    assert event["agent"][2]["name"] == DOCTOR.name
    assert event["agent"][0]["network"]["address"] == "192.0.2.7"
    assert event["entity"][0]["what"]["identifier"]["value"] == "req-1"
    assert event["recorded"] in found.body.decode()  # type: ignore[union-attr]
    assert (await world.verified()).problems == []


async def test_it_is_the_event_that_would_have_been(world: World, monkeypatch: Any) -> None:
    """But for its text, time and place."""
    moved = {"resource": observation("o", "p2"), "id": "o"}
    for id in ("p1", "p2"):
        await world.put(patient(id))
    await world.put(observation("o", "p1"))
    await world.ask("update", "Observation", **moved)
    one = (await written(world))[-2:]
    await world.put(observation("o", "p1"))
    await unrecorded(world, monkeypatch, lambda: world.ask("update", "Observation", **moved))
    await recovery_of(world).look()
    other = (await written(world))[-2:]
    for event in (*one, *other):
        del event["id"], event["meta"], event["recorded"], event["extension"]
        data = event["entity"][1]["what"]
        data["reference"] = data["reference"].partition("/_history/")[0]
        event["entity"].sort(key=str)
    assert [event.pop("outcomeDesc") for event in other] == [LATE] * 2
    assert sorted(one, key=str) == sorted(other, key=str)


async def test_what_is_on_record_is_not_recorded_again(world: World) -> None:
    await world.put(patient("p1"))
    await world.ask("delete", "Patient", id="p1")
    before = await written(world)
    await recovery_of(world).look()
    await recovery_of(world).look()
    assert await written(world) == before


async def test_a_deletion_is_told_from_another(world: World, monkeypatch: Any) -> None:
    for _ in range(2):
        await world.put(observation("o", "p1"))
        await world.ask("delete", "Observation", id="o")
    await world.put(observation("o", "p1"))
    origin = {"origin": Origin("192.0.2.7", "example.org", "req-9")}
    await unrecorded(
        world, monkeypatch, lambda: world.ask("delete", "Observation", id="o", **origin)
    )
    await recovery_of(world).look()
    event = (await written(world))[-1]
    assert event["entity"][0]["what"]["identifier"]["value"] == "req-9"
    assert about(event) == ["Observation/o", "Patient/p1"]
    assert event["subtype"][0]["code"] == "delete"


async def test_a_write_is_told_from_one_that_changed_nothing(
    world: World, monkeypatch: Any
) -> None:
    """The same was sent again, and found to be there."""
    await unrecorded(world, monkeypatch, lambda: world.put(patient("p1")))
    origin = Origin("192.0.2.7", "example.org", "req-2")
    await world.ask("update", "Patient", id="p1", resource=patient("p1"), origin=origin)
    await recovery_of(world).look()
    (again, first) = await written(world)
    assert about(again) == about(first) == ["Patient/p1/_history/1", "Patient/p1"]
    assert first["outcomeDesc"] == LATE
    assert (await world.running.store.read("Patient", "p1")).version == 1  # type: ignore[union-attr]


async def test_each_entry_of_a_transaction(world: World, monkeypatch: Any) -> None:
    if not world.running.store.atomic:
        pytest.skip("it has no transactions")
    await world.put(patient("old"))
    entries = [
        {"request": {"method": "PUT", "url": f"Patient/p{n}"}, "resource": patient(f"p{n}")}
        for n in range(3)
    ]
    entries.append({"request": {"method": "DELETE", "url": "Patient/old"}})
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    await unrecorded(world, monkeypatch, lambda: world.ask("transaction", resource=bundle))
    await recovery_of(world).look()
    found = sorted((about(item)[0], item["action"]) for item in (await written(world))[1:])
    made = [(f"Patient/p{n}/_history/1", "C") for n in range(3)]
    assert found == [("Patient/old", "D"), *made]


async def test_only_what_is_lacking_is_recorded(world: World) -> None:
    """A process that ended between two segments of one request."""
    store = world.running.store
    notes = notes_of(world.settings, store)
    await world.put(patient("p1"))
    changes = [Change("Patient", "p1", 1, "PUT", None), Change("Patient", "p2", 1, "PUT", None)]
    note = notes.of(Access("", "U", Caller(None, "", ""), "req-1"), changes)
    read = notes.read(note)
    assert read is not None
    await world.running._trail.settle()  # type: ignore[union-attr]
    assert await recovery_of(world).unrecorded(read) == [Made("Patient", "p2", 1, "PUT")]


async def test_its_own_process_has_time(world: World, monkeypatch: Any) -> None:
    await unrecorded(world, monkeypatch, lambda: world.put(patient("p1")))
    await recovery_of(world, patience=60).look()
    assert await written(world) == []
    await recovery_of(world).look()
    assert len(await written(world)) == 1


async def test_of_several_processes_one_records_it(world: World, monkeypatch: Any) -> None:
    await unrecorded(world, monkeypatch, lambda: world.put(patient("p1")))
    other = Running(world.settings, await open_store(world.settings))
    try:
        await other.start(BASE, works=False)
        assert other._recovery is not None
        other._recovery._patience = 0
        await asyncio.gather(recovery_of(world).look(), other._recovery.look())
        await other._recovery.look()
        assert len(await written(world)) == 1
    finally:
        await other.close()


async def test_a_note_of_another_key_is_left(
    world: World, monkeypatch: Any, caplog: pytest.LogCaptureFixture
) -> None:
    store = world.running.store
    forged = Notes(store, bytes(32), "default")
    caller = Caller(DOCTOR, "192.0.2.7", "example.org")
    note = forged.of(Access("", "U", caller), [Change("Patient", "p1", 1, "PUT", None)])
    await world.put(patient("p1"))
    version = await store.read("Patient", "p1")
    assert version is not None
    done = await store.commit([Change("Patient", "p2", 1, "DELETE", None)], note=note)
    await recovery_of(world).look()
    assert "cannot be read" in caplog.text
    assert done.number in [one.number for one in await store.noted()]
    assert len(await written(world)) == 1


async def test_one_that_cannot_be_recorded_is_not_in_the_way_of_others(
    world: World, monkeypatch: Any
) -> None:
    await world.put(patient("p1"))
    for resource in (observation("o1", "p1"), observation("o2", "p1")):
        await unrecorded(world, monkeypatch, partial(world.put, resource))
    found, events = recovery_of(world), Recovery._events

    async def fails(self: Recovery, note: Any, made: Made) -> list[bytes]:
        if made.id == "o1":
            raise RuntimeError("it cannot be read")
        return await events(self, note, made)

    with monkeypatch.context() as patch:
        patch.setattr(Recovery, "_events", fails)
        with pytest.raises(RuntimeError):
            await found.look()
    assert [about(event)[0] for event in (await written(world))[1:]] == [
        "Observation/o2/_history/1"
    ]


def test_a_note_says_what_it_was_given(tmp_path: Path) -> None:
    notes = Notes(None, bytes(32), "default")  # type: ignore[arg-type]
    change = Change("Patient", "p1", 3, "PATCH", None)
    caller = Caller(DOCTOR, "192.0.2.7", "example.org", None, ("BTG",))
    note = notes.of(Access("", "U", caller, "req-1", operation="$x"), [change])
    read = notes.read(note)
    assert read is not None
    assert read.made == [made_by(change)]
    assert read.access() == Access("", "U", caller, "req-1", operation="$x")
    assert b"Example" not in note
    assert Notes(None, bytes(32), "other").read(note) is None  # type: ignore[arg-type]
    for place in (0, 16, 28, len(note) - 1):
        altered = bytearray(note)
        altered[place] ^= 1
        assert notes.read(bytes(altered)) is None
    assert notes.read(b"") is None
    assert notes.of(Access("", "U", caller), [change]) != notes.of(
        Access("", "U", caller), [change]
    )
