"""Writers over HTTP while connections break and the primary steps down, by faults of the wire."""

from __future__ import annotations

import os
import random
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from e2e.server import FHIR_JSON, Server, serving
from stores import databases
from wire.server import REAL

pytestmark = [
    pytest.mark.slow,
    pytest.mark.mongodb,
    pytest.mark.skipif(REAL in os.environ, reason="orders faults that only the wire has"),
]

WRITERS = 6
SECONDS = 25
SYSTEM = "urn:e2e:failover"
COMMANDS = ["find", "update", "insert", "commitTransaction", "aggregate"]


@pytest.fixture
def address(wire: Any) -> str:
    return str(wire.address())


@pytest.fixture
def server(address: str, tmp_path: Path) -> Iterator[Server]:
    with (
        databases(address) as made,
        serving(tmp_path / "data", "--workers", "2", FHIRSERVER_STORE=made.fresh()) as running,
    ):
        yield running


def disturb(address: str, stop: threading.Event) -> int:
    """Orders one fault after another; gives their number."""
    from pymongo import MongoClient

    dice = random.Random(7)
    number = 0
    with MongoClient[dict[str, Any]](address, directConnection=True) as client:
        while not stop.is_set():
            number += 1
            if number % 5 == 0:
                client.admin.command("replSetStepDown", 1)
            else:
                data = {
                    "failCommands": [dice.choice(COMMANDS)],
                    "closeConnection": True,
                    "after": dice.random() < 0.5,
                }
                mode = {"skip": dice.randrange(5), "times": dice.randrange(1, 4)}
                client.admin.command("configureFailPoint", "failCommand", mode=mode, data=data)
            stop.wait(0.4)
        client.admin.command("configureFailPoint", "failCommand", mode="off")
    return number


class Writer:
    """Creates patients by condition and by transaction, and keeps what it was told."""

    def __init__(self, base: str) -> None:
        self._base = base
        self.values: list[str] = []
        self.stored: dict[str, str] = {}
        self.bundles: list[list[str]] = []
        self.waits: list[str] = []
        self.others: list[str] = []

    def run(self, stop: threading.Event) -> None:
        with httpx2.Client(timeout=60, headers=FHIR_JSON) as client:
            while not stop.is_set():
                self._create(client, stop)
                self._transact(client)

    def _create(self, client: httpx2.Client, stop: threading.Event) -> None:
        """Asks until it is told that the resource is there."""
        value = uuid.uuid4().hex
        self.values.append(value)
        once = {"If-None-Exist": f"identifier={SYSTEM}|{value}"}
        while not stop.is_set():
            answer = client.post(f"{self._base}/Patient", json=patient(value), headers=once)
            if answer.status_code in (200, 201):
                self.stored[value] = answer.json()["id"]
                return
            self._note(answer)

    def _transact(self, client: httpx2.Client) -> None:
        values = [uuid.uuid4().hex for _ in range(3)]
        entries = [
            {"resource": patient(value), "request": {"method": "POST", "url": "Patient"}}
            for value in values
        ]
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        answer = client.post(self._base, json=bundle)
        self.bundles.append(values)
        if answer.status_code == 200:
            self.stored |= {
                value: entry["response"]["location"].split("/")[-3]
                for value, entry in zip(values, answer.json()["entry"], strict=True)
            }
        else:
            self._note(answer)

    def _note(self, answer: httpx2.Response) -> None:
        if answer.status_code == 503 and "Retry-After" in answer.headers:
            self.waits.append(answer.headers["Retry-After"])
            time.sleep(0.1)
        else:
            self.others.append(f"{answer.status_code} {answer.text[:300]}")


def patient(value: str) -> dict[str, Any]:
    return {"resourceType": "Patient", "identifier": [{"system": SYSTEM, "value": value}]}


def test_nothing_acknowledged_is_lost_and_nothing_is_made_twice(
    server: Server, address: str
) -> None:
    stop, quiet = threading.Event(), threading.Event()
    writers = [Writer(server.base) for _ in range(WRITERS)]
    threads = [threading.Thread(target=writer.run, args=(stop,)) for writer in writers]
    disturbing = threading.Thread(target=disturb, args=(address, quiet))
    for thread in (*threads, disturbing):
        thread.start()
    time.sleep(SECONDS)
    quiet.set()
    disturbing.join(30)
    stop.set()
    for thread in threads:
        thread.join(60)
    others = [text for writer in writers for text in writer.others]
    assert [text for text in others if "not certain" not in text] == []
    with httpx2.Client(base_url=server.base + "/", timeout=60) as client:
        for writer in writers:
            found = {value: ids_of(client, value) for value in writer.values}
            assert {value: ids for value, ids in found.items() if len(ids) > 1} == {}
            for value, id in writer.stored.items():
                assert ids_of(client, value) == [id]
            for values in writer.bundles:
                assert len({len(ids_of(client, value)) for value in values}) == 1, "a part of it"
                assert len(ids_of(client, values[0])) <= 1
    assert sum(len(writer.stored) for writer in writers) > 50
    history = httpx2.get(f"{server.base}/_history?_count=1", timeout=60).json()
    assert history["total"] == server.count("Patient")


def ids_of(client: httpx2.Client, value: str) -> list[str]:
    bundle = client.get(f"Patient?identifier={SYSTEM}|{value}").json()
    return [entry["resource"]["id"] for entry in bundle.get("entry", [])]
