"""$snapshot."""

import pytest
from interactions.client import Client

from fhirserver.errors import Invalid, NotFound, Unprocessable

URL = "http://example.org/StructureDefinition/named"
PROFILE = {
    "resourceType": "StructureDefinition",
    "id": "named",
    "url": URL,
    "name": "Named",
    "status": "active",
    "kind": "resource",
    "abstract": False,
    "type": "Patient",
    "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient",
    "derivation": "constraint",
    "differential": {"element": [{"id": "Patient.name", "path": "Patient.name", "min": 1}]},
}


async def test_the_snapshot_of_a_definition(client: Client) -> None:
    await client.put(PROFILE)
    for url in ("StructureDefinition/named/$snapshot", f"StructureDefinition/$snapshot?url={URL}"):
        found = await client.get(url)
        elements = {item["id"]: item for item in found["snapshot"]["element"]}
        assert elements["Patient.name"]["min"] == 1
        assert elements["Patient.name"]["base"]["path"] == "Patient.name"
        assert "Patient.contact.name" in elements


async def test_what_a_stored_definition_is_based_on_may_be_stored_too(client: Client) -> None:
    nothing = {"element": [{"id": "Patient", "path": "Patient"}]}
    child = PROFILE | {"url": f"{URL}2", "baseDefinition": URL, "differential": nothing}
    await client.put(PROFILE)
    found = await client.call(
        "StructureDefinition/$snapshot", {"name": "definition", "resource": child}
    )
    (name,) = [item for item in found["snapshot"]["element"] if item["id"] == "Patient.name"]
    assert name["min"] == 1


async def test_what_has_no_snapshot_is_refused(client: Client) -> None:
    sent = {"name": "definition", "resource": PROFILE | {"baseDefinition": "http://nowhere"}}
    with pytest.raises(Unprocessable):
        await client.call("StructureDefinition/$snapshot", sent)
    with pytest.raises(NotFound):
        await client.get("StructureDefinition/$snapshot?url=http://nowhere")
    with pytest.raises(Invalid):
        await client.get("StructureDefinition/$snapshot")
