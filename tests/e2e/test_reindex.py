"""`kill -9` in the midst of a reindex: the next server goes on from where it was."""

from __future__ import annotations

import time
from pathlib import Path

import httpx2
import pytest
from e2e.server import FHIR_JSON, Server, check_file, serving
from indexing.server import EYES, URL, patient

COUNT = 1500
ASYNC = FHIR_JSON | {"prefer": "respond-async"}


def fill(server: Server) -> None:
    entries = [
        {
            "resource": patient(f"p{n}", "green"),
            "request": {"method": "PUT", "url": f"Patient/p{n}"},
        }
        for n in range(COUNT)
    ]
    bundle = {"resourceType": "Bundle", "type": "batch", "entry": entries}
    httpx2.post(server.base, json=bundle, headers=FHIR_JSON, timeout=120).raise_for_status()


def progress(server: Server, address: str) -> int:
    """How many resources the job says that it did."""
    return progress_of(httpx2.get(f"{server.root}{address}", timeout=60))


def finish(server: Server, address: str) -> list[int]:
    """The progress that was told until the job was done."""
    told: list[int] = []
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        answer = httpx2.get(f"{server.root}{address}", timeout=60)
        if answer.status_code == 200:
            return told
        told.append(progress_of(answer))
        time.sleep(0.1)
    raise AssertionError(f"not done: {told[-3:]}")


def progress_of(answer: httpx2.Response) -> int:
    assert answer.status_code == 202, answer.text
    words = answer.headers["x-progress"].split(" of about")[0].split()
    return int(words[-1].replace(",", "")) if words[-1][0].isdigit() else 0


@pytest.mark.slow
def test_a_server_that_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serving(data, FHIRSERVER_JOB_SHARE="0.05") as server:
        fill(server)
        sent = httpx2.put(
            f"{server.base}/SearchParameter/eye-colour", json=EYES, headers=FHIR_JSON, timeout=60
        )
        assert sent.status_code == 201
        address = (
            httpx2.post(f"{server.base}/$reindex", headers=ASYNC, timeout=60)
            .headers["content-location"]
            .removeprefix(server.root)
        )
        deadline = time.monotonic() + 60
        while (before := progress(server, address)) < 200 and time.monotonic() < deadline:
            assert httpx2.get(f"{server.base}/Patient/p1", timeout=5).status_code == 200
            time.sleep(0.05)
        assert 200 <= before < COUNT
        waiting = httpx2.get(f"{server.base}/Patient?eye-colour=green", timeout=60)
        assert waiting.status_code == 503
        assert waiting.json()["issue"][0]["code"] == "incomplete"
        server.kill()
    check_file(data)
    with serving(data) as server:
        assert progress(server, address) >= before
        told = finish(server, address)
        assert all(count >= before for count in told)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            answer = httpx2.get(f"{server.base}/Patient?eye-colour=green&_summary=count")
            if answer.status_code == 200:
                break
            assert answer.status_code == 503
            time.sleep(0.1)
        assert answer.json()["total"] == COUNT
        (rest,) = httpx2.get(f"{server.base}/metadata").json()["rest"]
        (patients,) = (item for item in rest["resource"] if item["type"] == "Patient")
        assert f"{URL}eye-colour" in {item["definition"] for item in patients["searchParam"]}
