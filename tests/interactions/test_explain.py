"""`__explain`: how a search is run, without any resource in the answer."""

from __future__ import annotations

import pytest
from interactions.client import Client

from fhirserver.errors import Invalid, MethodNotAllowed
from fhirserver.model.json import Resource, encode


async def explained(client: Client, query: str) -> Resource:
    found = await client.get(f"Patient/__explain?{query}")
    assert found["resourceType"] == "Parameters"
    (step,) = found["parameter"]
    assert step["name"] == "search"
    return step


def told(step: Resource, name: str) -> list[str | int]:
    """The values under a name in a step, or the steps of that name."""
    return [
        next((value for key, value in part.items() if key.startswith("value")), part)
        for part in step["part"]
        if part["name"] == name
    ]


async def test_a_search_is_explained(client: Client, each_store: str) -> None:
    for n in range(3):
        patient = {"resourceType": "Patient", "gender": "male", "name": [{"family": f"Secret{n}"}]}
        await client.ask("POST", "Patient", resource=patient)
    step = await explained(client, "name=secret1&gender=male&_total=accurate")
    assert told(step, "found") == [1]
    assert told(step, "total") == [1]
    (plan,) = told(step, "plan")
    assert told(plan, "type") == ["Patient"]
    conditions = {found for part in told(plan, "source") for found in told(part, "condition")}
    assert "StringIs name" in conditions
    if each_store == "sqlite":  # MongoDB's planner chooses among the sources; the wire has no plans
        assert any("string_value" in line for line in told(plan, "access"))
        (source,) = told(plan, "source")
        assert told(source, "rows") == [1]
        (sought,) = told(plan, "sought")
        assert told(sought, "condition") == ["TokenIs gender"]
    assert b"Secret" not in encode(step)
    assert b"secret1" not in encode(step)


@pytest.mark.parametrize(
    "query",
    [
        "",
        "_sort=-birthdate&gender=male",
        "_has:Observation:patient:code=a",
        "general-practitioner:Practitioner.name=x&gender:not=female",
        "_filter=gender eq male or not (name co a)",
        "_content=a&_count=0",
    ],
)
async def test_every_kind_of_search_is_explained(client: Client, query: str) -> None:
    patient = {"resourceType": "Patient", "gender": "male"}
    await client.ask("POST", "Patient", resource=patient)
    step = await explained(client, query)
    assert told(step, "plan")


async def test_a_wrong_search_is_refused_as_it_would_be(client: Client) -> None:
    with pytest.raises(Invalid, match="foo"):
        await client.get("Patient/__explain?foo=1")
    with pytest.raises(MethodNotAllowed):
        await client.ask("POST", "Patient/__explain")
