"""A walk over pages stays exact while eight clients insert, update and delete."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import httpx2
import pytest
from e2e.server import FHIR_JSON, Server, pages, serving

WRITERS = 8
FEW = 20  # changes that do not make a test yet
STABLE = 150
MOVED = 40
WALKS = ("_count=17", "_count=40&_sort=_id", "_count=23&_sort=-birthdate", "_count=31&gender=male")


def patient(id: str, number: int) -> dict[str, Any]:
    birth = f"{1900 + number % 120}-01-01"
    return {"resourceType": "Patient", "id": id, "birthDate": birth, "gender": "male"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, each_store: str) -> Iterator[Server]:
    """Two server processes on one store, with patients that stay and patients that change."""
    folder: Path = tmp_path_factory.mktemp("walk")
    with serving(folder / "data", "--workers", "2") as running:
        entries = [
            {"resource": patient(id, n), "request": {"method": "PUT", "url": f"Patient/{id}"}}
            for n, id in enumerate(
                [*(f"stays-{n}" for n in range(STABLE)), *(f"moves-{n}" for n in range(MOVED))]
            )
        ]
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        answer = httpx2.post(running.base, json=bundle, headers=FHIR_JSON, timeout=60)
        assert answer.status_code == 200, answer.text
        yield running


class Writers:
    """Eight clients that write until they are told to stop."""

    def __init__(self, server: Server) -> None:
        self.numbers = count()
        self.begun = 0
        self.done: Counter[str] = Counter()
        self.failures: list[str] = []
        self._base = server.base + "/"
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(WRITERS)]

    def __enter__(self) -> Writers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def _run(self, writer: int) -> None:
        with httpx2.Client(base_url=self._base, headers=FHIR_JSON, timeout=60) as client:
            while not self._stop.is_set():
                number = self.begun = next(self.numbers)
                new, moved = f"new-{number}", f"moves-{number % MOVED}"
                self._ask(client, "PUT", new, patient(new, number))
                self._ask(client, "PUT", moved, patient(moved, number * 7))
                if number % 2:
                    self._ask(client, "DELETE", new)
                if number % 5 == writer % 5:
                    self._ask(client, "DELETE", moved)

    @property
    def fewest(self) -> int:
        """How many changes there were of the rarer kind."""
        return min(self.done[method] for method in ("PUT", "DELETE"))

    def _ask(self, client: httpx2.Client, method: str, id: str, body: Any = None) -> None:
        answer = client.request(method, f"Patient/{id}", json=body)
        self.done[method] += 1
        if answer.status_code not in (200, 201, 204):
            self.failures.append(f"{method} {id}: {answer.status_code} {answer.text[:300]}")


@pytest.mark.slow_on_mongodb
def test_a_walk_gives_what_stays_once_and_nothing_that_comes_later(server: Server) -> None:
    stays = {f"stays-{n}" for n in range(STABLE)}
    with Writers(server) as writers, httpx2.Client(timeout=60) as client:
        rounds = 0
        while rounds < 2 or (writers.fewest <= FEW and rounds < 20):
            rounds += 1
            for order in WALKS:
                walk = pages(client, f"{server.base}/Patient?{order}")
                found = Counter(one["id"] for one in next(walk))
                later = max(writers.begun, 0) + WRITERS  # what has a greater number began after it
                for page in walk:
                    found.update(one["id"] for one in page)
                assert [id for id, times in found.items() if times > 1] == [], order
                assert stays - found.keys() == set(), order
                new = [int(id.removeprefix("new-")) for id in found if id.startswith("new-")]
                assert [number for number in new if number > later] == [], order
    assert writers.failures == []
    assert writers.fewest > FEW
    assert server.count("Patient?_id=" + ",".join(sorted(stays))) == STABLE
