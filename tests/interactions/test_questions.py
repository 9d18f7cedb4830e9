"""Codes of bindings that are looked up in stored terminology. Concepts are kept by SQLite only."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from interactions.client import Client, open_context

from fhirserver.errors import Unprocessable
from fhirserver.interactions.terminology import in_value_sets
from fhirserver.model.json import Resource, decode

URL = "http://example.org/StructureDefinition/coloured"
PROFILE = {
    "resourceType": "StructureDefinition",
    "id": "coloured",
    "url": URL,
    "name": "Coloured",
    "status": "active",
    "kind": "resource",
    "abstract": False,
    "type": "Patient",
    "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient",
    "derivation": "constraint",
}
SYSTEM = {
    "resourceType": "CodeSystem",
    "id": "colours",
    "url": "http://example.org/CodeSystem/colours",
    "name": "Colours",
    "status": "active",
    "content": "complete",
    "concept": [{"code": "red", "concept": [{"code": "pink"}]}, {"code": "blue"}],
}
REDS = {
    "resourceType": "ValueSet",
    "id": "reds",
    "url": "http://example.org/ValueSet/reds",
    "name": "Reds",
    "status": "active",
    "compose": {
        "include": [
            {
                "system": SYSTEM["url"],
                "filter": [{"property": "concept", "op": "is-a", "value": "red"}],
            }
        ]
    },
}


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    async with open_context(tmp_path / "fhir.db") as context:
        yield Client(context)


async def refusal(client: Client, resource: Resource) -> list[str]:
    with pytest.raises(Unprocessable) as error:
        await client.ask("POST", resource["resourceType"], resource=resource)
    return [issue.expression for issue in error.value.issues if issue.is_error]


def coloured(code: str, system: str = "http://example.org/CodeSystem/colours") -> Resource:
    coding = {"system": system, "code": code}
    meta = {"profile": [URL]}
    return {"resourceType": "Patient", "meta": meta, "maritalStatus": {"coding": [coding]}}


def bound(strength: str, value_set: str = "http://example.org/ValueSet/reds") -> Resource:
    binding = {"strength": strength, "valueSet": value_set}
    path = {"id": "Patient.maritalStatus", "path": "Patient.maritalStatus"}
    return PROFILE | {"differential": {"element": [path | {"binding": binding}]}}


async def test_codes_are_checked_against_stored_value_sets(client: Client) -> None:
    await client.put(SYSTEM, REDS, bound("required"))
    assert (await client.ask("POST", "Patient", resource=coloured("pink"))).status == 201
    assert await refusal(client, coloured("blue")) == ["Patient.maritalStatus"]
    assert await refusal(client, coloured("pink", "http://example.org/other")) != []


async def test_an_extensible_value_set_only_warns_whom_it_is_told(client: Client) -> None:
    await client.put(SYSTEM, REDS, bound("extensible"))
    blue = coloured("blue")
    answer = await client.ask("POST", "Patient", resource=blue, prefer="OperationOutcome")
    assert answer.status == 201
    issues = decode(answer.body or b"{}")["issue"]
    assert ("warning", "code-invalid") in [(item["severity"], item["code"]) for item in issues]


@pytest.mark.parametrize("content", [None, "fragment", "not-present"])
async def test_what_is_not_here_or_only_in_part_refuses_nothing(
    client: Client, content: str | None
) -> None:
    if content is not None:
        part = SYSTEM | {"content": content}
        if content == "not-present":
            del part["concept"]
        await client.put(part, REDS)
    await client.put(bound("required"))
    assert (await client.ask("POST", "Patient", resource=coloured("blue"))).status == 201


async def test_value_sets_in_a_circle_refuse_nothing(client: Client) -> None:
    inner = {"include": [{"valueSet": [REDS["url"]]}]}
    await client.put(REDS | {"compose": inner}, bound("required"))
    assert (await client.ask("POST", "Patient", resource=coloured("blue"))).status == 201


async def test_a_hostile_pattern_in_a_value_set_costs_nothing(client: Client) -> None:
    hostile = {"property": "code", "op": "regex", "value": "(a+)+$"}
    compose = {"include": [{"system": SYSTEM["url"], "filter": [hostile]}]}
    long = "a" * 60 + "b"
    system = SYSTEM | {"concept": [{"code": long}]}
    await client.put(system, REDS | {"compose": compose}, bound("required"))
    begun = time.process_time()
    assert await refusal(client, coloured(long)) == ["Patient.maritalStatus"]
    assert time.process_time() - begun < 2


async def test_many_value_sets_are_asked_at_once(client: Client) -> None:
    await client.put(SYSTEM, REDS)
    system, reds = SYSTEM["url"], REDS["url"]
    assert await in_value_sets(
        client.context,
        [
            (reds, [(system, "pink")]),
            (reds, [(system, "blue")]),
            (reds, [(system, "blue"), (system, "red")]),
            (reds, [(None, "red")]),
            (reds, [("http://example.org/other", "red")]),
            ("http://example.org/none", [(system, "red")]),
            ("http://hl7.org/fhir/ValueSet/administrative-gender", [(None, "male")]),
        ],
    ) == [True, False, True, True, False, None, True]
