"""What validation does to writes: modes, profiles that are stored or required, what is told."""

from __future__ import annotations

from dataclasses import replace

import pytest
from interactions.client import Client

from fhirserver.errors import Unprocessable
from fhirserver.model.json import Resource, decode

URL = "http://example.org/StructureDefinition/named"
PROFILE = {
    "resourceType": "StructureDefinition",
    "id": "named",
    "url": URL,
    "version": "1",
    "name": "Named",
    "status": "active",
    "kind": "resource",
    "abstract": False,
    "type": "Patient",
    "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient",
    "derivation": "constraint",
    "differential": {"element": [{"id": "Patient.name", "path": "Patient.name", "min": 1}]},
}
BARE = {"resourceType": "Patient", "active": True}
CLAIMING = BARE | {"meta": {"profile": [URL]}}
NAMED = {"name": [{"text": "Anna"}]}
WRONG = BARE | {"gender": "man"}


def with_policy(client: Client, **more: object) -> Client:
    policy = replace(client.context.policy, **more)  # type: ignore[arg-type]
    return Client(replace(client.context, policy=policy))


async def refusal(client: Client, resource: Resource) -> list[str]:
    with pytest.raises(Unprocessable) as error:
        await client.ask("POST", resource["resourceType"], resource=resource)
    return [issue.expression for issue in error.value.issues if issue.is_error]


async def test_a_code_out_of_a_required_value_set_is_refused(client: Client) -> None:
    assert await refusal(client, WRONG) == ["Patient.gender"]


async def test_a_resource_is_stored_all_the_same_where_the_mode_says_so(client: Client) -> None:
    for mode in ("warn", "off"):
        lenient = with_policy(client, validation=mode)
        assert (await lenient.ask("POST", "Patient", resource=WRONG)).status == 201
    mixed = with_policy(client, validation_modes=("Patient=warn", "Basic=off"))
    assert (await mixed.ask("POST", "Patient", resource=WRONG)).status == 201
    assert await refusal(mixed, {"resourceType": "Flag"}) != []


async def test_what_is_stored_with_a_warning_is_told_to_whom_prefers_it(client: Client) -> None:
    lenient = with_policy(client, validation="warn")
    answer = await lenient.ask("POST", "Patient", resource=WRONG, prefer="OperationOutcome")
    outcome = decode(answer.body or b"{}")
    severities = [issue["severity"] for issue in outcome["issue"]]
    assert severities == ["information", "error"]


async def test_a_stored_profile_counts_at_once_and_as_it_is_now(client: Client) -> None:
    assert (await client.ask("POST", "Patient", resource=CLAIMING)).status == 201
    await client.put(PROFILE)
    assert await refusal(client, CLAIMING) == ["Patient"]
    assert (await client.ask("POST", "Patient", resource=CLAIMING | NAMED)).status == 201
    await client.put(PROFILE | {"differential": {"element": [
        {"id": "Patient.active", "path": "Patient.active", "max": "0"}]}})  # fmt: skip
    assert await refusal(client, CLAIMING) == ["Patient.active"]
    await client.delete("StructureDefinition/named")
    assert (await client.ask("POST", "Patient", resource=CLAIMING)).status == 201


async def test_a_profile_has_a_mode_of_its_own(client: Client) -> None:
    await client.put(PROFILE)
    for mode in ("warn", "off"):
        lenient = with_policy(client, validation_modes=(f"{URL}={mode}",))
        assert (await lenient.ask("POST", "Patient", resource=CLAIMING)).status == 201


async def test_a_required_profile_is_required_of_all(client: Client) -> None:
    await client.put(PROFILE)
    strict = with_policy(client, required_profiles=(f"Patient={URL}",))
    assert await refusal(strict, BARE) == ["Patient"]
    assert (await strict.ask("POST", "Patient", resource=BARE | NAMED)).status == 201


async def test_a_profile_that_is_based_on_a_stored_one(client: Client) -> None:
    other = "http://example.org/StructureDefinition/other"
    nothing = {"element": [{"id": "Patient", "path": "Patient"}]}
    child = PROFILE | {"id": "other", "url": other, "baseDefinition": URL, "differential": nothing}
    await client.put(PROFILE, child)
    claiming = BARE | {"meta": {"profile": [other]}}
    assert await refusal(client, claiming) == ["Patient"]
    assert (await client.ask("POST", "Patient", resource=claiming | NAMED)).status == 201


async def test_targets_within_a_transaction_are_of_the_right_type(client: Client) -> None:
    def bundle(type: str, resource: Resource) -> Resource:
        observation = {"resourceType": "Observation", "status": "final", "code": {"text": "c"}}
        subject = {"subject": {"reference": "urn:uuid:1"}}
        return {"resourceType": "Bundle", "type": "transaction", "entry": [
            {"fullUrl": "urn:uuid:1", "resource": resource,
             "request": {"method": "POST", "url": type}},
            {"fullUrl": "urn:uuid:2", "resource": observation | subject,
             "request": {"method": "POST", "url": "Observation"}}]}  # fmt: skip

    assert (await client.ask("POST", "", resource=bundle("Patient", BARE))).status == 200
    with pytest.raises(Unprocessable) as error:
        organization = {"resourceType": "Organization", "name": "O"}
        await client.ask("POST", "", resource=bundle("Organization", organization))
    (issue,) = [issue for issue in error.value.issues if issue.is_error]
    assert issue.expression == "Bundle.entry[1].resource.subject"


async def test_a_stored_definition_that_cannot_be_used_is_refused(client: Client) -> None:
    wrong = {"element": [{"id": "Patient.x", "path": "Patient.x", "min": 1}]}
    assert await refusal(client, PROFILE | {"differential": wrong}) == ["StructureDefinition"]


async def test_answers_are_held_against_the_stored_questionnaire(client: Client) -> None:
    url = "http://example.org/Questionnaire/q"
    item = {"linkId": "1", "type": "boolean", "required": True}
    asked = {"resourceType": "Questionnaire", "id": "q", "url": url, "version": "2"}
    response = {"resourceType": "QuestionnaireResponse", "status": "completed"}
    right = response | {
        "questionnaire": url,
        "item": [{"linkId": "1", "answer": [{"valueBoolean": True}]}],
    }
    wrong = right | {"item": [{"linkId": "1", "answer": [{"valueString": "a"}]}]}
    assert (await client.ask("POST", wrong["resourceType"], resource=wrong)).status == 201
    await client.put(asked | {"status": "active", "item": [item]})
    assert (await client.ask("POST", right["resourceType"], resource=right)).status == 201
    assert await refusal(client, wrong) == ["QuestionnaireResponse.item[0].answer[0]"]
    assert await refusal(client, wrong | {"questionnaire": f"{url}|2"}) != []
    other = wrong | {"questionnaire": f"{url}|3"}
    assert (await client.ask("POST", other["resourceType"], resource=other)).status == 201
    assert await refusal(client, response | {"questionnaire": url}) == ["QuestionnaireResponse"]
