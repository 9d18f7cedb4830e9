"""$reindex, and requests that are answered later."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx2
import pytest
import serving
import stores
from indexing.server import EYES, FHIR, found, parameter, patient, put, when_indexed

from fhirserver.indexing import marks
from fhirserver.search import rules
from fhirserver.store.port import Entered

ASYNC = FHIR | {"prefer": "respond-async"}


async def outcome(client: httpx2.AsyncClient, address: str) -> httpx2.Response:
    """The answer in the end."""
    async with asyncio.timeout(60):
        while True:
            answer = await client.get(address)
            if answer.status_code != 202:
                return answer
            assert answer.headers["x-progress"]
            assert int(answer.headers["retry-after"]) > 0
            await asyncio.sleep(0.02)


async def under_way(client: httpx2.AsyncClient, address: str) -> None:
    """Waits until some of it is done, but not all."""
    async with asyncio.timeout(60):
        while True:
            answer = await client.get(address)
            assert answer.status_code == 202
            if "of about" in answer.headers["x-progress"]:
                return
            await asyncio.sleep(0.02)


async def forget_entries(folder: Path, *ids: str) -> None:
    """Takes the entries of patients away, as a server with other rules might have left them."""
    store = await stores.open_store(folder / "fhir.db", lambda: 1)
    await store.reindex([Entered("Patient", id, 1, {}) for id in ids])
    await store.close()


@pytest.mark.parametrize("address", ["/fhir/$reindex", "/fhir/Patient/$reindex"])
async def test_it_is_accepted_and_done_later(
    client: httpx2.AsyncClient, tmp_path: Path, address: str
) -> None:
    await put(client, *(patient(f"p{n}", gender="male") for n in range(250)))
    await forget_entries(tmp_path, "p0", "p1", "p249")
    assert len(await found(client, "Patient?gender=male&_count=500")) == 247
    answer = await client.post(address, headers=ASYNC)
    assert answer.status_code == 202
    assert answer.json()["resourceType"] == "OperationOutcome"
    done = await outcome(client, answer.headers["content-location"])
    assert done.status_code == 200
    assert "250 resources" in done.json()["issue"][0]["diagnostics"]
    assert len(await found(client, "Patient?gender=male&_count=500")) == 250
    assert (await client.get("/fhir/Patient/p0/_history")).json()["total"] == 1


async def test_types_and_parameters_say_what(client: httpx2.AsyncClient, tmp_path: Path) -> None:
    await put(
        client,
        patient("a", gender="male"),
        {"resourceType": "Basic", "id": "b", "code": {"text": "x"}},
    )
    url = "http://hl7.org/fhir/SearchParameter/individual-gender"
    for name, value, count in (
        ("type", "Basic", 1),
        ("type", "Group", 0),
        ("parameter", url, 1),
    ):
        kind = "valueCode" if name == "type" else "valueUri"
        body = {"resourceType": "Parameters", "parameter": [{"name": name, kind: value}]}
        answer = await client.post("/fhir/$reindex", json=body, headers=FHIR)
        done = await outcome(client, answer.headers["content-location"])
        assert f"{count} resources" in done.json()["issue"][0]["diagnostics"]
    for name, kind, value in (
        ("type", "valueCode", "Dragon"),
        ("parameter", "valueUri", "http://example.org/none"),
        ("colour", "valueCode", "green"),
    ):
        body = {"resourceType": "Parameters", "parameter": [{"name": name, kind: value}]}
        assert (await client.post("/fhir/$reindex", json=body, headers=FHIR)).status_code == 400
    assert (await client.get("/fhir/$reindex")).status_code == 405


async def test_one_resource_is_done_at_once(client: httpx2.AsyncClient, tmp_path: Path) -> None:
    await put(client, patient("a", gender="male"))
    await forget_entries(tmp_path, "a")
    assert await found(client, "Patient?gender=male") == []
    answer = await client.post("/fhir/Patient/a/$reindex", headers=FHIR)
    assert answer.status_code == 200
    assert await found(client, "Patient?gender=male") == ["a"]
    assert (await client.post("/fhir/Patient/none/$reindex", headers=FHIR)).status_code == 404
    await client.delete("/fhir/Patient/a")
    assert (await client.post("/fhir/Patient/a/$reindex", headers=FHIR)).status_code == 410


async def test_it_can_be_cancelled(client: httpx2.AsyncClient) -> None:
    await put(client, *(patient(f"p{n}") for n in range(300)))
    answer = await client.post("/fhir/$reindex", headers=ASYNC)
    address = answer.headers["content-location"]
    assert (await client.delete(address)).status_code == 202
    assert (await client.get(address)).status_code == 404
    assert (await client.delete(address)).status_code == 404
    assert (await client.get("/fhir/__async-status/never")).status_code == 404
    assert (await client.post("/fhir/__async-status/never")).status_code == 405


async def test_an_outcome_can_be_deleted(client: httpx2.AsyncClient) -> None:
    address = (await client.post("/fhir/$reindex", headers=ASYNC)).headers["content-location"]
    assert (await outcome(client, address)).status_code == 200
    assert (await client.delete(address)).status_code == 202
    assert (await client.get(address)).status_code == 404


async def test_words_that_were_not_kept_are_searched_once_they_are(tmp_path: Path) -> None:
    text = {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">Fever</div>'}
    async with serving.client(tmp_path, full_text="none") as client:
        await put(client, patient("a", text=text), patient("b"))
        assert (await client.get("/fhir/Patient?_text=fever")).status_code == 400
    async with serving.client(tmp_path) as client:
        assert await when_indexed(client, "Patient?_text=fever") == ["a"]
        assert await when_indexed(client, "Patient?_content=fever") == ["a"]
    async with serving.client(tmp_path, full_text="narrative") as client:
        assert await found(client, "Patient?_text=fever") == ["a"]
        await put(client, patient("c", name=[{"text": "Fever"}]))
    async with serving.client(tmp_path) as client:
        assert await when_indexed(client, "Patient?_content=fever") == ["a", "c"]


async def test_other_index_rules_are_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving.client(tmp_path) as client:
        await put(client, patient("a", gender="male"))
    await forget_entries(tmp_path, "a")
    newer = (*rules.RULES, rules.Rule("Genders.", (("Patient", "gender"),)))
    monkeypatch.setattr(rules, "RULES", newer)
    monkeypatch.setattr("fhirserver.indexing.reindex.REVISION", len(newer))
    monkeypatch.setattr(marks, "REVISION", len(newer))
    async with serving.client(tmp_path) as client:
        assert await found(client, "Patient?_id=a") == ["a"]
        assert await when_indexed(client, "Patient?gender=male") == ["a"]
    async with serving.client(tmp_path) as client:
        assert await found(client, "Patient?gender=male") == ["a"]


async def test_a_store_from_before_is_indexed_anew(tmp_path: Path) -> None:
    async with serving.client(tmp_path) as client:
        await put(client, patient("a", name=[{"text": "Fever"}]))
    store = await stores.open_store(tmp_path / "fhir.db", lambda: 1)
    await store.records.delete(marks.COLLECTION, marks.KEY)
    await store.close()
    async with serving.client(tmp_path) as client:
        assert await when_indexed(client, "Patient?_content=fever") == ["a"]


async def test_a_job_goes_on_in_the_next_server(tmp_path: Path) -> None:
    async with serving.client(tmp_path, job_share=0.02) as client:
        await put(client, *(patient(f"p{n:03}", "green") for n in range(350)), EYES)
        address = (await client.post("/fhir/$reindex", headers=ASYNC)).headers["content-location"]
        await under_way(client, address)
    async with serving.client(tmp_path) as client:
        done = await outcome(client, address)
        assert "351 resources" in done.json()["issue"][0]["diagnostics"]
        assert len(await when_indexed(client, "Patient?eye-colour=green&_count=500")) == 350


async def test_jobs_of_the_server_are_not_shown(client: httpx2.AsyncClient) -> None:
    await put(client, patient("a", "green"), EYES)
    await when_indexed(client, "Patient?eye-colour=green")
    assert (await client.get("/fhir/__async-status/sole-reindex")).status_code == 404


COSTLY = parameter(
    "costly", "string", "Patient.name.given.where(%resource.name.given.where($this = 'x').empty())"
)


async def test_a_parameter_that_costs_too_much_stays_unusable(client: httpx2.AsyncClient) -> None:
    large = patient("large", "green", name=[{"given": [f"n{n}" for n in range(400)]}])
    await put(client, patient("small", "green", name=[{"given": ["a"]}]), large)
    await put(client, COSTLY, EYES)
    assert sorted(await when_indexed(client, "Patient?eye-colour=green")) == ["large", "small"]
    answer = await client.get("/fhir/Patient?costly=a")
    assert answer.status_code == 503
    assert sorted(await found(client, "Patient?_include=*")) == ["large", "small"]
    answer = await client.put("/fhir/Patient/large", json=large | {"active": True}, headers=FHIR)
    assert answer.status_code == 403
    (issue,) = answer.json()["issue"]
    assert issue["code"] == "too-costly"
    assert COSTLY["url"] in issue["diagnostics"]
    answer = await client.post("/fhir/Patient/large/$reindex", headers=FHIR)
    assert answer.status_code == 403
    address = (await client.post("/fhir/$reindex", headers=ASYNC)).headers["content-location"]
    done = await outcome(client, address)
    assert done.status_code == 500
    text = done.json()["issue"][0]["diagnostics"]
    assert COSTLY["url"] in text
    assert "Patient/large" in text
    await client.delete("/fhir/Patient/large")
    address = (await client.post("/fhir/$reindex", headers=ASYNC)).headers["content-location"]
    assert (await outcome(client, address)).status_code == 200
    assert await found(client, "Patient?costly=a") == ["small"]


@pytest.mark.parametrize("address", ["/fhir/Observation/o/$reindex", "/fhir/$reindex"])
@pytest.mark.parametrize("fixed", [None, "http://localhost/fhir"])
async def test_references_keep_their_meaning_whoever_asks(
    tmp_path: Path, address: str, fixed: str | None
) -> None:
    observation = {
        "resourceType": "Observation",
        "id": "o",
        "status": "final",
        "code": {"text": "x"},
        "subject": {"reference": "http://localhost/fhir/Patient/a"},
    }
    async with serving.client(tmp_path) as client:
        await put(client, patient("a"), observation)
    async with serving.client(tmp_path, base_url=fixed) as client:
        answer = await client.post(f"http://127.0.0.1{address}", headers=FHIR)
        if answer.status_code == 202:
            answer = await outcome(client, answer.headers["content-location"])
        assert answer.status_code == 200
        assert await found(client, "Observation?subject=Patient/a") == ["o"]
