"""The Modality Worklist, asked for by dcmtk's findscu and by pynetdicom."""

from __future__ import annotations

import asyncio

import pytest
from imaging.dimse.calling import command
from imaging.dimse.hospital import opened
from pydicom.dataset import Dataset
from pynetdicom import AE

from fhirserver.imaging.dimse.contexts import WORKLIST

DCM = "http://dicom.nema.org/resources/ontology/DCM"
TYPES = "http://terminology.hl7.org/CodeSystem/v2-0203"

PATIENT = {
    "resourceType": "Patient",
    "id": "p1",
    "identifier": [
        {
            "type": {"coding": [{"system": TYPES, "code": "MR"}]},
            "system": "urn:dicom:issuer:HOSPITAL",
            "value": "12345",
        }
    ],
    "name": [{"use": "official", "family": "Müller", "given": ["Anna", "Maria"]}],
    "birthDate": "1970-01-02",
    "gender": "female",
}


def order(id: str, **more):
    return {
        "resourceType": "ServiceRequest",
        "id": id,
        "status": "active",
        "intent": "order",
        "category": [{"coding": [{"system": "http://snomed.info/sct", "code": "363679005"}]}],
        "code": {
            "text": "CT of the head",
            "coding": [{"system": "http://loinc.org", "code": "24725-4"}],
        },
        "subject": {"reference": "Patient/p1"},
        "occurrenceDateTime": "2026-03-01T09:30:00+01:00",
        "identifier": [
            {"type": {"coding": [{"system": TYPES, "code": "ACSN"}]}, "value": f"ACC-{id}"}
        ],
        **more,
    }


def step(id: str, of: str, *, title: str, modality: str, start: str, **more):
    return {
        "resourceType": "Task",
        "id": id,
        "status": "requested",
        "intent": "order",
        "basedOn": [{"reference": f"ServiceRequest/{of}"}],
        "restriction": {"period": {"start": start}},
        "input": [
            {
                "type": {"coding": [{"system": DCM, "code": "121139"}]},
                "valueCodeableConcept": {"coding": [{"system": DCM, "code": modality}]},
            },
            {
                "type": {"coding": [{"system": DCM, "code": "110119"}]},
                "valueString": title,
            },
        ],
        **more,
    }


@pytest.fixture
async def hospital(tmp_path):
    async with opened(tmp_path) as hospital:
        await hospital.put(PATIENT, order("o1"))
        yield hospital


def wanted(**step_keys) -> Dataset:
    """What a modality asks: the usual return keys, and keys of the scheduled step."""
    data = Dataset()
    for name in (
        "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex",
        "AccessionNumber", "StudyInstanceUID", "RequestedProcedureID",
        "RequestedProcedureDescription",
    ):  # fmt: skip
        setattr(data, name, "")
    data.RequestedProcedureCodeSequence = []
    item = Dataset()
    for name in (
        "ScheduledStationAETitle", "ScheduledProcedureStepStartDate",
        "ScheduledProcedureStepStartTime", "Modality", "ScheduledProcedureStepID",
        "ScheduledProcedureStepDescription",
    ):  # fmt: skip
        setattr(item, name, step_keys.get(name, ""))
    data.ScheduledProcedureStepSequence = [item]
    return data


async def ask(port: int, data: Dataset) -> tuple[int, list[Dataset]]:
    """The final status and the matches."""

    def run():
        entity = AE("CT1")
        entity.add_requested_context(WORKLIST)
        association = entity.associate("127.0.0.1", port, ae_title="OURS")
        assert association.is_established
        answers = list(association.send_c_find(data, WORKLIST))
        association.release()
        return answers

    answers = await asyncio.to_thread(run)
    return answers[-1][0].Status, [found for status, found in answers if found is not None]


async def test_an_order_is_an_entry_with_its_patient(hospital):
    await hospital.peer("CT1", "worklist")
    async with hospital.listening("CT1") as port:
        status, (found,) = await ask(port, wanted())
    assert status == 0
    assert found.PatientName == "Müller^Anna^Maria"
    assert (found.PatientID, found.IssuerOfPatientID) == ("12345", "HOSPITAL")
    assert (found.PatientBirthDate, found.PatientSex) == ("19700102", "F")
    assert (found.AccessionNumber, found.RequestedProcedureID) == ("ACC-o1", "o1")
    (code,) = found.RequestedProcedureCodeSequence
    assert (code.CodeValue, code.CodingSchemeDesignator) == ("24725-4", "LN")
    (item,) = found.ScheduledProcedureStepSequence
    assert item.ScheduledStationAETitle == "CT1"  # planned for no station: for all
    assert item.ScheduledProcedureStepStartDate == "20260301"
    assert item.ScheduledProcedureStepStartTime == "093000"
    assert item.Modality == "OT"


async def test_the_study_uid_is_kept_with_the_order_and_stays(hospital):
    await hospital.peer("CT1", "worklist")
    async with hospital.listening("CT1") as port:
        _, (first,) = await ask(port, wanted())
        _, (again,) = await ask(port, wanted())
    kept = (await hospital.get("ServiceRequest", "o1"))["identifier"][-1]
    assert kept == {"system": "urn:dicom:uid", "value": f"urn:oid:{first.StudyInstanceUID}"}
    assert again.StudyInstanceUID == first.StudyInstanceUID
    assert (await hospital.get("ServiceRequest", "o1"))["meta"]["versionId"] == "2"


KEYS = [
    ({}, {"t1", "t2"}),
    ({"Modality": "CT"}, {"t1"}),
    ({"ScheduledStationAETitle": "MR1"}, {"t2"}),
    ({"ScheduledProcedureStepStartDate": "20260301-20260302"}, {"t1"}),
    ({"ScheduledProcedureStepStartDate": "20260303"}, {"t2"}),
    ({"ScheduledProcedureStepStartDate": "20260303", "Modality": "CT"}, set()),
]


async def test_steps_match_by_their_own_keys(hospital):
    await hospital.peer("CT1", "worklist")
    await hospital.put(
        step("t1", "o1", title="CT1", modality="CT", start="2026-03-02T08:00:00+01:00"),
        step("t2", "o1", title="MR1", modality="MR", start="2026-03-03T08:00:00+01:00"),
        step("t3", "o1", title="CT1", modality="CT", start="2026-03-02", status="completed"),
    )
    async with hospital.listening("CT1") as port:
        for keys, found in KEYS:
            _, answers = await ask(port, wanted(**keys))
            steps = [item.ScheduledProcedureStepSequence[0] for item in answers]
            assert {item.ScheduledProcedureStepID for item in steps} == found, keys


async def test_an_appointment_says_when(hospital):
    await hospital.peer("CT1", "worklist", time_zone="America/New_York")
    await hospital.put(
        {
            "resourceType": "Appointment",
            "id": "a1",
            "status": "booked",
            "basedOn": [{"reference": "ServiceRequest/o1"}],
            "start": "2026-03-05T01:00:00Z",
            "end": "2026-03-05T02:00:00Z",
            "participant": [{"actor": {"reference": "Patient/p1"}, "status": "accepted"}],
        }
    )
    async with hospital.listening("CT1") as port:
        _, (found,) = await ask(port, wanted())
    (item,) = found.ScheduledProcedureStepSequence
    assert item.ScheduledProcedureStepStartDate == "20260304"  # as it stands in New York
    assert item.ScheduledProcedureStepStartTime == "200000"


async def test_by_accession_number_patient_and_name(hospital):
    await hospital.peer("CT1", "worklist")
    await hospital.put(order("o2"))
    asked = wanted()
    asked.AccessionNumber = "ACC-o2"
    async with hospital.listening("CT1") as port:
        _, (one,) = await ask(port, asked)
        asked = wanted()
        asked.PatientName = "muller*"
        _, by_name = await ask(port, asked)
        asked.PatientName = "Maier*"
        _, none = await ask(port, asked)
        asked = wanted()
        asked.PatientID = "12345"
        _, by_number = await ask(port, asked)
    assert one.RequestedProcedureID == "o2"
    assert len(by_name) == len(by_number) == 2
    assert none == []


async def test_other_orders_are_not_told(hospital):
    await hospital.peer("CT1", "worklist")
    laboratory = [{"coding": [{"system": "http://snomed.info/sct", "code": "108252007"}]}]
    await hospital.put(
        order("o1", status="completed"),
        order("o2", intent="plan"),
        order("o3", category=laboratory),
    )
    async with hospital.listening("CT1") as port:
        assert await ask(port, wanted()) == (0, [])


async def test_findscu(hospital):
    await hospital.peer("CT1", "worklist")
    async with hospital.listening("CT1") as port:
        told = await command(
            "/usr/bin/findscu", "-W", "-aet", "CT1", "-aec", "OURS", "127.0.0.1", str(port),
            "-k", "PatientName", "-k", "ScheduledProcedureStepSequence[0].Modality",
            "-k", "ScheduledProcedureStepSequence[0].ScheduledProcedureStepStartDate=20260301",
            "-k", "AccessionNumber",
        )  # fmt: skip
    assert "ACC-o1" in told
    assert "[ISO_IR 192]" in told


async def test_the_query_is_in_the_audit_trail_with_the_patient(hospital):
    await hospital.peer("CT1", "worklist")
    async with hospital.listening("CT1") as port:
        await ask(port, wanted(Modality="OT"))
    (event,) = await hospital.events("110112")
    entities = event["entity"]
    assert {"reference": "Patient/p1"} in [item.get("what") for item in entities]
    assert event["agent"][0]["who"]["identifier"]["value"] == "dicom:CT1"
    assert event["agent"][0]["network"]["address"] == "127.0.0.1"


async def test_too_many_matches(hospital):
    from fhirserver.imaging.dimse.session import Limits

    await hospital.peer("CT1", "worklist")
    await hospital.put(order("o2"))
    async with hospital.listening("CT1", limits=Limits(matches=1)) as port:
        status, found = await ask(port, wanted())
    assert (status, len(found)) == (0xA700, 1)
