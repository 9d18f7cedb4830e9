"""64 clients in four processes at one moment, against two server processes on one store."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from e2e.racers import RACERS, Ask, Racers, racers
from e2e.server import FHIR_JSON, Server, serving

SYSTEM = "urn:e2e:race"


@pytest.fixture(scope="module")
def field() -> Iterator[Racers]:
    with racers() as found:
        yield found


@pytest.fixture(scope="module", params=[1, 2], ids=["one worker", "two workers"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, each_store: str
) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("race")
    with serving(folder / "data", "--workers", str(request.param)) as running:
        yield running


def test_conditional_creates_make_one_resource(server: Server, field: Racers) -> None:
    patient = {"resourceType": "Patient", "identifier": [{"system": SYSTEM, "value": "one"}]}
    condition = {"If-None-Exist": f"identifier={SYSTEM}|one"}
    told = field.race(Ask("POST", f"{server.base}/Patient", json.dumps(patient), condition))
    assert Counter(one.status for one in told) == {201: 1, 200: RACERS - 1}
    assert len({one.body["id"] for one in told}) == 1
    assert server.count(f"Patient?identifier={SYSTEM}|one") == 1


def test_updates_with_one_if_match_let_one_win(server: Server, field: Racers) -> None:
    first = {"resourceType": "Basic", "id": "won", "code": {"text": "first"}}
    httpx2.put(f"{server.base}/Basic/won", json=first, headers=FHIR_JSON).raise_for_status()
    body = json.dumps(first | {"code": {"text": "racer {n}"}})
    told = field.race(Ask("PUT", f"{server.base}/Basic/won", body, {"If-Match": 'W/"1"'}))
    assert Counter(one.status for one in told) == {200: 1, 412: RACERS - 1}
    winner = next(one.body for one in told if one.status == 200)
    assert httpx2.get(f"{server.base}/Basic/won").json() == winner
    assert httpx2.get(f"{server.base}/Basic/won/_history").json()["total"] == 2


def test_updates_without_condition_all_happen_one_after_another(
    server: Server, field: Racers
) -> None:
    body = json.dumps({"resourceType": "Basic", "id": "all", "code": {"text": "racer {n}"}})
    told = field.race(Ask("PUT", f"{server.base}/Basic/all", body, {}))
    assert Counter(one.status for one in told) == {201: 1, 200: RACERS - 1}
    versions = sorted(int(one.body["meta"]["versionId"]) for one in told)
    assert versions == list(range(1, RACERS + 1))


def test_conditional_updates_make_one_resource(server: Server, field: Racers) -> None:
    body = {
        "resourceType": "Patient",
        "identifier": [{"system": SYSTEM, "value": "updated"}],
        "name": [{"family": "racer {n}"}],
    }
    url = f"{server.base}/Patient?identifier={SYSTEM}|updated"
    told = field.race(Ask("PUT", url, json.dumps(body), {}))
    assert Counter(one.status for one in told) == {201: 1, 200: RACERS - 1}
    assert server.count(f"Patient?identifier={SYSTEM}|updated") == 1


def test_transactions_that_create_the_same_by_condition_share_it(
    server: Server, field: Racers
) -> None:
    organization = {
        "fullUrl": "urn:uuid:00000000-0000-4000-8000-000000000001",
        "resource": {
            "resourceType": "Organization",
            "identifier": [{"system": SYSTEM, "value": "shared"}],
        },
        "request": {
            "method": "POST",
            "url": "Organization",
            "ifNoneExist": f"identifier={SYSTEM}|shared",
        },
    }
    patient = {
        "resource": {
            "resourceType": "Patient",
            "identifier": [{"system": SYSTEM, "value": "member-{n}"}],
            "managingOrganization": {"reference": organization["fullUrl"]},
        },
        "request": {"method": "POST", "url": "Patient"},
    }
    entries = [patient, organization]
    body = json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries})
    told = field.race(Ask("POST", server.base, body, {}))
    assert Counter(one.status for one in told) == {200: RACERS}
    assert server.count(f"Organization?identifier={SYSTEM}|shared") == 1
    assert server.count(f"Patient?organization.identifier={SYSTEM}|shared") == RACERS


def test_patches_all_happen_and_leave_a_history_without_gaps(server: Server, field: Racers) -> None:
    body = json.dumps({"resourceType": "Basic", "id": "gone", "code": {"text": "racer {n}"}})
    httpx2.put(f"{server.base}/Basic/gone", content=body, headers=FHIR_JSON).raise_for_status()
    patch = json.dumps([{"op": "replace", "path": "/code/text", "value": "racer {n}"}])
    patching = {"Content-Type": "application/json-patch+json"}
    told = field.race(Ask("PATCH", f"{server.base}/Basic/gone", patch, patching))
    assert Counter(one.status for one in told) == {200: RACERS}
    history = httpx2.get(f"{server.base}/Basic/gone/_history?_count=200").json()
    versions = [int(one["resource"]["meta"]["versionId"]) for one in history["entry"]]
    assert versions == list(range(RACERS + 1, 0, -1))
