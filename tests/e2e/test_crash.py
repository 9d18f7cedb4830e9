"""`kill -9` at any moment: what was acknowledged is there, transactions are whole or absent."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest
from e2e.server import FHIR_JSON, Server, check_file, pages, serving

SYSTEM = "urn:e2e:crash"
PARTS = 5


class Writers:
    """Threads that write until the server is gone, and note what was acknowledged.

    `survives`: they go on when a connection breaks, until they are stopped.
    """

    def __init__(self, server: Server, round: int, *, survives: bool = False) -> None:
        self.created: dict[str, str] = {}  # id -> identifier
        self.transactions: dict[str, bool] = {}  # identifier -> acknowledged
        self.versions: dict[str, int] = {}  # id -> last version acknowledged
        self.errors: list[str] = []
        self._server = server
        self._survives = survives
        self._round = round
        self._stop = threading.Event()
        kinds = [self._create, self._create, self._transact, self._transact, self._update]
        self._threads = [
            threading.Thread(target=self._run, args=(kind, number))
            for number, kind in enumerate(kinds * 2)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def have_each_kind(self) -> bool:
        """Whether a create, a transaction and an update were acknowledged."""
        whole = any(list(self.transactions.values()))
        return bool(self.created) and whole and bool(self.versions)

    def await_each_kind(self) -> None:
        """Waits until they are, at most a minute: a busy machine takes its time."""
        deadline = time.monotonic() + 60
        while not self.have_each_kind and time.monotonic() < deadline:
            time.sleep(0.05)

    def join(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def _run(self, write: Callable[[httpx2.Client, str, int], None], number: int) -> None:
        with httpx2.Client(base_url=self._server.base + "/", headers=FHIR_JSON) as client:
            for turn in range(100_000):
                try:
                    write(client, f"{self._round}-{number}-{turn}", number)
                except httpx2.TransportError:
                    if not self._survives:
                        return
                if self._stop.is_set():
                    return

    def _create(self, client: httpx2.Client, name: str, number: int) -> None:
        answer = client.post("Patient", json=patient(name))
        self._expect(answer, 201)
        self.created[answer.json()["id"]] = name

    def _transact(self, client: httpx2.Client, name: str, number: int) -> None:
        self.transactions[name] = False
        answer = client.post("", json=transaction(name))
        self._expect(answer, 200)
        self.transactions[name] = True

    def _update(self, client: httpx2.Client, name: str, number: int) -> None:
        id = f"steady-{number}"
        body = {"resourceType": "Basic", "id": id, "code": {"text": name}}
        answer = client.put(f"Basic/{id}", json=body)
        self._expect(answer, 200, 201)
        self.versions[id] = int(answer.json()["meta"]["versionId"])

    def _expect(self, answer: httpx2.Response, *statuses: int) -> None:
        if answer.status_code not in statuses:
            self.errors.append(answer.text)


def patient(name: str) -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "identifier": [{"system": SYSTEM, "value": name}],
        "name": [{"family": f"Fam{name}", "text": "x" * 300}],
    }


def transaction(name: str) -> dict[str, Any]:
    entries: list[dict[str, Any]] = [
        {
            "fullUrl": "urn:uuid:00000000-0000-4000-8000-000000000000",
            "resource": patient(name),
            "request": {"method": "POST", "url": "Patient"},
        }
    ]
    for _ in range(PARTS - 1):
        observation = {
            "resourceType": "Observation",
            "identifier": [{"system": SYSTEM, "value": name}],
            "status": "final",
            "code": {"text": "part"},
            "subject": {"reference": "urn:uuid:00000000-0000-4000-8000-000000000000"},
        }
        entries.append(
            {"resource": observation, "request": {"method": "POST", "url": "Observation"}}
        )
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def test_acknowledged_writes_survive_and_transactions_are_whole(tmp_path: Path) -> None:
    crash(tmp_path / "data", rounds=3, workers=1)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_many_crashes(tmp_path: Path, workers: int) -> None:
    crash(tmp_path / "data", rounds=12, workers=workers)


@pytest.mark.slow
def test_a_worker_that_is_killed_is_replaced_and_loses_nothing(tmp_path: Path) -> None:
    with serving(tmp_path / "data", "--workers", "2") as server:
        before = workers_of(server)
        assert len(before) == 2
        writers = Writers(server, 0, survives=True)
        time.sleep(1)
        os.kill(before[0], signal.SIGKILL)
        deadline = time.monotonic() + 30
        while not set(workers_of(server)) - set(before) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert set(workers_of(server)) - set(before)
        time.sleep(2)
        writers.join()
        assert writers.errors == []
        check_all(server, writers)
        check_index(server)


def workers_of(server: Server) -> list[int]:
    """The processes that serve, children of the one that was started."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            command = (path.parent / "cmdline").read_bytes()
            if parent == server.process.pid and b"spawn_main" in command:
                found.append(int(path.parent.name))
    return sorted(found)


def crash(data: Path, rounds: int, workers: int) -> None:
    chance = random.Random(rounds)
    known: list[Writers] = []
    for number in range(rounds):
        with serving(data, "--workers", str(workers)) as server:
            for writers in known:
                check_all(server, writers)
            writers = Writers(server, number)
            writers.await_each_kind()
            time.sleep(chance.random())
            server.kill()
            writers.join()
        assert writers.errors == []
        assert writers.have_each_kind
        check_file(data)
        known.append(writers)
    with serving(data) as server:
        for writers in known:
            check_all(server, writers)
        check_index(server)


def check_all(server: Server, writers: Writers) -> None:
    with httpx2.Client(base_url=server.base + "/") as client:
        found = {id: client.get(f"Patient/{id}") for id in writers.created}
        for id, name in writers.created.items():
            assert found[id].status_code == 200, id
            assert found[id].json()["identifier"][0]["value"] == name
        for id, version in writers.versions.items():
            current = client.get(f"Basic/{id}").json()
            assert int(current["meta"]["versionId"]) >= version
            assert client.get(f"Basic/{id}/_history/{version}").status_code == 200
        parts: defaultdict[str, int] = defaultdict(int)
        for kind in ("Patient", "Observation"):
            for page in pages(client, f"{kind}?_count=1000&_elements=identifier"):
                for resource in page:
                    parts[resource["identifier"][0]["value"]] += 1
        for name, is_acknowledged in writers.transactions.items():
            expected = {PARTS} if is_acknowledged else {0, PARTS}
            assert parts[name] in expected, (name, is_acknowledged, parts[name])


def check_index(server: Server) -> None:
    """What the index finds is what is stored."""
    with httpx2.Client(base_url=server.base + "/") as client:
        patients = [one for page in pages(client, "Patient?_count=1000") for one in page]
        for one in random.Random(1).sample(patients, 25):
            name = one["identifier"][0]["value"]
            for query in (
                f"identifier={SYSTEM}|{name}",
                f"family=Fam{name}&family:exact=Fam{name}",
            ):
                found = client.get(f"Patient?{query}").json()
                assert [entry["resource"]["id"] for entry in found["entry"]] == [one["id"]]
            parts = server.count(f"Observation?subject=Patient/{one['id']}")
            assert parts in (0, PARTS - 1)
            assert parts == server.count(f"Observation?identifier={SYSTEM}|{name}")
