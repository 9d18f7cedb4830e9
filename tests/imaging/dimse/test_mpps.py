"""Performed procedure steps, told by pynetdicom as a modality."""

from __future__ import annotations

import asyncio

import pytest
from imaging.dimse.hospital import opened
from imaging.dimse.test_worklist import PATIENT, TYPES, order, step
from pydicom.dataset import Dataset
from pynetdicom import AE

from fhirserver.imaging.dimse.contexts import MPPS

STUDY = "1.2.3.4"
STEP = "1.2.3.4.5"


@pytest.fixture
async def hospital(tmp_path):
    async with opened(tmp_path) as hospital:
        known = {"system": "urn:dicom:uid", "value": f"urn:oid:{STUDY}"}
        await hospital.put(PATIENT, order("o1", identifier=[known]))
        await hospital.put(
            step("t1", "o1", title="CT1", modality="CT", start="2026-03-02T08:00:00+01:00")
        )
        await hospital.peer("CT1", "mpps", time_zone="Europe/Vienna")
        yield hospital


def beginning(**more) -> Dataset:
    data = Dataset()
    data.PatientName = "Muller^Anna"
    data.PatientID = "12345"
    data.PerformedProcedureStepStatus = "IN PROGRESS"
    data.PerformedProcedureStepID = "PPS1"
    data.PerformedStationAETitle = "CT1"
    data.PerformedProcedureStepStartDate = "20260302"
    data.PerformedProcedureStepStartTime = "081500"
    data.PerformedProcedureStepDescription = "Head"
    data.Modality = "CT"
    item = Dataset()
    item.StudyInstanceUID = STUDY
    item.AccessionNumber = "ACC-o1"
    item.ScheduledProcedureStepID = "t1"
    data.ScheduledStepAttributesSequence = [item]
    data.PerformedSeriesSequence = []
    for name, value in more.items():
        setattr(data, name, value)
    return data


def ending(status: str) -> Dataset:
    data = Dataset()
    data.PerformedProcedureStepStatus = status
    data.PerformedProcedureStepEndDate = "20260302"
    data.PerformedProcedureStepEndTime = "083000"
    series = Dataset()
    series.SeriesInstanceUID = "1.2.3.4.6"
    data.PerformedSeriesSequence = [series]
    return data


async def tell(port: int, *messages: tuple[str, Dataset | None]) -> list[Dataset]:
    """The statuses of N-CREATEs ('create') and N-SETs ('set'), on one association."""

    def run():
        entity = AE("CT1")
        entity.add_requested_context(MPPS)
        association = entity.associate("127.0.0.1", port, ae_title="OURS")
        assert association.is_established
        told = []
        for kind, data in messages:
            send = association.send_n_create if kind == "create" else association.send_n_set
            told.append(send(data, MPPS, STEP)[0])
        association.release()
        return told

    return await asyncio.to_thread(run)


async def statuses(hospital) -> dict[str, str]:
    found = await hospital.all("Task") + await hospital.all("Procedure")
    found += await hospital.all("ServiceRequest")
    return {
        "performed" if item["id"].startswith("new") and item["resourceType"] == "Task"
        else item["resourceType"] if item["id"].startswith("new") else item["id"]: item["status"]
        for item in found
    }  # fmt: skip


async def test_a_step_begins(hospital):
    async with hospital.listening("CT1") as port:
        (status,) = await tell(port, ("create", beginning()))
    assert status.Status == 0
    assert await statuses(hospital) == {
        "performed": "in-progress",
        "Procedure": "in-progress",
        "t1": "in-progress",
        "o1": "active",
    }
    (task,) = [item for item in await hospital.all("Task") if item["id"] != "t1"]
    assert task["basedOn"] == [{"reference": "ServiceRequest/o1"}]
    assert task["partOf"] == [{"reference": "Task/t1"}]
    assert task["for"] == {"reference": "Patient/p1"}
    assert task["groupIdentifier"]["value"] == "ACC-o1"
    assert task["executionPeriod"] == {"start": "2026-03-02T08:15:00+01:00"}
    assert task["focus"]["identifier"]["value"] == f"urn:oid:{STUDY}"


async def test_a_completed_step_completes_what_was_scheduled_and_the_order(hospital):
    async with hospital.listening("CT1") as port:
        told = await tell(port, ("create", beginning()), ("set", ending("COMPLETED")))
    assert [item.Status for item in told] == [0, 0]
    assert await statuses(hospital) == {
        "performed": "completed",
        "Procedure": "completed",
        "t1": "completed",
        "o1": "completed",
    }
    (procedure,) = await hospital.all("Procedure")
    assert procedure["performedPeriod"] == {
        "start": "2026-03-02T08:15:00+01:00",
        "end": "2026-03-02T08:30:00+01:00",
    }
    (task,) = [item for item in await hospital.all("Task") if item["id"] != "t1"]
    assert task["output"][0]["valueUri"] == "urn:oid:1.2.3.4.6"


async def test_an_order_with_another_open_step_stays_active(hospital):
    await hospital.put(step("t2", "o1", title="CT1", modality="CT", start="2026-03-03"))
    async with hospital.listening("CT1") as port:
        await tell(port, ("create", beginning()), ("set", ending("COMPLETED")))
    assert (await statuses(hospital))["o1"] == "active"


async def test_a_discontinued_step_has_failed_and_its_procedure_is_stopped(hospital):
    end = ending("DISCONTINUED")
    reason = Dataset()
    reason.CodeValue = "110513"
    reason.CodingSchemeDesignator = "DCM"
    reason.CodeMeaning = "Discontinued for unspecified reason"
    end.PerformedProcedureStepDiscontinuationReasonCodeSequence = [reason]
    async with hospital.listening("CT1") as port:
        await tell(port, ("create", beginning()), ("set", end))
    found = await statuses(hospital)
    assert (found["performed"], found["Procedure"], found["o1"]) == ("failed", "stopped", "active")
    (procedure,) = await hospital.all("Procedure")
    assert procedure["statusReason"]["coding"][0]["code"] == "110513"


@pytest.mark.parametrize("end", ["COMPLETED", "DISCONTINUED"])
async def test_what_has_ended_changes_no_more(hospital, end):
    async with hospital.listening("CT1") as port:
        *_, last = await tell(
            port, ("create", beginning()), ("set", ending(end)), ("set", ending("COMPLETED"))
        )
    assert last.Status == 0x0110
    assert last.ErrorID == 0xA506


async def test_what_is_refused(hospital):
    nobody = beginning()
    del nobody.ScheduledStepAttributesSequence
    async with hospital.listening("CT1") as port:
        told = await tell(
            port,
            ("set", ending("COMPLETED")),
            ("create", beginning(PerformedProcedureStepStatus="COMPLETED")),
            ("create", beginning(Modality="")),
            ("create", nobody),
            ("create", beginning()),
            ("create", beginning()),
            ("set", ending("FINISHED")),
        )
    assert [item.Status for item in told] == [0x0112, 0x0106, 0x0121, 0x0121, 0, 0x0111, 0x0106]
    assert len(await hospital.all("Procedure")) == 1


async def test_a_step_without_an_order_keeps_the_patient_as_it_was_named(hospital):
    item = Dataset()
    item.StudyInstanceUID = "1.9.9"
    async with hospital.listening("CT1") as port:
        (status,) = await tell(port, ("create", beginning(ScheduledStepAttributesSequence=[item])))
    assert status.Status == 0
    (task,) = [item for item in await hospital.all("Task") if item["id"] != "t1"]
    assert "basedOn" not in task
    assert task["for"]["identifier"]["value"] == "12345"


async def test_it_is_in_the_audit_trail(hospital):
    async with hospital.listening("CT1") as port:
        await tell(port, ("create", beginning()))
    (event,) = await hospital.events("110109")
    assert {"reference": "Patient/p1"} in [item.get("what") for item in event["entity"]]
    assert event["agent"][0]["who"]["identifier"]["value"] == "dicom:CT1"


ORDERS = {
    "by the placer's number": (
        {"PlacerOrderNumberImagingServiceRequest": "P1"},
        "PLAC",
        "12345",
        1,
    ),
    "by the filler's": ({"FillerOrderNumberImagingServiceRequest": "P1"}, "FILL", "12345", 1),
    "by a number of another type": (
        {"PlacerOrderNumberImagingServiceRequest": "P1"},
        "FILL",
        "12345",
        0,
    ),
    "by the accession number": ({"AccessionNumber": "P1"}, "ACSN", "12345", 1),
    "of another patient": ({"AccessionNumber": "P1"}, "ACSN", "99", 0),
}


@pytest.mark.parametrize("case", ORDERS)
async def test_the_order_of_a_step_by_its_numbers(hospital, case):
    numbers, type, patient, linked = ORDERS[case]
    number = {"type": {"coding": [{"system": TYPES, "code": type}]}, "value": "P1"}
    await hospital.put(order("o2", identifier=[number]))
    item = Dataset()
    item.StudyInstanceUID = "1.9.9"
    for name, value in numbers.items():
        setattr(item, name, value)
    told = beginning(ScheduledStepAttributesSequence=[item], PatientID=patient)
    async with hospital.listening("CT1") as port:
        (status,) = await tell(port, ("create", told))
    assert status.Status == 0
    (task,) = [item for item in await hospital.all("Task") if item["id"] != "t1"]
    assert task.get("basedOn", []) == [{"reference": "ServiceRequest/o2"}] * linked
