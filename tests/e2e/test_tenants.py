"""Tenants of a real server with several workers, changed by commands while it runs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest
from e2e.server import FHIR_JSON, ran, serving

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.check("FHA-16")
def test_their_lives_are_seen_by_every_worker(tmp_path: Path) -> None:
    def tenant(*arguments: str) -> None:
        done = ran(tmp_path, "tenant", *arguments, "--data", "data")
        assert done.returncode == 0, done.stderr

    with serving(tmp_path / "data", "--workers", "2") as server:

        def asked(name: str) -> int:
            """By a connection of its own, which either worker may take."""
            return httpx2.get(f"{server.root}/t/{name}/fhir/Patient/a", timeout=60).status_code

        def always(name: str, status: int) -> bool:
            return all(asked(name) == status for _ in range(20))

        for name in ("north", "south"):
            assert asked(name) == 404
            tenant("create", name)
            body = json.dumps({"resourceType": "Patient", "id": "a", "language": "en"})
            address = f"{server.root}/t/{name}/fhir/Patient/a"
            assert httpx2.put(address, content=body, headers=FHIR_JSON, timeout=60).is_success
            assert always(name, 200)
        tenant("suspend", "north")
        until(lambda: always("north", 404))
        assert always("south", 200)
        tenant("resume", "north")
        until(lambda: always("north", 200))
        tenant("delete", "north", "--confirm", "north")
        assert always("north", 404)
        assert always("south", 200)
        assert not (tmp_path / "data" / "tenants" / "north").exists()
    with serving(tmp_path / "data") as server:
        assert always("north", 404)
        assert always("south", 200)
