"""$merge."""

import asyncio
from typing import Any

import pytest
from interactions.client import Client, ids

from fhirserver.errors import FhirError, Unprocessable
from fhirserver.model.json import Resource

TARGET = {"name": "target-patient", "valueReference": {"reference": "Patient/new"}}
SOURCE = {"name": "source-patient", "valueReference": {"reference": "Patient/old"}}
PREVIEW = {"name": "preview", "valueBoolean": True}


def flag(id: str, reference: str) -> Resource:
    out: Resource = {"resourceType": "Flag", "id": id, "status": "active", "code": {"text": "x"}}
    return out | {"subject": {"reference": reference}}


@pytest.fixture
async def people(client: Client) -> Client:
    await client.put(
        {"resourceType": "Patient", "id": "old", "identifier": [{"system": "s", "value": "1"}]},
        {"resourceType": "Patient", "id": "new", "identifier": [{"system": "s", "value": "2"}]},
        {"resourceType": "Patient", "id": "third"},
        flag("one", "Patient/old"),
        flag("two", "http://example.org/fhir/Patient/old"),
        flag("versioned", "Patient/old/_history/1"),
        flag("mine", "Patient/new"),
        {
            "resourceType": "Group",
            "id": "g",
            "type": "person",
            "actual": True,
            "member": [{"entity": {"reference": f"Patient/{id}"}} for id in ("old", "third")],
        },
    )
    return client


async def merge(client: Client, *parameters: Resource) -> dict[str, Any]:
    found = await client.call("Patient/$merge", *parameters)
    return {item["name"]: item["resource"] for item in found["parameter"]}


async def test_what_referred_to_the_source_refers_to_the_target(people: Client) -> None:
    await merge(people, SOURCE, TARGET)
    assert (await people.get("Flag/one"))["subject"] == {"reference": "Patient/new"}
    assert (await people.get("Flag/two"))["subject"]["reference"].endswith("/fhir/Patient/new")
    assert (await people.get("Flag/mine"))["meta"]["versionId"] == "1"
    members = [item["entity"]["reference"] for item in (await people.get("Group/g"))["member"]]
    assert members == ["Patient/new", "Patient/third"]
    assert (await people.get("Flag/versioned"))["meta"]["versionId"] == "1"
    found = ids(await people.get("Flag?patient=new"))
    assert {"Flag/one", "Flag/two", "Flag/mine"} <= set(found)


async def test_the_records_are_linked_and_the_source_is_retired(people: Client) -> None:
    out = await merge(people, SOURCE, TARGET)
    old, new = await people.get("Patient/old"), await people.get("Patient/new")
    assert old["active"] is False
    assert old["link"] == [{"other": {"reference": "Patient/new"}, "type": "replaced-by"}]
    assert new["link"] == [{"other": {"reference": "Patient/old"}, "type": "replaces"}]
    assert new["identifier"][1] == {"system": "s", "value": "1", "use": "old"}
    assert out["result"] == new
    assert out["input"]["resourceType"] == "Parameters"
    assert "3 other resources were changed" in out["outcome"]["issue"][0]["details"]["text"]


async def test_all_of_it_is_one_commit(people: Client) -> None:
    await merge(people, SOURCE, TARGET)
    urls = ("Patient/old", "Patient/new", "Flag/one", "Flag/two", "Group/g")
    assert len({(await people.get(url))["meta"]["lastUpdated"] for url in urls}) == 1


async def test_a_preview_changes_nothing(people: Client) -> None:
    out = await merge(people, SOURCE, TARGET, PREVIEW)
    assert out["result"]["id"] == "new"
    assert len(out["result"]["identifier"]) == 2
    for url in ("Patient/old", "Patient/new", "Flag/one"):
        assert (await people.get(url))["meta"]["versionId"] == "1"


async def test_patients_can_be_named_by_identifier(people: Client) -> None:
    source = {
        "name": "source-patient-identifier",
        "valueIdentifier": {"system": "s", "value": "1"},
    }
    out = await merge(people, source, TARGET)
    assert out["result"]["id"] == "new"


async def test_a_reference_may_be_by_identifier(people: Client) -> None:
    by_identifier = {"identifier": {"system": "s", "value": "1"}}
    out = await merge(people, {"name": "source-patient", "valueReference": by_identifier}, TARGET)
    assert out["result"]["id"] == "new"


async def test_all_that_names_a_patient_must_mean_the_same(people: Client) -> None:
    for value, agrees in (("2", False), ("9", False), ("1", True)):
        identifier = {
            "name": "source-patient-identifier",
            "valueIdentifier": {"system": "s", "value": value},
        }
        if agrees:
            await merge(people, SOURCE, identifier, TARGET)
        else:
            with pytest.raises(Unprocessable):
                await merge(people, SOURCE, identifier, TARGET)


async def test_the_caller_may_say_what_results(people: Client) -> None:
    result = {
        "resourceType": "Patient",
        "id": "new",
        "identifier": [{"system": "s", "value": "2"}],
        "link": [{"other": {"reference": "Patient/old"}, "type": "replaces"}],
        "birthDate": "1961",
    }
    out = await merge(people, SOURCE, TARGET, {"name": "result-patient", "resource": result})
    assert out["result"]["birthDate"] == "1961"
    assert len(out["result"]["identifier"]) == 1


def result(**more: object) -> Resource:
    return {"name": "result-patient", "resource": {"resourceType": "Patient", "id": "new"} | more}


@pytest.mark.parametrize(
    "parameters",
    [
        [SOURCE],
        [TARGET],
        [SOURCE, {"name": "target-patient", "valueReference": {"reference": "Patient/old"}}],
        [SOURCE, {"name": "target-patient", "valueReference": {"reference": "Patient/nobody"}}],
        [SOURCE, {"name": "target-patient", "valueReference": {"reference": "Flag/one"}}],
        [SOURCE, {"name": "target-patient", "valueReference": {"display": "she"}}],
        [SOURCE, {"name": "target-patient-identifier", "valueIdentifier": {"value": "9"}}],
        [SOURCE, {"name": "target-patient-identifier", "valueIdentifier": {"system": "s"}}],
        [SOURCE, TARGET, result()],
        [SOURCE, TARGET, result(id="other")],
        [SOURCE, TARGET, result(identifier=[{"system": "s", "value": "2"}])],
        [SOURCE, TARGET, result(nonsense=1)],
    ],
)
async def test_what_cannot_be_merged_is_refused(people: Client, parameters: list[Resource]) -> None:
    with pytest.raises(FhirError):
        await merge(people, *parameters)
    assert (await people.get("Patient/old"))["meta"]["versionId"] == "1"


async def test_nobody_is_merged_twice(people: Client) -> None:
    await merge(people, SOURCE, TARGET)
    third = {"name": "target-patient", "valueReference": {"reference": "Patient/third"}}
    with pytest.raises(FhirError):
        await merge(people, SOURCE, third)


async def test_nobody_who_comes_while_it_goes_on_is_left_behind(people: Client) -> None:
    async def create(number: int) -> None:
        await people.put(flag(f"late-{number}", "Patient/old"))

    await asyncio.gather(*map(create, range(10)), merge(people, SOURCE, TARGET))
    retired = (await people.get("Patient/old"))["meta"]["lastUpdated"]
    late = await people.get("Flag?patient=Patient/old&_count=100")
    for entry in late.get("entry", ()):
        resource = entry["resource"]
        if resource["id"].startswith("late"):
            assert resource["meta"]["lastUpdated"] >= retired
