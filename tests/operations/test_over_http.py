"""Operations over HTTP: routes, methods, bodies, formats, refusals; and in batches."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from serving import client as serving

JSON = {"Content-Type": "application/fhir+json"}
PATIENT = {"resourceType": "Patient", "id": "a", "birthDate": "1961-04-12"}


@pytest.fixture
async def http(tmp_path: Path, each_store: str) -> AsyncIterator[httpx2.AsyncClient]:
    async with serving(tmp_path) as http:
        await http.put("/fhir/Patient/a", json=PATIENT, headers=JSON)
        yield http


async def test_everything_by_get_head_and_post(http: httpx2.AsyncClient) -> None:
    for answer in (
        await http.get("/fhir/Patient/a/$everything"),
        await http.post("/fhir/Patient/a/$everything"),
        await http.get("/fhir/Patient/a/%24everything"),
    ):
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("application/fhir+json")
        assert answer.json()["total"] == 1
    assert (await http.head("/fhir/Patient/a/$everything")).content == b""


async def test_a_page_link_works_as_it_is(http: httpx2.AsyncClient) -> None:
    flag = {"resourceType": "Flag", "status": "active", "code": {"text": "x"}}
    await http.post("/fhir/Flag", json=flag | {"subject": {"reference": "Patient/a"}}, headers=JSON)
    page = (await http.get("/fhir/Patient/a/$everything?_count=1")).json()
    (next,) = (item["url"] for item in page["link"] if item["relation"] == "next")
    assert (await http.get(next)).json()["entry"][0]["resource"]["resourceType"] == "Flag"


async def test_validate_takes_a_resource_alone(http: httpx2.AsyncClient) -> None:
    answer = await http.post(
        "/fhir/Patient/$validate", json={"resourceType": "Patient", "x": 1}, headers=JSON
    )
    assert answer.status_code == 200
    assert answer.json()["issue"][0]["severity"] == "error"


async def test_meta_add_answers_with_the_new_version(http: httpx2.AsyncClient) -> None:
    parameters = {
        "resourceType": "Parameters",
        "parameter": [{"name": "meta", "valueMeta": {"tag": [{"code": "t"}]}}],
    }
    answer = await http.post("/fhir/Patient/a/$meta-add", json=parameters, headers=JSON)
    assert (answer.status_code, answer.headers["etag"]) == (200, 'W/"2"')


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/graphql", b"{ birthDate }"),
        ("application/json", b'{"query":"query q($x: Boolean) { birthDate @include(if: $x) }",'
         b'"variables":{"x":true},"operationName":"q"}'),
        ("application/fhir+json", b'{"resourceType":"Parameters","parameter":'
         b'[{"name":"query","valueString":"{ birthDate }"}]}'),
    ],
)  # fmt: skip
async def test_graphql_in_each_of_its_forms(
    http: httpx2.AsyncClient, content_type: str, body: bytes
) -> None:
    answer = await http.post(
        "/fhir/Patient/a/$graphql", content=body, headers={"Content-Type": content_type}
    )
    assert answer.json() == {"data": {"birthDate": "1961-04-12"}}
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("method", "url", "status"),
    [
        ("GET", "Patient/a/$meta-add", 405),
        ("PUT", "Patient/a/$everything", 405),
        ("GET", "Patient/$merge", 405),
        ("GET", "Patient/$match", 405),
        ("GET", "Patient/$everything", 404),
        ("GET", "Observation/a/$everything", 404),
        ("GET", "Patient/a/$nonsense", 404),
        ("GET", "$expunge", 405),
        ("POST", "$expunge", 404),
        ("POST", "Patient/a/$expunge", 404),
        ("POST", "ValueSet/$export", 404),
        ("GET", "Patient/a/$everything?nonsense=1", 400),
        ("GET", "Patient/b/$everything", 404),
        ("GET", "Patient/a/$graphql?query={nonsense}", 400),
        ("GET", "Patient/a/$graphql", 400),
    ],
)
async def test_refusals_are_outcomes(
    http: httpx2.AsyncClient, method: str, url: str, status: int
) -> None:
    answer = await http.request(method, f"/fhir/{url}")
    assert answer.status_code == status
    assert answer.json()["resourceType"] == "OperationOutcome"


async def test_expunge_where_that_is_set(tmp_path: Path) -> None:
    everything = {"name": "expungeEverything", "valueBoolean": True}
    sent = {"resourceType": "Parameters", "parameter": [everything]}
    async with serving(tmp_path, expunge=True) as http:
        await http.put("/fhir/Patient/a", json=PATIENT, headers=JSON)
        answer = await http.post("/fhir/Patient/a/$expunge", json=sent, headers=JSON)
        assert answer.json()["parameter"] == [{"name": "count", "valueInteger": 2}]
        assert (await http.get("/fhir/Patient/a")).status_code == 404
        rest = (await http.get("/fhir/metadata")).json()["rest"][0]
        assert "expunge" in [item["name"] for item in rest["operation"]]


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        ("/fhir/Patient/a", {"X-Cascade": "delete"}),
        ("/fhir/Patient/a?_cascade=delete", {}),
        ("/fhir/Patient?_id=a&_cascade=delete", {"X-Cascade": "delete"}),
        ("/fhir/Patient?_id=a", {"X-Cascade": "delete"}),
    ],
)
async def test_a_cascade_can_be_asked_for(
    http: httpx2.AsyncClient, url: str, headers: dict[str, str]
) -> None:
    flag = {"resourceType": "Flag", "status": "active", "code": {"text": "x"}, "id": "f"}
    flag["subject"] = {"reference": "Patient/a"}
    await http.put("/fhir/Flag/f", json=flag, headers=JSON)
    assert (await http.delete("/fhir/Patient/a")).status_code == 409
    answer = await http.delete(url, headers=headers | {"X-Cascade": "all"})
    assert answer.status_code == (200 if "_cascade" in url else 400)
    if answer.status_code == 400:
        answer = await http.delete(url, headers=headers)
    assert answer.status_code == 200
    assert answer.headers["etag"] == 'W/"2"'
    assert answer.json()["issue"][1]["details"]["text"] == "Flag/f is deleted."
    assert (await http.get("/fhir/Flag/f")).status_code == 410


async def test_options_tells_the_methods(http: httpx2.AsyncClient) -> None:
    answer = await http.options("/fhir/Patient/a/$everything")
    assert answer.headers["allow"] == "GET, HEAD, POST, OPTIONS"
    answer = await http.options("/fhir/Patient/a/$meta-add")
    assert answer.headers["allow"] == "POST, OPTIONS"


async def test_operations_in_a_batch_and_a_transaction(http: httpx2.AsyncClient) -> None:
    meta = {
        "resourceType": "Parameters",
        "parameter": [{"name": "meta", "valueMeta": {"tag": [{"code": "t"}]}}],
    }
    entries: list[dict[str, Any]] = [
        {"request": {"method": "GET", "url": "Patient/a/$everything?_type=Patient"}},
        {"request": {"method": "POST", "url": "Patient/a/$meta-add"}, "resource": meta},
        {"request": {"method": "GET", "url": "Patient/a/$graphql?query={birthDate}"}},
        {"request": {"method": "POST", "url": "Patient/a/$validate"}},
        {"request": {"method": "GET", "url": "Patient/a/$nonsense"}},
    ]
    batch = {"resourceType": "Bundle", "type": "batch", "entry": entries}
    found = (await http.post("/fhir", json=batch, headers=JSON)).json()["entry"]
    statuses = [entry["response"]["status"][:3] for entry in found]
    assert statuses == ["200", "200", "200", "200", "404"]
    types = [entry["resource"]["resourceType"] for entry in found[:4]]
    assert types == ["Bundle", "Parameters", "Binary", "OperationOutcome"]
    transaction = batch | {"type": "transaction", "entry": entries[:1]}
    found = (await http.post("/fhir", json=transaction, headers=JSON)).json()
    assert found["entry"][0]["resource"]["total"] == 1
    transaction["entry"] = entries[1:2]
    refused = await http.post("/fhir", json=transaction, headers=JSON)
    assert refused.status_code == 400


async def test_they_are_stated(http: httpx2.AsyncClient) -> None:
    (rest,) = (await http.get("/fhir/metadata")).json()["rest"]
    stated = {item["name"] for item in rest["operation"]}
    assert stated - {"closure"} == {"meta", "versions", "reindex", "graphql"}
    (patient,) = (item for item in rest["resource"] if item["type"] == "Patient")
    assert {"everything", "match", "merge", "validate", "graphql"} <= {
        item["name"] for item in patient["operation"]
    }
