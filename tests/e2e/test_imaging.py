"""Modalities send to the real server, and the ImagingStudy is there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest
from e2e.server import FHIR_JSON, Server, serving
from imaging.dimse.calling import DCMTK
from imaging.dimse.pictures import picture
from imaging.dimse.test_mpps import beginning, ending
from imaging.dimse.test_worklist import PATIENT, step, wanted
from imaging.dimse.test_worklist import order as scheduled
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pynetdicom import AE
from pynetdicom.sop_class import ModalityPerformedProcedureStep, ModalityWorklistInformationFind

STORESCU, ECHOSCU = (shutil.which(name, path=DCMTK) for name in ("storescu", "echoscu"))
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.skipif(STORESCU is None or ECHOSCU is None, reason="needs dcmtk"),
]

STUDY = "1.2.826.0.1.3680043.8.498.77"
_SENDERS, _EACH, _SERIES = 8, 25, 10


def _files(folder: Path) -> list[Path]:
    """A folder for each sender, of instances of all series of one study."""
    data = dcmread(str(get_testdata_file("CT_small.dcm")))
    data.StudyInstanceUID = STUDY
    folders = []
    for sender in range(_SENDERS):
        into = folder / str(sender)
        into.mkdir(parents=True)
        folders.append(into)
        for number in range(_EACH):
            series = number % _SERIES + 1
            data.SeriesInstanceUID, data.SeriesNumber = f"{STUDY}.{series}", series
            uid = f"{STUDY}.{series}.{sender}.{number}"
            data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = uid
            data.save_as(into / f"{number}.dcm")
    return folders


def test_eight_associations_deliver_one_study(tmp_path: Path) -> None:
    folders = _files(tmp_path / "files")
    with serving(tmp_path / "data", FHIRSERVER_DICOM_PORT="0") as server:
        port = _dicom_port(server)
        command = [str(STORESCU), "+sd", "-aec", "FHIRSERVER", "127.0.0.1", port]
        environment = os.environ | {"TCP_NODELAY": "1"}
        senders = [subprocess.Popen([*command, str(one)], env=environment) for one in folders]
        assert [one.wait(120) for one in senders] == [0] * _SENDERS
        study = _whole_study(server.base)
        assert study["numberOfSeries"] == _SERIES
        assert sum(len(one["instance"]) for one in study["series"]) == _SENDERS * _EACH
        assert (
            int(study["meta"]["versionId"]) <= 8
        )  # the waits double: of minutes, not of instances
        assert server.count("Patient") == server.count("Task") == 1


def test_an_imaging_study_follows_the_steps_of_its_modality(
    tmp_path: Path, each_store: str
) -> None:
    """From the worklist's order by MPPS and storescu: registered, available; and cancelled."""
    (tmp_path / "files").mkdir()
    made, never = f"{STUDY}.1", f"{STUDY}.2"
    jane = {"PatientID": "4711", "IssuerOfPatientID": "HOSP"}
    files = [picture(tmp_path / "files", "1", study=made, **jane)]
    with serving(tmp_path / "data", FHIRSERVER_DICOM_PORT="0") as server:
        port = int(_dicom_port(server))
        _put(server.base, *ordered(made, never))
        assert _tell(port, f"{made}.9", announcing(made)) == 0
        registered = _study(server.base, made, "registered")
        assert registered["basedOn"] == [{"reference": "ServiceRequest/o1"}]
        assert registered["subject"] == {"reference": "Patient/jane"}
        send = [str(STORESCU), "-aec", "FHIRSERVER", "127.0.0.1", str(port), *map(str, files)]
        subprocess.run(send, check=True, timeout=60)
        assert _tell(port, f"{made}.9", ending("COMPLETED"), begins=False) == 0
        available = _study(server.base, made, "available")
        assert available["numberOfInstances"] == 1
        assert available["basedOn"] == [{"reference": "ServiceRequest/o1"}]
        assert available["id"] == registered["id"]
        assert int(available["meta"]["versionId"]) == 2
        assert _tell(port, f"{never}.9", announcing(never)) == 0
        _study(server.base, never, "registered")
        assert _tell(port, f"{never}.9", ending("DISCONTINUED"), begins=False) == 0
        _study(server.base, never, "cancelled")


def test_a_worklist_is_searched_by_indexes_of_its_own(tmp_path: Path) -> None:
    """The parameters are put into the store, and steps that were there before are found by them."""
    data = tmp_path / "data"
    with serving(data) as server:
        _put(server.base, PATIENT, scheduled("o1"))
        _put(server.base, step("t1", "o1", title="CT1", modality="CT", start="2026-03-02"))
    with serving(data, FHIRSERVER_DICOM_PORT="0") as server:
        port = int(_dicom_port(server))
        search = f"{server.base}/Task?worklist-start=2026-03-02&worklist-modality=CT"
        for _ in range(200):
            answer = httpx2.get(search, timeout=60)
            if answer.status_code == 200:
                break
            time.sleep(0.1)
        assert answer.json()["total"] == 1, answer.text
        for day, found in (("20260302", ["t1"]), ("20260305", [])):
            assert _worklist(port, day) == found


def _worklist(port: int, day: str) -> list[str]:
    """The ids of the steps of a day."""
    entity = AE("CT1")
    entity.add_requested_context(ModalityWorklistInformationFind)
    association = entity.associate("127.0.0.1", port, ae_title="FHIRSERVER")
    assert association.is_established
    asked = wanted(ScheduledProcedureStepStartDate=day)
    *found, (last, _) = association.send_c_find(asked, ModalityWorklistInformationFind)
    association.release()
    assert last.Status == 0
    steps = [data.ScheduledProcedureStepSequence[0] for _, data in found]
    return [str(item.ScheduledProcedureStepID) for item in steps]


def ordered(*studies: str) -> list[dict[str, Any]]:
    """A patient with orders that have the UIDs of the studies to be."""
    patient = {
        "resourceType": "Patient",
        "id": "jane",
        "identifier": [{"system": "urn:dicom:issuer:HOSP", "value": "4711"}],
    }
    orders = [
        {
            "resourceType": "ServiceRequest",
            "id": f"o{number}",
            "status": "active",
            "intent": "order",
            "subject": {"reference": "Patient/jane"},
            "identifier": [{"system": "urn:dicom:uid", "value": f"urn:oid:{uid}"}],
        }
        for number, uid in enumerate(studies, 1)
    ]
    return [patient, *orders]


def _put(base: str, *resources: dict[str, Any]) -> None:
    for resource in resources:
        address = f"{base}/{resource['resourceType']}/{resource['id']}"
        assert httpx2.put(address, json=resource, headers=FHIR_JSON, timeout=60).is_success


def announcing(study: str) -> Dataset:
    """The N-CREATE of a step that makes a study."""
    item = Dataset()
    item.StudyInstanceUID = study
    return beginning(PatientID="4711", ScheduledStepAttributesSequence=[item])


def _tell(port: int, step: str, data: Dataset, *, begins: bool = True) -> int:
    """The status that a modality gets for its N-CREATE or N-SET."""
    entity = AE("CT1")
    entity.add_requested_context(ModalityPerformedProcedureStep)
    association = entity.associate("127.0.0.1", port, ae_title="FHIRSERVER")
    assert association.is_established
    send = association.send_n_create if begins else association.send_n_set
    status, _ = send(data, ModalityPerformedProcedureStep, step)
    association.release()
    return int(status.Status)


def _study(base: str, uid: str, status: str) -> dict[str, Any]:
    """The ImagingStudy, once it has that status."""
    for _ in range(200):
        answer = httpx2.get(f"{base}/ImagingStudy/{uid}")
        if answer.status_code == 200 and answer.json()["status"] == status:
            return dict(answer.json())
        time.sleep(0.1)
    raise AssertionError(f"The ImagingStudy did not become {status}.")


def _dicom_port(server: Server) -> str:
    """What the server says about it, once it listens there."""
    for line in server.process.stdout or ():
        if found := re.fullmatch(r"DICOM +\S+:(\d+)\n", line):
            _wait_for(int(found[1]))
            return found[1]
    raise AssertionError("The server told no DICOM port.")


def _wait_for(port: int) -> None:
    """Its processes start behind the port; what they are not there for yet waits."""
    subprocess.run(
        [str(ECHOSCU), "-aec", "FHIRSERVER", "127.0.0.1", str(port)], check=True, timeout=60
    )


def _whole_study(base: str) -> dict[str, object]:
    for _ in range(200):
        answer = httpx2.get(f"{base}/ImagingStudy/{STUDY}")
        if answer.status_code == 200:
            study = answer.json()
            if study["numberOfInstances"] == _SENDERS * _EACH:
                return dict(study)
        time.sleep(0.1)
    raise AssertionError("The ImagingStudy did not become whole.")
