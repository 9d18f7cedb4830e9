"""C-MOVE and C-GET, asked for by dcmtk's movescu and getscu, and by pynetdicom."""

from __future__ import annotations

import asyncio
import socket
from contextlib import contextmanager
from pathlib import Path

import pytest
from imaging.dimse.calling import command
from imaging.dimse.hospital import opened
from imaging.dimse.pictures import STUDY, MRImageStorage, picture
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless
from pynetdicom import AE, build_role, evt

from fhirserver.imaging.dimse.contexts import (
    PATIENT_ROOT_MOVE,
    STUDY_ROOT_GET,
    STUDY_ROOT_MOVE,
)


@pytest.fixture
async def hospital(tmp_path):
    async with opened(tmp_path, images=True) as hospital:
        (tmp_path / "made").mkdir()
        await hospital.keep(
            picture(tmp_path / "made", "1"),
            picture(tmp_path / "made", "2", compressed=True),
            picture(tmp_path / "made", "1", series="2", sop_class=MRImageStorage),
        )
        yield hospital


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def data(level: str, **keys) -> Dataset:
    found = Dataset()
    found.QueryRetrieveLevel = level
    for name, value in keys.items():
        setattr(found, name, value)
    return found


@contextmanager
def destination(contexts, status=0):
    """A peer that takes instances of such contexts; its port, and what came."""
    came: list[Dataset] = []

    def store(event):
        found = event.dataset
        found.file_meta = event.file_meta
        came.append(found)
        return status(len(came)) if callable(status) else status

    entity = AE("DEST")
    for sop_class, syntaxes in contexts:
        entity.add_supported_context(sop_class, syntaxes)
    server = entity.start_server(
        ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, store)]
    )
    try:
        yield server.socket.getsockname()[1], came
    finally:
        server.shutdown()


ALL = [
    (CTImageStorage, [ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless]),
    (MRImageStorage, [ExplicitVRLittleEndian]),
]


async def move(port: int, asked: Dataset, to: str = "DEST", model: str = STUDY_ROOT_MOVE):
    """The statuses (data sets) of the responses, and the identifier of the last one."""

    def run():
        entity = AE("WS1")
        entity.add_requested_context(model)
        association = entity.associate("127.0.0.1", port, ae_title="OURS")
        assert association.is_established
        answers = list(association.send_c_move(asked, to, model))
        association.release()
        return [status for status, _ in answers], answers[-1][1]

    return await asyncio.to_thread(run)


async def test_a_study_is_moved_as_it_was_stored(hospital, tmp_path):
    await hospital.peer("WS1", "move", roles=("admin",))
    with destination(ALL) as (to, came):
        await hospital.peer("DEST", "echo", host="127.0.0.1", port=to)
        async with hospital.listening("WS1") as port:
            statuses, _ = await move(port, data("STUDY", StudyInstanceUID=STUDY))
    last = statuses[-1]
    assert last.Status == 0
    assert last.NumberOfCompletedSuboperations == 3
    assert last.NumberOfFailedSuboperations == last.NumberOfWarningSuboperations == 0
    assert [item.NumberOfRemainingSuboperations for item in statuses[:-1]] == [2, 1]
    syntaxes = {item.SOPInstanceUID: item.file_meta.TransferSyntaxUID for item in came}
    assert syntaxes == {
        f"{STUDY}.1.1": ExplicitVRLittleEndian,
        f"{STUDY}.1.2": RLELossless,
        f"{STUDY}.2.1": ExplicitVRLittleEndian,
    }
    for item in came:
        made = dcmread(tmp_path / "made" / f"{item.SOPInstanceUID}.dcm")
        assert item.PixelData == made.PixelData


async def test_what_the_destination_cannot_take_compressed_is_uncompressed(hospital, tmp_path):
    await hospital.peer("WS1", "move", roles=("admin",))
    contexts = [(CTImageStorage, [ImplicitVRLittleEndian]), ALL[1]]
    with destination(contexts) as (to, came):
        await hospital.peer("DEST", "echo", host="127.0.0.1", port=to)
        async with hospital.listening("WS1") as port:
            statuses, _ = await move(port, data("STUDY", StudyInstanceUID=STUDY))
    assert (statuses[-1].Status, len(came)) == (0, 3)
    (found,) = [item for item in came if item.SOPInstanceUID == f"{STUDY}.1.2"]
    made = dcmread(tmp_path / "made" / f"{STUDY}.1.2.dcm")
    assert (found.pixel_array == made.pixel_array).all()


async def test_some_fail(hospital):
    await hospital.peer("WS1", "move", roles=("admin",))
    with destination(ALL[:1], status=lambda number: 0xA700 if number == 1 else 0xB000) as (to, _):
        await hospital.peer("DEST", "echo", host="127.0.0.1", port=to)
        async with hospital.listening("WS1") as port:
            statuses, lost = await move(port, data("STUDY", StudyInstanceUID=STUDY))
    last = statuses[-1]
    assert last.Status == 0xB000
    assert last.NumberOfFailedSuboperations == 2  # refused, and of a class without a context
    assert last.NumberOfWarningSuboperations == 1
    assert set(lost.FailedSOPInstanceUIDList) == {f"{STUDY}.1.1", f"{STUDY}.2.1"}


async def test_all_fail_where_the_destination_does_not_answer(hospital):
    await hospital.peer("WS1", "move", roles=("admin",))
    await hospital.peer("DEST", "echo", host="127.0.0.1", port=free_port())
    async with hospital.listening("WS1") as port:
        statuses, lost = await move(port, data("STUDY", StudyInstanceUID=STUDY))
    assert statuses[-1].Status == 0xA702
    assert statuses[-1].NumberOfFailedSuboperations == 3
    assert len(lost.FailedSOPInstanceUIDList) == 3


async def test_an_unknown_destination(hospital):
    await hospital.peer("WS1", "move", roles=("admin",))  # without an address
    await hospital.peer("OLD", "echo", host="127.0.0.1", port=1, suspended=True)
    async with hospital.listening("WS1") as port:
        for to in ("NOBODY", "WS1", "OLD"):
            (status,), _ = await move(port, data("STUDY", StudyInstanceUID=STUDY), to)
            assert status.Status == 0xA801, to


NONSENSE = [
    data("STUDY"),
    data("STUDY", StudyInstanceUID="*"),
    data("SERIES", SeriesInstanceUID=f"{STUDY}.1"),
    data("IMAGE", SOPInstanceUID=f"{STUDY}.1.1"),
    data("PATIENT", PatientID="12345"),
]


async def test_what_does_not_fit_the_model_is_refused(hospital):
    await hospital.peer("WS1", "move", roles=("admin",))
    await hospital.peer("DEST", "echo", host="127.0.0.1", port=1)
    async with hospital.listening("WS1") as port:
        for asked in NONSENSE:
            (status,), _ = await move(port, asked)
            assert status.Status == 0xA900, asked


LEVELS = [
    (
        STUDY_ROOT_MOVE,
        data("SERIES", StudyInstanceUID=STUDY, SeriesInstanceUID=f"{STUDY}.1"),
        2,
    ),
    (
        STUDY_ROOT_MOVE,
        data(
            "IMAGE",
            StudyInstanceUID=STUDY,
            SeriesInstanceUID=f"{STUDY}.1",
            SOPInstanceUID=[f"{STUDY}.1.1", f"{STUDY}.1.2"],
        ),
        2,
    ),
    (PATIENT_ROOT_MOVE, data("PATIENT", PatientID="12345"), 3),
    (STUDY_ROOT_MOVE, data("STUDY", StudyInstanceUID="1.9.9"), 0),
]


async def test_levels(hospital):
    await hospital.peer("WS1", "move", roles=("admin",))
    with destination(ALL) as (to, came):
        await hospital.peer("DEST", "echo", host="127.0.0.1", port=to)
        async with hospital.listening("WS1") as port:
            for model, asked, count in LEVELS:
                came.clear()
                statuses, _ = await move(port, asked, model=model)
                assert (statuses[-1].Status, len(came)) == (0, count), asked
                assert statuses[-1].NumberOfCompletedSuboperations == count


async def test_cancelled_in_between(hospital, tmp_path):
    await hospital.keep(*(picture(tmp_path / "made", str(n)) for n in range(3, 40)))
    await hospital.peer("WS1", "move", roles=("admin",))

    def run(port):
        entity = AE("WS1")
        entity.add_requested_context(STUDY_ROOT_MOVE)
        association = entity.associate("127.0.0.1", port, ae_title="OURS")
        asked = data("STUDY", StudyInstanceUID=STUDY)
        answers = association.send_c_move(asked, "DEST", STUDY_ROOT_MOVE, msg_id=5)
        next(answers)
        association.send_c_cancel(5, query_model=STUDY_ROOT_MOVE)
        last = [status for status, _ in answers][-1]
        association.release()
        return last

    with destination(ALL) as (to, came):
        await hospital.peer("DEST", "echo", host="127.0.0.1", port=to)
        async with hospital.listening("WS1") as port:
            last = await asyncio.to_thread(run, port)
    assert last.Status == 0xFE00
    assert last.NumberOfRemainingSuboperations == 40 - len(came)
    assert 0 < len(came) < 40


async def get(port: int, asked: Dataset, contexts) -> tuple[list[Dataset], list[Dataset]]:
    came: list[Dataset] = []

    def store(event):
        found = event.dataset
        found.file_meta = event.file_meta
        came.append(found)
        return 0

    def run():
        entity = AE("WS1")
        entity.add_requested_context(STUDY_ROOT_GET)
        roles = []
        for sop_class, syntaxes in contexts:
            entity.add_requested_context(sop_class, syntaxes)
            roles.append(build_role(sop_class, scp_role=True))
        association = entity.associate(
            "127.0.0.1",
            port,
            ae_title="OURS",
            ext_neg=roles,
            evt_handlers=[(evt.EVT_C_STORE, store)],
        )
        assert association.is_established
        answers = list(association.send_c_get(asked, STUDY_ROOT_GET))
        association.release()
        return [status for status, _ in answers]

    return await asyncio.to_thread(run), came


async def test_get(hospital):
    await hospital.peer("WS1", "get", roles=("admin",))
    async with hospital.listening("WS1") as port:
        statuses, came = await get(port, data("STUDY", StudyInstanceUID=STUDY), ALL)
    assert statuses[-1].Status == 0
    assert statuses[-1].NumberOfCompletedSuboperations == len(came) == 3


async def test_get_without_a_context_for_all(hospital):
    await hospital.peer("WS1", "get", roles=("admin",))
    async with hospital.listening("WS1") as port:
        statuses, came = await get(port, data("STUDY", StudyInstanceUID=STUDY), ALL[1:])
    assert statuses[-1].Status == 0xB000
    assert (len(came), statuses[-1].NumberOfFailedSuboperations) == (1, 2)


async def test_getscu(hospital, tmp_path):
    await hospital.peer("WS1", "get", roles=("admin",))
    place = tmp_path / "got"
    place.mkdir()
    async with hospital.listening("WS1") as port:
        await command(
            "/usr/bin/getscu", "-S", "-aet", "WS1", "-aec", "OURS", "-od", str(place),
            "127.0.0.1", str(port),
            "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={STUDY}",
        )  # fmt: skip
    assert pixels(place) == pixels(tmp_path / "made")


async def test_movescu(hospital, tmp_path):
    back = free_port()
    await hospital.peer("WS1", "move", roles=("admin",), host="127.0.0.1", port=back)
    place = tmp_path / "got"
    place.mkdir()
    async with hospital.listening("WS1") as port:
        await command(
            "/usr/bin/movescu", "-S", "-aet", "WS1", "-aec", "OURS", "+P", str(back),
            "-od", str(place), "127.0.0.1", str(port),
            "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={STUDY}",
        )  # fmt: skip
    assert pixels(place) == pixels(tmp_path / "made")


def pixels(folder: Path) -> dict[str, bytes]:
    files = [dcmread(path) for path in folder.iterdir()]
    return {item.SOPInstanceUID: item.pixel_array.tobytes() for item in files}


async def test_a_move_is_in_the_audit_trail_with_its_destination(hospital):
    await hospital.peer("WS1", "move", "find", roles=("admin",))
    with destination(ALL) as (to, _):
        await hospital.peer("DEST", "echo", host="127.0.0.1", port=to)
        async with hospital.listening("WS1") as port:
            await move(port, data("STUDY", StudyInstanceUID=STUDY))
    sent = [item for item in await hospital.events("110104") if item["action"] == "R"]
    (event,) = sent
    values = [item.get("what", {}).get("identifier", {}).get("value") for item in event["entity"]]
    assert f"urn:oid:{STUDY}" in values
    assert event["agent"][0]["who"]["identifier"]["value"] == "dicom:WS1"


async def test_a_peer_gets_no_study_that_its_role_does_not_see(hospital):
    await hospital.peer("WS1", "move")
    with destination(ALL) as (to, came):
        await hospital.peer("DEST", "echo", host="127.0.0.1", port=to)
        async with hospital.listening("WS1") as port:
            statuses, _ = await move(port, data("STUDY", StudyInstanceUID=STUDY))
    assert statuses[-1].Status == 0
    assert came == []


@pytest.mark.check("AUD-3")
@pytest.mark.filterwarnings("ignore:.*:UserWarning")
async def test_what_is_no_uid_does_not_write_on_in_the_event(hospital):
    await hospital.peer("WS1", "move", roles=("admin",))
    await hospital.peer("DEST", "echo", host="127.0.0.1", port=free_port())
    asked = data("STUDY")
    asked.add_new("StudyInstanceUID", "UI", '1.2"},"role":{"x')
    async with hospital.listening("WS1") as port:
        await move(port, asked)
        await move(port, data("STUDY", StudyInstanceUID="1.2.3"))
    await hospital.running._trail.settle()
    refused = [item for item in await hospital.all("AuditEvent") if item["outcome"] == "4"]
    references = [what.get("reference") for item in refused for what in whats(item)]
    assert sorted(filter(None, references)) == ["ImagingStudy/1.2.3"]
    assert len(refused) == 2


def whats(event) -> list[dict]:
    return [entity.get("what", {}) for entity in event["entity"]]
