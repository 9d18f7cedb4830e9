"""Tenants of the real server by their called AE titles: each has its own studies, and no other."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from e2e.dicom_port import echo, free_port, needs_dcmtk, store, told, until
from e2e.server import Server, serving
from imaging.dimse.pictures import picture
from pydicom import Dataset
from pydicom.uid import CTImageStorage
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    StorageCommitmentPushModel,
    StudyRootQueryRetrieveInformationModelFind,
)

pytestmark = [pytest.mark.e2e, pytest.mark.slow, needs_dcmtk]

STUDIES = {"north": "1.2.826.0.1.3680043.8.498.1", "south": "1.2.826.0.1.3680043.8.498.2"}


@contextmanager
def listening(data: Path) -> Iterator[tuple[Server, str]]:
    port = free_port()
    with serving(data, FHIRSERVER_DICOM_PORT=port) as server:
        until(lambda: echo("FHIRSERVER", port) == 0)
        yield server, port


def found_by_query(title: str, port: str) -> set[str]:
    """The studies that C-FIND tells."""
    asked = Dataset()
    asked.QueryRetrieveLevel, asked.StudyInstanceUID = "STUDY", ""
    entity = AE("CT1")
    entity.add_requested_context(StudyRootQueryRetrieveInformationModelFind)
    association = entity.associate("127.0.0.1", int(port), ae_title=title)
    assert association.is_established
    answers = list(association.send_c_find(asked, StudyRootQueryRetrieveInformationModelFind))
    association.release()
    assert answers[-1][0].Status == 0
    return {str(data.StudyInstanceUID) for _, data in answers if data is not None}


def test_each_tenant_has_its_own_studies(tmp_path: Path) -> None:
    files = {name: picture(tmp_path, "1", study=uid) for name, uid in STUDIES.items()}
    with listening(tmp_path / "data") as (server, port):
        for name in STUDIES:
            told(tmp_path, "tenant", "create", name)
            assert echo(name.upper(), port) != 0, "a title that nobody has yet"
            told(tmp_path, "dicom", "titles", "add", name.upper(), name)
        assert "NORTH" in told(tmp_path, "dicom", "titles", "list")
        for name, file in files.items():
            assert store(name.upper(), port, file) == 0
        places = {f"/t/{name}": uid for name, uid in STUDIES.items()}
        for place, uid in places.items():
            address = f"{server.root}{place}/fhir/ImagingStudy/{uid}"
            until(lambda address=address: httpx2.get(address, timeout=60).status_code == 200)
        for place, uid in {**places, "": ""}.items():
            bundle = httpx2.get(f"{server.root}{place}/fhir/ImagingStudy", timeout=60).json()
            ids = {entry["resource"]["id"] for entry in bundle.get("entry", ())}
            web = httpx2.get(f"{server.root}{place}/dicom-web/studies", timeout=60).json()
            title = place.rpartition("/")[2].upper() or "FHIRSERVER"
            expected = {uid} - {""}
            assert ids == expected
            assert {one["0020000D"]["Value"][0] for one in web} == expected
            assert found_by_query(title, port) == expected
            for other in STUDIES.values():
                got = httpx2.get(f"{server.root}{place}/dicom-web/studies/{other}", timeout=60)
                assert got.status_code == (200 if other == uid else 404)
        assert echo("EAST", port) != 0
        told(tmp_path, "dicom", "titles", "remove", "SOUTH")
        assert echo("SOUTH", port) != 0
        told(tmp_path, "tenant", "suspend", "north")
        until(lambda: echo("NORTH", port) != 0)
        told(tmp_path, "tenant", "delete", "north", "--confirm", "north")
        assert "NORTH" not in told(tmp_path, "dicom", "titles", "list")


def test_commitments_of_a_tenant_go_on_after_a_restart(tmp_path: Path) -> None:
    file = picture(tmp_path, "1", study=STUDIES["north"])
    reports: list[Dataset] = []

    def reported(event: evt.Event) -> int:
        reports.append(event.event_information)
        return 0

    own = free_port()
    told(tmp_path, "tenant", "create", "north")
    told(tmp_path, "dicom", "titles", "add", "NORTH", "north")
    told(
        tmp_path, "dicom", "peers", "add", "CT1", "--tenant", "north", "--from", "127.0.0.1",
        "--may", "echo store commitment", "--host", "127.0.0.1", "--port", own,
    )  # fmt: skip
    with listening(tmp_path / "data") as (_, port):
        assert store("NORTH", port, file) == 0
        assert request_commitment("NORTH", port, STUDIES["north"] + ".1.1") == 0
    assert reports == []
    entity = AE("CT1")
    entity.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
    server = entity.start_server(
        ("127.0.0.1", int(own)), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, reported)]
    )
    try:
        with listening(tmp_path / "data"):
            until(lambda: reports)
    finally:
        server.shutdown()
    (item,) = reports[0].ReferencedSOPSequence
    assert item.ReferencedSOPInstanceUID == STUDIES["north"] + ".1.1"
    assert not [one for one in threading.enumerate() if one.name == "AE"]


def request_commitment(title: str, port: str, instance: str) -> int:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = CTImageStorage, instance
    asked = Dataset()
    asked.TransactionUID = "1.2.826.0.1.3680043.8.498.99"
    asked.ReferencedSOPSequence = [item]
    entity = AE("CT1")
    entity.add_requested_context(StorageCommitmentPushModel)
    association = entity.associate("127.0.0.1", int(port), ae_title=title)
    assert association.is_established
    status, _ = association.send_n_action(
        asked, 1, StorageCommitmentPushModel, "1.2.840.10008.1.20.1.1"
    )
    association.release()
    return int(status.Status)
