"""`fhirserver demo` as a user starts it."""

from __future__ import annotations

import re
import time
from pathlib import Path

import httpx2
from e2e.server import FHIR_JSON, serving

SECONDS = 20
"""Much more than it takes on an idle machine (4)."""


def test_a_demo_answers_within_seconds_and_lists_what_it_holds(tmp_path: Path) -> None:
    begun = time.monotonic()
    options = ("--auth", "none")
    with serving(tmp_path / "unused", *options, command="demo", TMPDIR=str(tmp_path)) as server:
        assert time.monotonic() - begun < SECONDS
        assert server.count("Patient") == 50
        page = httpx2.get(server.root).text
        total = re.search(r"([\d,]+) resources of (\d+) types", page)
        assert total
        assert int(total[1].replace(",", "")) == server.count("") > 4000
        assert int(total[2]) >= 28
        for kind in ("Patient", "Observation", "Appointment", "Invoice"):
            assert f">{kind}</a>" in page
        assert list(tmp_path.glob("fhirserver-demo-*"))
    assert server.process.returncode is not None
    assert not list(tmp_path.glob("fhirserver-demo-*"))


def test_a_demo_in_a_folder_keeps_what_was_changed(tmp_path: Path) -> None:
    options = ("--data", str(tmp_path / "data"), "--patients", "3", "--auth", "none")
    with serving(tmp_path / "data", *options, command="demo") as server:
        patient = httpx2.get(f"{server.base}/Patient/patient-2").json()
        patient["active"] = False
        changed = httpx2.put(f"{server.base}/Patient/patient-2", json=patient, headers=FHIR_JSON)
        assert changed.status_code == 200
    with serving(tmp_path / "data", *options, "--seed", "9", command="demo") as server:
        assert server.count("Patient") == 3
        assert httpx2.get(f"{server.base}/Patient/patient-2").json()["active"] is False
