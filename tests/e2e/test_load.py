"""`fhirserver load` into a running server and into a store, stopped by force and taken up again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx2
from e2e.server import COMMAND, check_file, environment, ran, serving

FILES = 40
PATIENTS_IN_FILE = 12
LINES = 700
UNCOUNTED = {"FHIRSERVER_AUDIT": "off"}  # every resource of the store is counted


def make_files(folder: Path) -> int:
    """Transactions of creates, and lines; gives the number of resources."""
    folder.mkdir()
    for number in range(FILES):
        entries: list[dict[str, Any]] = []
        for index in range(PATIENTS_IN_FILE):
            patient = {
                "resourceType": "Patient",
                "identifier": [{"system": "urn:e2e:load", "value": f"{number}-{index}"}],
                "link": [{"other": {"reference": "urn:uuid:head"}, "type": "seealso"}],
            }
            if index == 0:
                del patient["link"]
            entries.append(
                {
                    "fullUrl": f"urn:uuid:{'head' if index == 0 else index}",
                    "resource": patient,
                    "request": {"method": "POST", "url": "Patient"},
                }
            )
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        (folder / f"bundle-{number:02}.json").write_text(json.dumps(bundle))
    lines = [
        json.dumps({"resourceType": "Basic", "code": {"text": f"line {number % 7}"}})
        for number in range(LINES)
    ]
    (folder / "lines.ndjson").write_text("\n".join(lines))
    return FILES * PATIENTS_IN_FILE + LINES


def start(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*COMMAND, "load", *arguments],
        cwd=folder,
        env=environment(**UNCOUNTED),
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def test_a_load_into_a_store_that_was_killed_goes_on_without_duplicates(tmp_path: Path) -> None:
    expected = make_files(tmp_path / "files")
    kills = 0
    for pause in (0.9, 1.1, 1.3, 1.5):
        process = start(tmp_path, "files", "--data", "data", "--in-flight", "3")
        time.sleep(pause)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
        process.wait(60)
    done = ran(tmp_path, "load", "files", "--data", "data", **UNCOUNTED)
    assert done.returncode == 0, done.stderr
    check_file(tmp_path / "data")
    with serving(tmp_path / "data") as server:
        assert server.count("") == expected
        assert server.count("Patient?identifier=urn:e2e:load|7-3") == 1
        total = httpx2.get(f"{server.base}/_history?_count=1").json()["total"]
        assert total == expected
    assert kills


def test_a_load_over_http_survives_the_death_of_loader_and_server(tmp_path: Path) -> None:
    expected = make_files(tmp_path / "files")
    with serving(tmp_path / "data") as server:
        process = start(tmp_path, "files", "--url", server.base, "--journal", "journal")
        wait_for_lines(tmp_path / "journal", 6)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(60)
        process = start(tmp_path, "files", "--url", server.base, "--journal", "journal")
        wait_for_lines(tmp_path / "journal", 20)
        server.kill()
        process.terminate()
        assert process.wait(60) != 0
    with serving(tmp_path / "data") as server:
        done = ran(tmp_path, "load", "files", "--url", server.base, "--journal", "journal")
        assert done.returncode == 0, done.stderr
        assert server.count("") == expected
        assert httpx2.get(f"{server.base}/_history?_count=1").json()["total"] == expected


def wait_for_lines(path: Path, count: int) -> None:
    for _ in range(3000):
        if path.exists() and path.read_bytes().count(b"\n") >= count:
            return
        time.sleep(0.01)
    raise AssertionError("the load makes no progress")


def test_a_server_that_is_not_there_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"resourceType":"Basic","code":{"text":"x"}}')
    done = ran(tmp_path, "load", "a.json", "--url", "ftp://127.0.0.1/fhir")
    assert done.returncode == 2
    assert "base URL" in done.stderr
