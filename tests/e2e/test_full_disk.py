"""The real server on a disk that is full for a while."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from e2e.server import FHIR_JSON, Server, check_file, ran, serving
from full_disk import Disk, small_disk

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.check("OPS-10")]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with small_disk(tmp_path / "disk") as found:
        yield found


def patient(id: str) -> str:
    # what does not become small when it is stored
    seed = "".join(f"{hash((id, number)):x}" for number in range(1500))
    name = {"given": [id], "text": seed}
    return json.dumps({"resourceType": "Patient", "id": id, "name": [name]})


def put(server: Server, id: str) -> httpx2.Response:
    address = f"{server.base}/Patient/{id}"
    return httpx2.put(address, content=patient(id), headers=FHIR_JSON, timeout=60)


@pytest.mark.parametrize("audit", ["on", "off"])
def test_a_full_disk(disk: Disk, audit: str) -> None:
    data = disk.folder / "data"
    with serving(data, FHIRSERVER_AUDIT=audit) as server:
        stored = {f"a{number}" for number in range(20)}
        assert {put(server, id).status_code for id in stored} == {201}

        disk.fill()
        refused = set()
        for number in range(400):  # the room that the file has already is used up
            answer = put(server, f"b{number}")
            if answer.status_code == 201:
                stored.add(f"b{number}")
                continue
            assert answer.status_code in (500, 503), answer.text
            assert answer.json()["resourceType"] == "OperationOutcome"
            refused.add(f"b{number}")
            if len(refused) == 5:
                break
        assert len(refused) == 5, "it is not full"
        bundle = {
            "resourceType": "Bundle",
            "type": "transaction",
            "entry": [
                {
                    "resource": json.loads(patient(id)),
                    "request": {"method": "PUT", "url": f"Patient/{id}"},
                }
                for id in ("t1", "t2", "t3")
            ],
        }
        answer = httpx2.post(server.base, json=bundle, headers=FHIR_JSON, timeout=60)
        assert answer.status_code in (500, 503)
        read = httpx2.get(f"{server.base}/Patient/a1", timeout=60)
        if audit == "on":  # an access that cannot be recorded is none
            assert read.status_code == 503
            assert "Patient" not in read.json()["resourceType"]
            assert read.json()["issue"][0]["code"] == "transient"
        else:
            assert (read.status_code, read.json()["id"]) == (200, "a1")
        assert httpx2.get(f"{server.root}/healthz").status_code == 200

        disk.make_room()
        assert put(server, "c").status_code == 201
        stored.add("c")
        found = httpx2.get(f"{server.base}/Patient?_count=1000&_elements=id", timeout=60).json()
        ids = {entry["resource"]["id"] for entry in found["entry"]}
        assert stored <= ids
        # A write that was made, and whose event could not be recorded, is told as refused.
        assert ids - stored <= (refused if audit == "on" else set())
        assert not ids & {"t1", "t2", "t3"}
        once = httpx2.post(server.base, json=bundle, headers=FHIR_JSON, timeout=60)
        assert once.status_code == 200
    check_file(data)
    if audit == "on":
        done = ran(disk.folder, "audit", "verify", "--data", str(data), FHIRSERVER_AUTH="none")
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_server_that_starts_on_a_full_disk_says_so(disk: Disk) -> None:
    disk.fill()
    done = ran(disk.folder, "serve", "--port", "0", "--data", "data", "--auth", "none")
    assert done.returncode not in (0, -6, -11)
    assert "Traceback" not in done.stderr, done.stderr
    disk.make_room()
    with serving(disk.folder / "data") as server:
        assert put(server, "a").status_code == 201
