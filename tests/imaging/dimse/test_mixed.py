"""Associations that store and ask in turns, and peers whose role may do nothing, over sockets."""

from __future__ import annotations

import asyncio
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from imaging.dimse.hospital import TITLE
from imaging.dimse.pictures import OTHER_STUDY, STUDY, picture
from imaging.dimse.port import Port, port
from imaging.dimse.test_mpps import beginning, ending
from imaging.dimse.test_receiving import (
    DATA,
    UID,
    associate_request,
    item,
    pdv,
    store_request,
    until,
)
from imaging.dimse.test_worklist import wanted
from pydicom import Dataset, dcmread
from pydicom.uid import CTImageStorage
from pynetdicom import AE, build_role
from pynetdicom.association import Association

from fhirserver.dicom.part10 import read_file_meta
from fhirserver.imaging.dimse.contexts import (
    MPPS,
    PATIENT_ROOT_FIND,
    STORAGE_COMMITMENT,
    STUDY_ROOT_FIND,
    STUDY_ROOT_GET,
    STUDY_ROOT_MOVE,
    VERIFICATION,
    WORKLIST,
)

NOT_AUTHORISED = 0x0124
ALL = (
    VERIFICATION, CTImageStorage, STUDY_ROOT_FIND, PATIENT_ROOT_FIND, STUDY_ROOT_MOVE,
    STUDY_ROOT_GET, WORKLIST, MPPS, STORAGE_COMMITMENT,
)  # fmt: skip
NOBODY = 'role = "nobody"\ntitle = "Nobody"\n[[rule]]\ntypes = ["Organization"]\nletters = "r"\n'


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Port]:
    async with port(tmp_path) as place:
        await place.hospital.peer("CT1", roles=("admin",))
        yield place


async def with_association(place: Port, do: Callable[[Association], Any]) -> Any:
    """What `do` gives, on one association that has all services."""

    def run() -> Any:
        entity = AE("CT1")
        for syntax in ALL:
            entity.add_requested_context(syntax)
        roles = [build_role(CTImageStorage, scp_role=True, scu_role=True)]
        association = entity.associate(
            "127.0.0.1", place.number, ae_title=TITLE, ext_neg=roles, evt_handlers=[]
        )
        assert association.is_established
        assert not association.rejected_contexts
        try:
            return do(association)
        finally:
            association.release()

    return await asyncio.to_thread(run)


def keys(level: str = "STUDY", **more: str) -> Dataset:
    data = Dataset()
    data.QueryRetrieveLevel = level
    for name, value in ({"StudyInstanceUID": ""} | more).items():
        setattr(data, name, value)
    return data


def statuses(answers: Any) -> list[int]:
    return [int(status.Status) for status, _ in answers]


async def test_storing_and_asking_in_turns(place: Port, tmp_path: Path) -> None:
    files = [
        picture(tmp_path, str(number), study=study)
        for study in (STUDY, OTHER_STUDY)
        for number in (1, 2)
    ]

    def turns(association: Association) -> list[set[str]]:
        seen = []
        for number, file in enumerate(files):
            assert association.send_c_store(dcmread(file)).Status == 0
            assert association.send_c_echo().Status == 0
            model = (STUDY_ROOT_FIND, PATIENT_ROOT_FIND)[number % 2]
            asked = keys("STUDY", PatientID="12345")
            *found, last = association.send_c_find(asked, model)
            assert last[0].Status == 0
            seen.append({str(data.StudyInstanceUID) for _, data in found})
        return seen

    seen = await with_association(place, turns)
    assert seen == [{STUDY}, {STUDY}, {STUDY, OTHER_STUDY}, {STUDY, OTHER_STUDY}]
    held = await place.held(STUDY, OTHER_STUDY)
    assert len(held) == 4
    for one in held:
        sent = dcmread(tmp_path / f"{one.instance}.dcm")
        blob = await place.blobs.get(one.blob)
        assert read_file_meta(blob).instance == one.instance
        assert bytes(sent.PixelData) in blob


async def test_what_was_stored_comes_back_on_the_same_association(
    place: Port, tmp_path: Path
) -> None:
    from pynetdicom import evt

    came: list[Dataset] = []

    def stored(event: evt.Event) -> int:
        came.append(event.dataset)
        return 0

    file = dcmread(picture(tmp_path, "1"))

    def turns(association: Association) -> Dataset:
        association.bind(evt.EVT_C_STORE, stored)
        assert association.send_c_store(file).Status == 0
        *_, (last, _) = association.send_c_get(keys(StudyInstanceUID=STUDY), STUDY_ROOT_GET)
        assert association.send_c_echo().Status == 0
        return last

    last = await with_association(place, turns)
    assert (last.Status, last.NumberOfCompletedSuboperations) == (0, 1)
    assert came[0].PixelData == file.PixelData


async def test_who_may_nothing_is_told_so_by_each_service(place: Port, tmp_path: Path) -> None:
    """The services are the peer's; its role gives it no resources."""
    hospital = place.hospital
    await hospital.access.set_policy("nobody", NOBODY)
    await hospital.access.load()
    await hospital.peers.change("CT1", roles=("nobody",))
    await hospital.peer("DEST", "echo", host="127.0.0.1", port=9)
    file = dcmread(picture(tmp_path, "1"))
    study = keys(StudyInstanceUID=STUDY)

    def all_services(association: Association) -> dict[str, int]:
        created, _ = association.send_n_create(beginning(), MPPS, "1.2.3")
        changed, _ = association.send_n_set(ending("COMPLETED"), MPPS, "1.2.3")
        return {
            "C-STORE": association.send_c_store(file).Status,
            "C-FIND": statuses(association.send_c_find(study, STUDY_ROOT_FIND))[-1],
            "C-FIND of patients": statuses(
                association.send_c_find(keys("PATIENT", PatientID="1"), PATIENT_ROOT_FIND)
            )[-1],
            "worklist": statuses(association.send_c_find(wanted(), WORKLIST))[-1],
            "C-MOVE": statuses(association.send_c_move(study, "DEST", STUDY_ROOT_MOVE))[-1],
            "C-GET": statuses(association.send_c_get(study, STUDY_ROOT_GET))[-1],
            "N-CREATE": created.Status,
            "N-SET": changed.Status,
        }

    told = await with_association(place, all_services)
    assert told == dict.fromkeys(told, NOT_AUTHORISED)
    assert await place.archive.count() == (0, 0, 0)
    assert await hospital.all("Task") == []


async def test_what_is_broken_off_leaves_no_file(
    place: Port, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What pynetdicom receives goes through a file, with all that it says of a patient."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))

    def send() -> int:
        request = item(0x20, bytes((1, 0, 0, 0)) + proposal(CTImageStorage))
        request += item(0x20, bytes((3, 0, 0, 0)) + proposal(STUDY_ROOT_FIND))
        with socket.create_connection(("127.0.0.1", place.number)) as connection:
            connection.settimeout(20)
            connection.sendall(associate_request("CT1", proposed=request))
            assert connection.recv(1) == b"\x02"
            connection.sendall(pdv(3, store_request(UID)) + pdv(0, DATA[:20_000]))
            for _ in range(1000):
                if any(one.stat().st_size > 20_000 for one in folder.iterdir()):
                    return len(list(folder.iterdir()))
                time.sleep(0.01)
        return 0

    assert await asyncio.to_thread(send) == 1
    await until(place.ended, 1)
    assert list(folder.iterdir()) == []
    assert await place.archive.count() == (0, 0, 0)


def proposal(abstract: str) -> bytes:
    return item(0x30, str(abstract).encode()) + item(0x40, b"1.2.840.10008.1.2.1")
