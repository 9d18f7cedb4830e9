"""Orthanc as a peer: it is sent to, and it asks and fetches by itself."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from imaging.dimse.hospital import opened
from imaging.dimse.pictures import STUDY, picture
from imaging.dimse.test_retrieve import data, free_port, move

ORTHANC = shutil.which("Orthanc", path="/usr/sbin:/usr/bin")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(ORTHANC is None, reason="Orthanc is not installed"),
]


@contextmanager
def orthanc(folder: Path, title: str, port: int, ours: int) -> Iterator[httpx2.Client]:
    """Orthanc with us as a modality; a client of its REST API."""
    http = free_port()
    folder.mkdir()
    settings = {
        "DicomAet": title,
        "DicomPort": port,
        "HttpPort": http,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "StorageDirectory": str(folder),
        "IndexDirectory": str(folder),
        "DicomModalities": {"ours": ["OURS", "127.0.0.1", ours]},
        "DicomCheckCalledAet": False,
        "Plugins": [],
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    process = subprocess.Popen(
        [str(ORTHANC), str(folder / "orthanc.json")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{http}", timeout=60) as client:
            for _ in range(300):
                try:
                    client.get("/system")
                    break
                except httpx2.TransportError:
                    time.sleep(0.1)
            yield client
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture
async def hospital(tmp_path):
    async with opened(tmp_path, images=True) as hospital:
        await hospital.keep(
            picture(tmp_path, "1"),
            picture(tmp_path, "2", compressed=True),
            picture(tmp_path, "1", series="2"),
        )
        yield hospital


async def asks(client: httpx2.Client, method: str, path: str, body: object = None):
    def run():
        answer = client.request(method, path, content=json.dumps(body) if body else b"")
        assert answer.status_code == 200, answer.text
        return answer.json()

    return await asyncio.to_thread(run)


async def test_a_study_is_moved_to_orthanc(hospital, tmp_path):
    port = free_port()
    await hospital.peer("WS1", "move", roles=("admin",))
    await hospital.peer("ORTHANC", "echo", host="127.0.0.1", port=port)
    with orthanc(tmp_path / "orthanc", "ORTHANC", port, 1) as client:
        async with hospital.listening("WS1") as ours:
            statuses, _ = await move(ours, data("STUDY", StudyInstanceUID=STUDY), "ORTHANC")
        found = await asks(client, "GET", "/statistics")
    assert statuses[-1].Status == 0
    assert statuses[-1].NumberOfCompletedSuboperations == 3
    assert (found["CountStudies"], found["CountSeries"], found["CountInstances"]) == (1, 2, 3)


async def test_orthanc_finds_and_fetches(hospital, tmp_path):
    port = free_port()
    await hospital.peer("ORTHANC", roles=("admin",), host="127.0.0.1", port=port)
    async with hospital.listening("ORTHANC") as ours:
        await fetched(tmp_path / "orthanc", port, ours)


async def fetched(folder: Path, port: int, ours: int) -> None:
    with orthanc(folder, "ORTHANC", port, ours) as client:
        await asks(client, "POST", "/modalities/ours/echo", {})
        asked = {"Level": "Study", "Query": {"PatientID": "12345", "StudyDescription": ""}}
        query = await asks(client, "POST", "/modalities/ours/query", asked)
        answers = await asks(client, "GET", f"/queries/{query['ID']}/answers?expand&simplify")
        assert [item["StudyInstanceUID"] for item in answers] == [STUDY]
        assert answers[0]["StudyDescription"] == "Head"
        fetch = {"TargetAet": "ORTHANC", "Synchronous": True}
        await asks(client, "POST", f"/queries/{query['ID']}/answers/0/retrieve", fetch)
        found = await asks(client, "GET", "/statistics")
    assert (found["CountStudies"], found["CountInstances"]) == (1, 3)
