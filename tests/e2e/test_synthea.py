"""The 60 Synthea bundles: all of them load, and walking what they made misses nothing."""

from __future__ import annotations

import gzip
import json
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from e2e.server import FHIR_JSON, Server, check_file, pages, ran, serving

UNCOUNTED = {"FHIRSERVER_AUDIT": "off"}  # every resource of the store is counted


@pytest.fixture(scope="module")
def files(shared: Path) -> Path:
    return shared / "data" / "synthea"


@pytest.fixture(scope="module")
def counts(files: Path) -> Counter[str]:
    """How many resources of each type the files hold."""
    found: Counter[str] = Counter()
    for path in files.glob("*.json.gz"):
        bundle = json.loads(gzip.decompress(path.read_bytes()))
        found.update(entry["resource"]["resourceType"] for entry in bundle["entry"])
    return found


@pytest.fixture(scope="module")
def data(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with all of them, loaded straight into the store."""
    folder = tmp_path_factory.mktemp("synthea")
    loaded = ("load", str(files), "--data", "data", "--report", "report.ndjson")
    done = ran(folder, *loaded, **UNCOUNTED)
    assert done.returncode == 0, done.stderr
    assert (folder / "report.ndjson").read_bytes() == b""
    return folder / "data"


@pytest.fixture(scope="module")
def server(data: Path) -> Iterator[Server]:
    with serving(data) as running:
        yield running


def test_counts_by_type_are_those_of_the_files(server: Server, counts: Counter[str]) -> None:
    assert sum(counts.values()) == 17_197
    assert {kind: server.count(kind) for kind in counts} == dict(counts)
    assert server.count("") == 17_197


def test_no_reference_is_left_as_it_stood_in_the_files(server: Server) -> None:
    with httpx2.Client(base_url=server.base + "/") as client:
        for kind in ("Encounter", "Claim", "Observation"):
            (page, *_) = pages(client, f"{kind}?_count=300&_include={kind}:patient")
            assert "urn:uuid:" not in json.dumps(page)
            assert any(one["resourceType"] == "Patient" for one in page)


def test_a_resource_takes_less_than_6_kb_on_disk(data: Path, server: Server) -> None:
    size = sum(path.stat().st_size for path in data.glob("fhir.db*") if path.suffix != ".db-shm")
    assert size / server.count("") < 6 * 1024


def test_loading_the_files_again_makes_no_new_version(
    data: Path, files: Path, server: Server, counts: Counter[str]
) -> None:
    done = ran(data.parent, "load", str(files), "--data", "data", "--again", **UNCOUNTED)
    assert done.returncode == 0, done.stderr
    assert server.count("") == 17_197
    assert httpx2.get(f"{server.base}/Patient/_history?_count=1").json()["total"] == 60


def test_walking_every_type_while_others_write_gives_each_id_once(
    server: Server, counts: Counter[str]
) -> None:
    stop = threading.Event()
    failures: list[str] = []
    written = 0

    def write() -> None:
        nonlocal written
        with httpx2.Client(base_url=server.base + "/", headers=FHIR_JSON) as client:
            while not stop.is_set():
                kind = list(counts)[written % len(counts)]
                seen = client.get(f"{kind}?_count=1&_sort=-_lastUpdated").json()
                resource = seen["entry"][0]["resource"]
                resource["language"] = f"x-{written}"
                resource.pop("id")
                answer = client.post(kind, json=resource)
                if answer.status_code != 201:
                    failures.append(answer.text)
                resource["id"] = answer.json()["id"]
                resource["language"] = "x-changed"
                client.put(f"{kind}/{resource['id']}", json=resource)
                if written % 3 == 0:
                    client.delete(f"{kind}/{resource['id']}")
                written += 1

    with httpx2.Client(base_url=server.base + "/", timeout=60) as client:
        before = {
            kind: {one["id"] for page in pages(client, f"{kind}?_count=1000") for one in page}
            for kind in counts
        }
        thread = threading.Thread(target=write)
        thread.start()
        try:
            for kind in counts:
                for order in ("", "&_sort=_id", "&_sort=-_lastUpdated"):
                    found = Counter(
                        one["id"]
                        for page in pages(client, f"{kind}?_count=150{order}")
                        for one in page
                    )
                    twice = [id for id, times in found.items() if times > 1]
                    assert not twice, (kind, order, twice[:3])
                    missed = before[kind] - found.keys()
                    assert not missed, (kind, order, list(missed)[:3])
        finally:
            stop.set()
            thread.join(60)
    assert failures == []
    assert written > 20


def test_the_file_is_whole(data: Path) -> None:
    check_file(data)
