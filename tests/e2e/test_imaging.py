"""Modalities send to the real server, and the ImagingStudy is there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import httpx2
import pytest
from e2e.server import Server, serving
from imaging.dimse.calling import DCMTK
from pydicom import dcmread
from pydicom.data import get_testdata_file

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
