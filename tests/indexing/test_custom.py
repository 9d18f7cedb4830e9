"""Search parameters that are added, changed and taken away while the server runs."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx2
import pytest
import serving
from indexing.server import EYES, FHIR, URL, found, parameter, patient, put, when_indexed

FAMILY = [patient("a", "green"), patient("b", "blue"), patient("c")]


async def test_what_was_there_is_found_when_all_of_it_is_indexed(
    client: httpx2.AsyncClient,
) -> None:
    await put(client, *FAMILY)
    assert (await client.get("/fhir/Patient?eye-colour=green")).status_code == 400
    await put(client, EYES)
    assert await when_indexed(client, "Patient?eye-colour=green") == ["a"]
    assert await found(client, "Patient?eye-colour:missing=true") == ["c"]
    assert sorted(await found(client, "Patient?eye-colour:not=green")) == ["b", "c"]
    assert await found(client, "Patient?_sort=eye-colour") == ["b", "a", "c"]
    assert await found(client, "Patient?_filter=eye-colour eq blue") == ["b"]
    versions = (await client.get("/fhir/Patient/a/_history")).json()["total"]
    assert versions == 1


async def test_new_versions_are_indexed_at_once(client: httpx2.AsyncClient) -> None:
    await put(client, *FAMILY, EYES)
    await when_indexed(client, "Patient?eye-colour=green")
    await put(client, patient("c", "green"), patient("d", "green"), patient("a", "blue"))
    assert await found(client, "Patient?eye-colour=green") == ["c", "d"]


async def test_every_worker_knows_it(client: httpx2.AsyncClient, tmp_path: Path) -> None:
    await put(client, *FAMILY)
    async with serving.client(tmp_path) as other:
        assert (await other.get("/fhir/Patient?eye-colour=green")).status_code == 400
        await put(client, EYES)
        await put(other, patient("d", "green"))
        assert await when_indexed(other, "Patient?eye-colour=green") == ["a", "d"]
        assert await found(client, "Patient?eye-colour=green") == ["a", "d"]
        await client.delete("/fhir/SearchParameter/eye-colour")
        assert (await other.get("/fhir/Patient?eye-colour=green")).status_code == 400


async def test_it_is_there_after_a_restart(tmp_path: Path) -> None:
    async with serving.client(tmp_path) as client:
        await put(client, *FAMILY, EYES)
        await when_indexed(client, "Patient?eye-colour=green")
    async with serving.client(tmp_path) as client:
        assert await found(client, "Patient?eye-colour=green") == ["a"]


@pytest.mark.parametrize("status", ["retired", "draft", "unknown"])
async def test_what_is_not_active_has_no_effect(client: httpx2.AsyncClient, status: str) -> None:
    await put(client, *FAMILY, EYES)
    await when_indexed(client, "Patient?eye-colour=green")
    await put(client, EYES | {"status": status})
    assert (await client.get("/fhir/Patient?eye-colour=green")).status_code == 400
    await put(client, patient("d", "green"))
    await put(client, EYES)  # what was written meanwhile is found as well
    assert await when_indexed(client, "Patient?eye-colour=green") == ["a", "d"]


async def test_a_change_that_nothing_depends_on_makes_nobody_wait(
    client: httpx2.AsyncClient,
) -> None:
    await put(client, *FAMILY, EYES)
    await when_indexed(client, "Patient?eye-colour=green")
    await put(client, EYES | {"description": "Another."})
    assert await found(client, "Patient?eye-colour=green") == ["a"]
    await put(client, EYES | {"expression": "Patient.gender"})
    assert await when_indexed(client, "Patient?eye-colour=green") == []


async def test_it_is_in_the_capability_statement_when_it_can_be_used(
    client: httpx2.AsyncClient,
) -> None:
    async def stated() -> list[dict[str, str]]:
        (rest,) = (await client.get("/fhir/metadata")).json()["rest"]
        (patients,) = (item for item in rest["resource"] if item["type"] == "Patient")
        return [item for item in patients["searchParam"] if item["name"] == "eye-colour"]

    await put(client, *FAMILY)
    assert await stated() == []
    await put(client, EYES)
    await when_indexed(client, "Patient?eye-colour=green")
    assert await stated() == [
        {"name": "eye-colour", "definition": f"{URL}eye-colour", "type": "token"}
    ]
    await client.delete("/fhir/SearchParameter/eye-colour")
    assert await stated() == []


async def test_references_are_followed_both_ways(client: httpx2.AsyncClient) -> None:
    twin = "http://example.org/twin"
    await put(
        client,
        patient("a", "green"),
        patient("b", extension=[{"url": twin, "valueReference": {"reference": "Patient/a"}}]),
    )
    expression = f"Patient.extension('{twin}').value.ofType(Reference)"
    await put(client, EYES, parameter("twin", "reference", expression, target=["Patient"]))
    assert await when_indexed(client, "Patient?twin=Patient/a") == ["b"]
    assert await when_indexed(client, "Patient?twin.eye-colour=green") == ["b"]
    assert await found(client, "Patient?_has:Patient:twin:_id=b") == ["a"]
    assert await found(client, "Patient?_id=b&_include=Patient:twin") == ["b", "a"]
    assert await found(client, "Patient?_id=a&_revinclude=Patient:twin") == ["a", "b"]
    assert (await client.get("/fhir/Patient?twin:Group.name=x")).status_code == 400


async def test_of_all_types(client: httpx2.AsyncClient) -> None:
    language = parameter("language-of", "token", "Resource.language", "Resource")
    await put(client, patient("a", language="fi"), language)
    assert await when_indexed(client, "Patient?language-of=fi") == ["a"]
    assert await found(client, "?language-of=fi") == ["a"]
    assert await found(client, "Observation?language-of=fi") == []


async def test_what_others_contain_is_found_as_well(client: httpx2.AsyncClient) -> None:
    group = {
        "resourceType": "Observation",
        "id": "o",
        "status": "final",
        "code": {"text": "x"},
        "contained": [patient("inside", "green")],
        "subject": {"reference": "#inside"},
    }
    await put(client, group, EYES)
    assert await when_indexed(client, "Observation?subject:Patient.eye-colour=green") == ["o"]


async def test_composites_of_standard_and_custom_parts(client: httpx2.AsyncClient) -> None:
    both = parameter(
        "eye-gender",
        "composite",
        "Patient",
        component=[
            {
                "definition": f"{URL}eye-colour",
                "expression": "extension('http://example.org/eye-colour').value",
            },
            {
                "definition": "http://hl7.org/fhir/SearchParameter/individual-gender",
                "expression": "gender",
            },
        ],
    )
    await put(client, patient("a", "green", gender="female"), patient("b", "green", gender="male"))
    answer = await client.put("/fhir/SearchParameter/eye-gender", json=both, headers=FHIR)
    assert answer.status_code == 422
    assert answer.json()["issue"][0]["expression"] == ["SearchParameter.component[0].definition"]
    await put(client, EYES, both)
    assert await when_indexed(client, "Patient?eye-gender=green$male") == ["b"]
    answer = await client.delete("/fhir/SearchParameter/eye-colour")
    assert answer.status_code == 409
    assert await found(client, "Patient?eye-gender=green$female") == ["a"]


async def test_of_two_that_clash_one_is_stored(client: httpx2.AsyncClient, tmp_path: Path) -> None:
    async with serving.client(tmp_path) as other:
        for round in range(5):
            code = f"colour-{round}"
            answers = await asyncio.gather(
                *(
                    worker.put(
                        f"/fhir/SearchParameter/{code}-{number}",
                        json=parameter(code, "token", "Patient.gender")
                        | {"id": f"{code}-{number}", "url": f"{URL}{code}-{number}"},
                        headers=FHIR,
                    )
                    for number, worker in enumerate((client, other))
                )
            )
            assert sorted(answer.status_code for answer in answers) == [201, 422]


async def test_two_in_one_transaction_may_not_clash(client: httpx2.AsyncClient) -> None:
    entries = [
        {
            "resource": parameter("colour", "token", "Patient.gender")
            | {"id": f"p{number}", "url": f"{URL}p{number}"},
            "request": {"method": "PUT", "url": f"SearchParameter/p{number}"},
        }
        for number in range(2)
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    answer = await client.post("/fhir", json=bundle, headers=FHIR)
    assert answer.status_code == 422
    assert answer.json()["issue"][0]["expression"] == ["Bundle.entry[0].resource.code"]
    assert await found(client, "SearchParameter") == []


async def test_a_condition_waits_until_all_is_indexed(client: httpx2.AsyncClient) -> None:
    """A conditional create must not make a second one because the first is not indexed yet."""
    await put(client, *FAMILY, EYES)
    headers = FHIR | {"if-none-exist": "eye-colour=green"}
    async with asyncio.timeout(60):
        while True:
            answer = await client.post("/fhir/Patient", json=patient("x", "green"), headers=headers)
            if answer.status_code != 503:
                break
            await asyncio.sleep(0.02)
    assert answer.status_code == 200
    assert answer.json()["id"] == "a"


async def test_writers_meanwhile_are_all_found(client: httpx2.AsyncClient, tmp_path: Path) -> None:
    """Parameters come and go while two workers write: what is answered is whole."""
    async with serving.client(tmp_path) as other:
        stop = asyncio.Event()
        written = 0

        async def write(worker: httpx2.AsyncClient, name: str) -> None:
            nonlocal written
            number = 0
            while not stop.is_set():
                await put(worker, patient(f"{name}-{number}", "green"))
                number += 1
                written += 1

        writers = [
            asyncio.create_task(write(worker, f"{name}{part}"))
            for name, worker in (("a", client), ("b", other))
            for part in range(3)
        ]
        codes = [f"eyes-{round}" for round in range(4)]
        for code in codes:
            await put(client, EYES | {"id": code, "code": code, "url": f"{URL}{code}"})
            await when_indexed(other, f"Patient?{code}=green&_summary=count")
        stop.set()
        await asyncio.gather(*writers)
        for code in codes:
            answer = await other.get(f"/fhir/Patient?{code}=green&_summary=count")
            assert answer.json()["total"] == written > 0


@pytest.mark.parametrize("how", ["deleted", "retired", "narrowed"])
async def test_what_is_gone_ties_nothing_together(client: httpx2.AsyncClient, how: str) -> None:
    link = "http://example.org/link"
    expression = f"extension('{link}').value.ofType(uri)"
    linked = parameter(
        "tied-to", "reference", f"Patient.{expression} | Group.{expression}", "Patient", "Group"
    )
    extension = {"extension": [{"url": link, "valueUri": "Patient/a"}]}
    group = {"resourceType": "Group", "id": "g", "type": "person", "actual": True}
    await put(client, linked, patient("a"), group | extension)
    assert await when_indexed(client, "Group?tied-to=Patient/a") == ["g"]
    assert (await client.delete("/fhir/Patient/a")).status_code == 409
    if how == "deleted":
        await client.delete("/fhir/SearchParameter/tied-to")
    elif how == "retired":
        await put(client, linked | {"status": "retired"})
    else:
        await put(client, linked | {"base": ["Patient"], "expression": f"Patient.{expression}"})
    async with asyncio.timeout(30):
        while True:
            answer = await client.delete("/fhir/Patient/a")
            if answer.status_code != 409:
                break
            await asyncio.sleep(0.05)
    assert answer.status_code in (200, 204)
    assert (await client.get("/fhir/Group/g")).status_code == 200
