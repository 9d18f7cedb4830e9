"""The mark of these tests, and the server that bad input is sent to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from e2e.hostile import GOOD
from e2e.server import FHIR_JSON, Server, check_file, serving

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture(scope="module")
def victim(folder: Path) -> Iterator[Server]:
    """A server with one Patient; in the end it must run, be whole, and have nothing else."""
    with serving(folder / "data") as running:
        httpx2.put(f"{running.base}/Patient/good", json=GOOD, headers=FHIR_JSON).raise_for_status()
        yield running
        assert running.count("") == 1, "something was written"
        history = httpx2.get(f"{running.base}/_history").json()
        assert history["total"] == 1, "something was written"
        assert running.process.poll() is None
    check_file(folder / "data")
