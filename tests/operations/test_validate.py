"""$validate."""

import pytest
from interactions.client import Client

from fhirserver.errors import Invalid, NotFound
from fhirserver.model.json import Resource

DIV = '<div xmlns="http://www.w3.org/1999/xhtml">Anna</div>'
GOOD = {
    "resourceType": "Patient",
    "text": {"status": "generated", "div": DIV},
    "birthDate": "1961-04",
}
BAD = {"resourceType": "Patient", "birthDate": "1961-13", "nonsense": True}


def as_parameter(resource: Resource) -> Resource:
    return {"name": "resource", "resource": resource}


def mode(code: str) -> Resource:
    return {"name": "mode", "valueCode": code}


def severities(outcome: Resource) -> list[str]:
    assert outcome["resourceType"] == "OperationOutcome"
    return [issue["severity"] for issue in outcome["issue"]]


async def test_a_sound_resource_is_well_and_an_unsound_one_is_told_where(client: Client) -> None:
    assert severities(await client.call("Patient/$validate", as_parameter(GOOD))) == ["information"]
    found = await client.call("Patient/$validate", as_parameter(BAD))
    assert severities(found) == ["error", "error"]
    places = {place for issue in found["issue"] for place in issue["expression"]}
    assert places == {"Patient.birthDate", "Patient.nonsense"}


async def test_the_resource_may_come_alone(client: Client) -> None:
    answer = await client.ask("POST", "Patient/$validate", resource=GOOD)
    assert answer.status == 200
    answer = await client.ask("POST", "Patient/$validate?mode=create", resource=GOOD)
    assert answer.status == 200


async def test_a_resource_of_another_type_is_told(client: Client) -> None:
    assert "error" in severities(await client.call("Observation/$validate", as_parameter(GOOD)))


async def test_a_stored_resource_can_be_validated(client: Client) -> None:
    await client.put(GOOD | {"id": "a"})
    assert severities(await client.get("Patient/a/$validate")) == ["information"]
    with pytest.raises(NotFound):
        await client.get("Patient/b/$validate")


async def test_an_update_is_held_against_the_address(client: Client) -> None:
    await client.put(GOOD | {"id": "a"})
    url = "Patient/a/$validate"
    right = await client.call(url, as_parameter(GOOD | {"id": "a"}), mode("update"))
    assert severities(right) == ["information"]
    wrong = await client.call(url, as_parameter(GOOD | {"id": "b"}), mode("update"))
    assert severities(wrong) == ["error"]
    old = await client.call(url, as_parameter(GOOD | {"id": "a"}), mode("update"), if_match='W/"7"')
    assert [issue["code"] for issue in old["issue"]] == ["conflict"]


async def test_a_deletion_is_held_against_those_who_refer(client: Client) -> None:
    await client.put(GOOD | {"id": "a"})
    assert severities(await client.get("Patient/a/$validate?mode=delete")) == ["information"]
    subject = {"reference": "Patient/a"}
    await client.put(
        {"resourceType": "Flag", "id": "f", "status": "active", "code": {"text": "x"}}
        | {"subject": subject}
    )
    found = await client.get("Patient/a/$validate?mode=delete")
    assert [issue["code"] for issue in found["issue"]] == ["conflict"]
    assert (await client.ask("GET", "Patient/a")).status == 200


async def test_a_profile_is_not_passed_over(client: Client) -> None:
    url = "Patient/$validate?profile=http://example.org/StructureDefinition/p"
    found = await client.call(url, as_parameter(GOOD))
    assert severities(found) == ["warning"]
    assert "http://example.org/StructureDefinition/p" in found["issue"][0]["diagnostics"]


@pytest.mark.parametrize(
    ("url", "parameters"),
    [
        ("Patient/$validate", []),
        ("Patient/$validate", [mode("create")]),
        ("Patient/$validate", [as_parameter(GOOD), mode("nonsense")]),
        ("Patient/$validate", [as_parameter(GOOD), mode("update")]),
        ("Patient/$validate", [mode("delete")]),
    ],
)
async def test_what_cannot_be_validated_is_refused(
    client: Client, url: str, parameters: list[Resource]
) -> None:
    with pytest.raises(Invalid):
        await client.call(url, *parameters)


COLOURS = {
    "resourceType": "CodeSystem",
    "id": "colours",
    "url": "http://example.org/CodeSystem/colours",
    "status": "active",
    "content": "complete",
}


async def test_displays_are_compared_with_the_names_in_the_store(client: Client) -> None:
    names = [{"code": "red", "display": "Red", "designation": [{"language": "de", "value": "Rot"}]}]
    await client.put(COLOURS | {"concept": names})
    codings = [
        {"system": COLOURS["url"], "code": "red", "display": display}
        for display in ("red", "Rot", "Blue")
    ]
    resource = {"resourceType": "Patient", "maritalStatus": {"coding": codings}}
    outcome = await client.call("Patient/$validate", {"name": "resource", "resource": resource})
    told = [issue for issue in outcome["issue"] if "display" in issue["diagnostics"]]
    assert [issue["severity"] for issue in told] == ["warning"]
    assert told[0]["expression"] == ["Patient.maritalStatus.coding[2]"]
    assert "'Red' or 'Rot'" in told[0]["diagnostics"]
