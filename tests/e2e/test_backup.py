"""A backup of a server that is written to all the while."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from e2e.server import FHIR_JSON, Server, check_file, ran, serving

pytestmark = pytest.mark.e2e

PAIRS = 4


def pair(number: int, value: int) -> str:
    """A transaction that gives two patients the same value."""
    entries = [
        {
            "resource": {"resourceType": "Patient", "id": id, "multipleBirthInteger": value},
            "request": {"method": "PUT", "url": f"Patient/{id}"},
        }
        for id in (f"left{number}", f"right{number}")
    ]
    return json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries})


@contextmanager
def writing(base: str) -> Iterator[list[int]]:
    """Writers that do not stop; the list has, for each pair, the last value that was answered."""
    done = [0] * PAIRS
    stop = threading.Event()

    def write(number: int) -> None:
        with httpx2.Client(timeout=60) as client:
            while not stop.is_set():
                body = pair(number, done[number] + 1)
                answer = client.post(base, content=body, headers=FHIR_JSON)
                assert answer.status_code == 200, answer.text
                done[number] += 1

    threads = [threading.Thread(target=write, args=(number,)) for number in range(PAIRS)]
    for thread in threads:
        thread.start()
    try:
        yield done
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def value(server: Server, root: str, id: str) -> int:
    answer = httpx2.get(f"{server.root}{root}/fhir/Patient/{id}", timeout=60)
    return int(answer.json()["multipleBirthInteger"]) if answer.status_code == 200 else 0


@pytest.mark.slow
@pytest.mark.check("OPS-7")
def test_a_backup_during_heavy_writing_is_one_state(tmp_path: Path) -> None:
    """Transactions are whole in it, and all that was answered before it began is in it."""
    data = tmp_path / "data"
    with serving(data, "--workers", "2") as server:
        made = ran(tmp_path, "tenant", "create", "north", "--data", "data")
        assert made.returncode == 0, made.stderr
        roots = ("", "/t/north")
        with writing(f"{server.base}") as default, writing(f"{server.root}/t/north/fhir") as north:
            while min(*default, *north) < 3:
                time.sleep(0.02)
            for number in range(3):
                before = {"": list(default), "/t/north": list(north)}
                taken = ran(tmp_path, "backup", f"backup{number}", "--data", "data")
                assert taken.returncode == 0, taken.stderr
        after = {"": list(default), "/t/north": list(north)}
    verified = ran(tmp_path, "backup", "verify", "backup2")
    assert verified.returncode == 0, verified.stderr
    restored = ran(tmp_path, "restore", "backup2", "--data", "there")
    assert restored.returncode == 0, restored.stderr
    check_file(tmp_path / "there")
    check_file(tmp_path / "there" / "tenants" / "north")
    with serving(tmp_path / "there") as server:
        for root in roots:
            for number in range(PAIRS):
                left = value(server, root, f"left{number}")
                assert value(server, root, f"right{number}") == left
                assert before[root][number] <= left <= after[root][number]
            page = httpx2.get(f"{server.root}{root}/fhir/Patient?_summary=count").json()
            assert page["total"] == 2 * PAIRS
        body = pair(0, 10**6)
        assert httpx2.post(server.base, content=body, headers=FHIR_JSON).status_code == 200
