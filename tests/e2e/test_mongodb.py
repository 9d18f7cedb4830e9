"""The real server over MongoDB's protocol: start, indexes, and what is offered."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from e2e.server import FHIR_JSON, ran, serving
from wire.server import Absent, server

PATIENT = {"resourceType": "Patient", "name": [{"family": "Ángel"}], "birthDate": "1970-01-01"}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    try:
        with server() as found:
            yield found
    except Absent as absent:
        pytest.skip(str(absent))


def test_a_server_needs_indexes_then_serves(address: str, tmp_path: Path) -> None:
    store = {"FHIRSERVER_STORE": f"{address}/e2e_{uuid.uuid4().hex[:8]}"}
    missing = ran(tmp_path, "store", "status", **store)
    assert missing.returncode == 1
    assert "fhirserver store init" in missing.stdout
    refused = ran(tmp_path, "serve", "--auth", "none", "--port", "0", **store)
    assert refused.returncode == 3
    assert "fhirserver store init" in refused.stderr
    made = ran(tmp_path, "store", "init", **store)
    assert made.returncode == 0, made.stderr
    assert "All indexes are there." in made.stdout
    assert ran(tmp_path, "store", "status", **store).returncode == 0
    assert "0 of" not in ran(tmp_path, "store", "init", **store).stdout
    with serving(tmp_path / "data", "--workers", "2", **store) as running:
        once = {**FHIR_JSON, "If-None-Exist": "name=angel"}
        made_by = [
            httpx2.post(f"{running.base}/Patient", json=PATIENT, headers=once).status_code
            for _ in range(3)
        ]
        assert made_by == [201, 200, 200]
        assert running.count("Patient?name=angel&birthdate=1970") == 1
        (rest,) = httpx2.get(f"{running.base}/metadata").json()["rest"]
        assert {"batch", "transaction"} <= {item["code"] for item in rest["interaction"]}
        entry = {"resource": PATIENT, "request": {"method": "POST", "url": "Patient"}}
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry, entry]}
        answer = httpx2.post(running.base, json=bundle, headers=FHIR_JSON)
        assert answer.status_code == 200, answer.text
        assert running.count("Patient?name=angel") == 3


def test_the_password_is_not_shown(address: str, tmp_path: Path) -> None:
    url = "mongodb://user:geheim@127.0.0.1:1/x?serverSelectionTimeoutMS=200"
    told = ran(tmp_path, "check", FHIRSERVER_STORE=url)
    assert "geheim" not in told.stdout + told.stderr
    assert "***" in told.stdout
