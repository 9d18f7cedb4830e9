"""A server whose audit events are filed beside it, and whose processes are killed meanwhile."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2
import pytest
from e2e.server import FHIR_JSON, Server, pages, ran, serving

from fhirserver.audit.journal import SUFFIX

pytestmark = [pytest.mark.slow]
AUDIT = {"FHIRSERVER_AUDIT": "on"}
READERS = 6


def filers(server: Server) -> list[int]:
    """The processes beside the server that file."""
    lists = Path(f"/proc/{server.process.pid}/task").glob("*/children")
    pids = [int(pid) for children in lists for pid in children.read_text().split()]
    return [pid for pid in pids if b"filing_process" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def put_patient(server: Server) -> None:
    patient = {"resourceType": "Patient", "id": "p1"}
    httpx2.put(f"{server.base}/Patient/p1", json=patient, headers=FHIR_JSON).raise_for_status()


@contextmanager
def read_all_the_time(server: Server, answered: set[str]) -> Iterator[None]:
    """Clients that read until the block or the server ends; the ids of what was answered."""
    ended = threading.Event()

    def read() -> None:
        with suppress(httpx2.TransportError), httpx2.Client(timeout=20) as client:
            while not ended.is_set():
                answer = client.get(f"{server.base}/Patient/p1")
                assert answer.status_code == 200
                answered.add(answer.headers["x-request-id"])

    threads = [threading.Thread(target=read) for _ in range(READERS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def until(condition: object, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.02)


def recorded(server: Server) -> Counter[str]:
    """The requests of reads that the trail tells of, by a search."""
    found: Counter[str] = Counter()
    with httpx2.Client(timeout=60) as client:
        for page in pages(client, f"{server.base}/AuditEvent?subtype=read&_count=1000"):
            for event in page:
                (query,) = (
                    entity["what"]["identifier"]["value"]
                    for entity in event["entity"]
                    if "identifier" in entity["what"]
                )
                found[query] += 1
    return found


def is_whole(data: Path) -> None:
    verified = ran(data.parent, "audit", "verify", "--data", str(data), **AUDIT)
    assert verified.returncode == 0, verified.stdout + verified.stderr


@pytest.mark.check("AUD-6")
def test_nothing_is_lost_or_twice_whatever_is_killed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    answered: set[str] = set()
    with serving(data, **AUDIT) as server:
        put_patient(server)
        with read_all_the_time(server, answered):
            for _ in range(2):  # of the process that files, which is started again
                until(lambda: filers(server))
                (pid,) = filers(server)
                before = len(answered)
                until(lambda before=before: len(answered) > before + 300)
                os.kill(pid, signal.SIGKILL)
                until(lambda pid=pid: pid not in filers(server))
            found = recorded(server)  # while they read, and perhaps nobody files beside
            assert found
        assert answered <= recorded(server).keys()
        with read_all_the_time(server, answered):
            before = len(answered)
            until(lambda: len(answered) > before + 300)
            server.kill()  # both
    with serving(data, **AUDIT) as server, read_all_the_time(server, answered):
        before = len(answered)
        until(lambda: len(answered) > before + 300)
        until(lambda: filers(server))
        server.process.kill()  # the server alone: the other ends, and files before
        server.process.wait(30)
    is_whole(data)
    with serving(data, **AUDIT) as server:
        found = recorded(server)
        assert answered <= found.keys()
        assert set(found.values()) == {1}
    is_whole(data)
    assert not list((data / "audit" / "journal").glob(f"*{SUFFIX}"))


def test_workers_and_what_files_beside_them(tmp_path: Path) -> None:
    answered: set[str] = set()
    with serving(tmp_path / "data", "--workers", "2", **AUDIT) as server:
        put_patient(server)
        for _ in range(3):
            with read_all_the_time(server, answered):
                before = len(answered)
                until(lambda before=before: len(answered) > before + 200)
            assert recorded(server).keys() == answered
        (pid,) = filers(server)
        os.kill(pid, signal.SIGSTOP)  # one that is there and does nothing
        try:
            with read_all_the_time(server, answered):
                before = len(answered)
                until(lambda: len(answered) > before + 200)
            assert recorded(server).keys() == answered
        finally:
            os.kill(pid, signal.SIGCONT)
    is_whole(tmp_path / "data")
