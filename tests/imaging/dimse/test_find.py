"""C-FIND at all levels of both models, asked for by dcmtk's findscu and by pynetdicom."""

from __future__ import annotations

import asyncio
import time

import pytest
from imaging.dimse.calling import command
from imaging.dimse.hospital import Limits, opened
from imaging.dimse.pictures import OTHER_STUDY, STUDY, picture
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation

from fhirserver.imaging.dimse import find
from fhirserver.imaging.dimse.contexts import PATIENT_ROOT_FIND, STUDY_ROOT_FIND
from fhirserver.imaging.dimse.find import answer


@pytest.fixture
async def hospital(tmp_path):
    async with opened(tmp_path, images=True) as hospital:
        await hospital.keep(
            picture(tmp_path, "1"),
            picture(tmp_path, "2"),
            picture(tmp_path, "1", series="2", Modality="MR"),
            picture(
                tmp_path,
                "1",
                study=OTHER_STUDY,
                PatientID="9",
                PatientName="Roe^Rich",
                StudyDate="20250101",
            ),
        )
        yield hospital


def data(level: str, **keys) -> Dataset:
    found = Dataset()
    found.QueryRetrieveLevel = level
    for name, value in keys.items():
        setattr(found, name, value)
    return found


async def ask(
    port: int, asked: Dataset, model: str = STUDY_ROOT_FIND, options: bytes = b""
) -> tuple[list[int], list[Dataset]]:
    """The statuses, and the matches. `options` are negotiated for the SOP class."""

    def run():
        entity = AE("WS1")
        entity.add_requested_context(model)
        items = []
        if options:
            item = SOPClassExtendedNegotiation()
            item.sop_class_uid = model
            item.service_class_application_information = options
            items.append(item)
        association = entity.associate("127.0.0.1", port, ae_title="OURS", ext_neg=items)
        assert association.is_established
        answers = list(association.send_c_find(asked, model))
        association.release()
        return answers

    answers = await asyncio.to_thread(run)
    statuses = [status.Status for status, _ in answers]
    return statuses, [found for _, found in answers if found is not None]


async def test_studies(hospital):
    await hospital.peer("WS1", "find", roles=("admin",))
    asked = data(
        "STUDY",
        StudyInstanceUID="",
        PatientName="",
        PatientID="12345",
        StudyDate="20260101-",
        ModalitiesInStudy="",
        NumberOfStudyRelatedInstances="",
        StudyDescription="",
    )
    async with hospital.listening("WS1") as port:
        statuses, (found,) = await ask(port, asked)
    assert statuses == [0xFF00, 0]
    assert found.StudyInstanceUID == STUDY
    assert found.PatientName == "Müller^Anna"
    assert set(found.ModalitiesInStudy) == {"CT", "MR"}
    assert found.NumberOfStudyRelatedInstances == 3
    assert found.StudyDescription == "Head"
    assert found.RetrieveAETitle == "OURS"
    assert (found.InstanceAvailability, found.QueryRetrieveLevel) == ("ONLINE", "STUDY")


LEVELS = [
    (STUDY_ROOT_FIND, data("STUDY", StudyInstanceUID=""), 2),
    (STUDY_ROOT_FIND, data("STUDY", StudyInstanceUID=[STUDY, OTHER_STUDY, "1.9"]), 2),
    (STUDY_ROOT_FIND, data("STUDY", PatientName="mul*"), 1),
    (STUDY_ROOT_FIND, data("STUDY", StudyDate="20240101-20251231"), 1),
    (STUDY_ROOT_FIND, data("STUDY", ModalitiesInStudy="MR"), 1),
    (STUDY_ROOT_FIND, data("SERIES", StudyInstanceUID=STUDY, SeriesInstanceUID=""), 2),
    (STUDY_ROOT_FIND, data("SERIES", StudyInstanceUID=STUDY, Modality="MR"), 1),
    (
        STUDY_ROOT_FIND,
        data(
            "IMAGE",
            StudyInstanceUID=STUDY,
            SeriesInstanceUID=f"{STUDY}.1",
            SOPInstanceUID="",
        ),
        2,
    ),
    (PATIENT_ROOT_FIND, data("PATIENT", PatientID="", PatientName=""), 2),
    (PATIENT_ROOT_FIND, data("STUDY", PatientID="9", StudyInstanceUID=""), 1),
]


async def test_levels_and_keys(hospital):
    await hospital.peer("WS1", "find", roles=("admin",))
    async with hospital.listening("WS1") as port:
        for model, asked, count in LEVELS:
            statuses, found = await ask(port, asked, model)
            assert (statuses[-1], len(found)) == (0, count), asked


NONSENSE = [
    (STUDY_ROOT_FIND, data("PATIENT", PatientID="")),
    (STUDY_ROOT_FIND, data("", StudyInstanceUID="")),
    (STUDY_ROOT_FIND, data("FRAME", StudyInstanceUID="")),
    (STUDY_ROOT_FIND, data("SERIES", SeriesInstanceUID="")),
    (STUDY_ROOT_FIND, data("SERIES", StudyInstanceUID=[STUDY, OTHER_STUDY])),
    (STUDY_ROOT_FIND, data("IMAGE", StudyInstanceUID=STUDY, SOPInstanceUID="")),
    (PATIENT_ROOT_FIND, data("STUDY", StudyInstanceUID=STUDY)),
    (STUDY_ROOT_FIND, data("STUDY", StudyDate="yesterday")),
]


async def test_what_does_not_fit_the_model_is_refused(hospital):
    await hospital.peer("WS1", "find", roles=("admin",))
    async with hospital.listening("WS1") as port:
        for model, asked in NONSENSE:
            assert await ask(port, asked, model) == ([0xA900], []), asked


async def test_relational_queries_when_negotiated(hospital):
    await hospital.peer("WS1", "find", roles=("admin",))
    asked = data("IMAGE", SOPInstanceUID="", Modality="MR")
    async with hospital.listening("WS1") as port:
        statuses, found = await ask(port, asked, options=b"\x01")
    assert statuses[-1] == 0
    assert [item.SOPInstanceUID for item in found] == [f"{STUDY}.2.1"]


async def test_fuzzy_names_when_negotiated(hospital):
    await hospital.peer("WS1", "find", roles=("admin",))
    asked = data("STUDY", PatientName="anna mueller")
    async with hospital.listening("WS1") as port:
        _, none = await ask(port, asked)
        asked.PatientName = "anna mull"
        _, found = await ask(port, asked, options=b"\x00\x00\x01")
    assert (len(none), len(found)) == (0, 1)


async def test_keys_below_the_level_are_told_to_be_unsupported(hospital):
    await hospital.peer("WS1", "find", roles=("admin",))
    asked = data("STUDY", StudyInstanceUID=STUDY, SeriesDescription="")
    async with hospital.listening("WS1") as port:
        statuses, (found,) = await ask(port, asked)
    assert statuses == [0xFF01, 0]
    assert not found.SeriesDescription


async def test_more_than_the_limit(hospital):
    await hospital.peer("WS1", "find", roles=("admin",))
    async with hospital.listening("WS1", limits=Limits(matches=1)) as port:
        statuses, found = await ask(port, data("STUDY", StudyInstanceUID=""))
    assert (statuses, len(found)) == ([0xFF00, 0xA700], 1)


async def test_a_peer_sees_no_study_that_its_role_does_not(hospital):
    await hospital.peer("WS1", "find")  # nothing is projected, so nobody but an admin sees it
    async with hospital.listening("WS1") as port:
        statuses, found = await ask(port, data("STUDY", StudyInstanceUID=""))
    assert (statuses, found) == ([0], [])


async def test_a_peer_sees_studies_as_soon_as_their_imaging_study_is_there(hospital):
    await hospital.peer("WS1", "find")
    await hospital.put(
        {"resourceType": "Patient", "id": "p1"},
        {
            "resourceType": "ImagingStudy",
            "id": STUDY,
            "status": "available",
            "subject": {"reference": "Patient/p1"},
        },
    )
    study = await hospital.archive.study(STUDY)
    await hospital.archive.projected(STUDY, study.revision, STUDY, "Patient/p1")
    async with hospital.listening("WS1") as port:
        statuses, (found,) = await ask(port, data("STUDY", StudyInstanceUID=""))
    assert statuses == [0xFF00, 0]
    assert found.StudyInstanceUID == STUDY


async def test_a_peer_that_may_not_find_gets_no_context(hospital):
    await hospital.peer("WS1", "echo")

    def run(port):
        entity = AE("WS1")
        entity.add_requested_context(STUDY_ROOT_FIND)
        return entity.associate("127.0.0.1", port, ae_title="OURS").is_established

    async with hospital.listening("WS1") as port:
        assert not await asyncio.to_thread(run, port)


async def test_cancelled(hospital, tmp_path, monkeypatch):
    def slowly(*given, **named):
        time.sleep(0.02)  # so that not all is sent before the cancellation comes
        return answer(*given, **named)

    monkeypatch.setattr(find, "answer", slowly)
    await hospital.keep(*(picture(tmp_path, str(n), study=f"1.3.{n}") for n in range(1, 200)))
    await hospital.peer("WS1", "find", roles=("admin",))

    def run(port):
        entity = AE("WS1")
        entity.add_requested_context(STUDY_ROOT_FIND)
        association = entity.associate("127.0.0.1", port, ae_title="OURS")
        answers = association.send_c_find(data("STUDY", PatientID=""), STUDY_ROOT_FIND, msg_id=7)
        first, _ = next(answers)
        association.send_c_cancel(7, query_model=STUDY_ROOT_FIND)
        last = [first, *(status for status, _ in answers)][-1]
        association.release()
        return last.Status

    async with hospital.listening("WS1") as port:
        assert await asyncio.to_thread(run, port) == 0xFE00


async def test_findscu(hospital):
    await hospital.peer("WS1", "find", roles=("admin",))
    async with hospital.listening("WS1") as port:
        told = await command(
            "/usr/bin/findscu", "-P", "-aet", "WS1", "-aec", "OURS", "127.0.0.1", str(port),
            "-k", "QueryRetrieveLevel=PATIENT", "-k", "PatientName=Roe*", "-k", "PatientID",
        )  # fmt: skip
    assert "[Roe^Rich" in told
    assert "ller" not in told


async def test_the_query_is_in_the_audit_trail(hospital):
    await hospital.peer("WS1", "find", roles=("admin",))
    async with hospital.listening("WS1") as port:
        await ask(port, data("STUDY", StudyInstanceUID=STUDY))
    (event,) = await hospital.events("110112")
    values = [item.get("what", {}).get("identifier", {}).get("value") for item in event["entity"]]
    assert f"urn:oid:{STUDY}" in values
    assert event["agent"][0]["who"]["identifier"]["value"] == "dicom:WS1"
