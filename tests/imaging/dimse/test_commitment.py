"""Storage commitment: asked for by pynetdicom as a modality, reported on an association of ours."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager

import pytest
from imaging.dimse.hospital import opened
from imaging.dimse.pictures import STUDY, picture
from imaging.dimse.test_retrieve import free_port
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, MRImageStorage
from pynetdicom import AE, evt

from fhirserver.imaging.dimse.commitment import COLLECTION, INSTANCE, Reporter
from fhirserver.imaging.dimse.contexts import STORAGE_COMMITMENT

FIRST = (CTImageStorage, f"{STUDY}.1.1")
SECOND = (CTImageStorage, f"{STUDY}.1.2")


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000_000_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
async def hospital(tmp_path):
    async with opened(tmp_path, images=True) as hospital:
        await hospital.keep(picture(tmp_path, "1"), picture(tmp_path, "2"), sender="CT1")
        yield hospital


@contextmanager
def modality(status: int = 0):
    """A modality that takes reports; its port, and (event type, data set) of what came."""
    came: list[tuple[int, Dataset]] = []

    def report(event):
        came.append((event.event_type, event.event_information))
        return status, None

    entity = AE("CT1")
    entity.add_supported_context(STORAGE_COMMITMENT, scu_role=False, scp_role=True)
    server = entity.start_server(
        ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, report)]
    )
    try:
        yield server.socket.getsockname()[1], came
    finally:
        server.shutdown()


async def ask(port: int, *instances: tuple[str, str], action: int = 1, uid: str = "1.2.9") -> int:
    """The status of an N-ACTION."""
    data = Dataset()
    data.TransactionUID = uid
    data.ReferencedSOPSequence = []
    for sop_class, instance in instances:
        item = Dataset()
        item.ReferencedSOPClassUID = sop_class
        item.ReferencedSOPInstanceUID = instance
        data.ReferencedSOPSequence.append(item)

    def run():
        entity = AE("CT1")
        entity.add_requested_context(STORAGE_COMMITMENT)
        association = entity.associate("127.0.0.1", port, ae_title="OURS")
        assert association.is_established
        status, _ = association.send_n_action(data, action, STORAGE_COMMITMENT, INSTANCE)
        association.release()
        return status.Status

    return await asyncio.to_thread(run)


def told(sequence) -> set[tuple[str, str]]:
    return {(item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID) for item in sequence}


async def test_what_is_safe_is_told_on_a_new_association(hospital):
    with modality() as (back, came):
        await hospital.peer("CT1", "commitment", host="127.0.0.1", port=back)
        called = hospital.called(records=hospital.store.records)
        async with hospital.listening("CT1", records=hospital.store.records) as port:
            assert await ask(port, FIRST, SECOND) == 0
        await Reporter(called).step()
        await Reporter(called).step()
    ((event, data),) = came
    assert event == 1
    assert data.TransactionUID == "1.2.9"
    assert told(data.ReferencedSOPSequence) == {FIRST, SECOND}
    assert "FailedSOPSequence" not in data
    assert not await hospital.store.records.list(COLLECTION)


async def test_what_is_not_safe_is_told_with_its_reason(hospital, tmp_path):
    (held,) = await hospital.archive.held_by_uid([SECOND[1]])
    path = hospital.blobs.path(held.blob)
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    wrong = (MRImageStorage, FIRST[1])
    with modality() as (back, came):
        await hospital.peer("CT1", "commitment", host="127.0.0.1", port=back)
        called = hospital.called(records=hospital.store.records)
        async with hospital.listening("CT1", records=hospital.store.records) as port:
            assert await ask(port, FIRST, SECOND, wrong, (CTImageStorage, "1.9.9")) == 0
        await Reporter(called).step()
    ((event, data),) = came
    assert event == 2
    assert told(data.ReferencedSOPSequence) == {FIRST}
    reasons = [item.FailureReason for item in data.FailedSOPSequence]
    assert reasons == [0x0110, 0x0119, 0x0112]


async def test_what_another_sent_is_nothing_that_is_known(hospital):
    with modality() as (back, came):
        await hospital.peer("CT1", "echo")
        await hospital.peer("MR1", "commitment", host="127.0.0.1", port=back)
        called = hospital.called(records=hospital.store.records)
        async with hospital.listening("MR1", records=hospital.store.records) as port:
            assert await ask(port, FIRST) == 0
        await Reporter(called).step()
    ((event, data),) = came
    assert event == 2
    assert data.FailedSOPSequence[0].FailureReason == 0x0112


async def test_a_peer_that_cannot_be_reached_is_told_later(hospital):
    clock, back = Clock(), free_port()
    await hospital.peer("CT1", "commitment", host="127.0.0.1", port=back)
    called = hospital.called(records=hospital.store.records, now=clock)
    more = {"records": hospital.store.records, "now": clock}
    async with hospital.listening("CT1", **more) as port:
        assert await ask(port, FIRST) == 0
    await Reporter(called).step()
    assert len(await hospital.store.records.list(COLLECTION)) == 1
    with modality() as (there, came):
        await hospital.peers.change("CT1", port=there)
        await Reporter(called).step()
        assert came == []  # not yet
        clock.now += 3_000_000
        await Reporter(called).step()
    assert [event for event, _ in came] == [1]
    assert not await hospital.store.records.list(COLLECTION)


async def test_it_is_given_up_after_a_day(hospital):
    clock = Clock()
    await hospital.peer("CT1", "commitment", host="127.0.0.1", port=free_port())
    called = hospital.called(records=hospital.store.records, now=clock)
    async with hospital.listening("CT1", records=hospital.store.records, now=clock) as port:
        await ask(port, FIRST)
    clock.now += 90_000_000_000
    await Reporter(called).step()
    assert not await hospital.store.records.list(COLLECTION)


async def test_what_is_refused(hospital):
    await hospital.peer("CT1", "commitment", host="127.0.0.1", port=free_port())
    async with hospital.listening("CT1", records=hospital.store.records) as port:
        assert await ask(port, FIRST, action=2) == 0x0123
        assert await ask(port) == 0x0115
        assert await ask(port, FIRST, uid="") == 0x0115
        await hospital.peers.change("CT1", host=None, port=None)
    async with hospital.listening("CT1", records=hospital.store.records) as port:
        assert await ask(port, FIRST) == 0x0110  # it could not be told
    assert not await hospital.store.records.list(COLLECTION)


async def test_it_is_in_the_audit_trail(hospital):
    with modality() as (back, _):
        await hospital.peer("CT1", "commitment", host="127.0.0.1", port=back)
        called = hospital.called(records=hospital.store.records)
        async with hospital.listening("CT1", records=hospital.store.records) as port:
            await ask(port, FIRST)
        await Reporter(called).step()
    (event,) = await hospital.events("110103")
    values = [item.get("what", {}).get("identifier", {}).get("value") for item in event["entity"]]
    assert f"urn:oid:{STUDY}" in values
    assert event["agent"][0]["who"]["identifier"]["value"] == "dicom:CT1"


async def test_for_a_peer_whose_role_allows_nothing_nothing_is_there(hospital):
    policy = (
        'role = "nobody"\ntitle = "Nobody"\n[[rule]]\ntypes = ["Organization"]\nletters = "r"\n'
    )
    await hospital.access.set_policy("nobody", policy)
    await hospital.access.load()
    with modality() as (back, came):
        await hospital.peer("CT1", "commitment", host="127.0.0.1", port=back, roles=("nobody",))
        called = hospital.called(records=hospital.store.records)
        async with hospital.listening("CT1", records=hospital.store.records) as port:
            assert await ask(port, FIRST) == 0
        await Reporter(called).step()
    ((event, data),) = came
    assert event == 2
    assert [item.FailureReason for item in data.FailedSOPSequence] == [0x0112]
