"""delete and conditional delete: https://hl7.org/fhir/R4/http.html#delete, #3.1.0.7.1."""

from dataclasses import replace

import pytest
from interactions.client import Client

from fhirserver.errors import (
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    MultipleMatches,
    PreconditionFailed,
)
from fhirserver.interactions.context import Policy
from fhirserver.model.json import Resource

ANNA = {"resourceType": "Patient", "id": "anna"}


def with_policy(client: Client, policy: Policy) -> Client:
    return Client(replace(client.context, policy=policy))


def active(id: str) -> Resource:
    return {"resourceType": "Patient", "id": id, "active": True}


def observation(id: str, subject: str) -> Resource:
    code = {"text": "pulse"}
    reference = {"reference": subject}
    return {
        "resourceType": "Observation",
        "id": id,
        "status": "final",
        "code": code,
        "subject": reference,
    }


async def test_a_deletion_is_a_version(client: Client) -> None:
    await client.put(ANNA)
    answer = await client.ask("DELETE", "Patient/anna")
    assert (answer.status, answer.body, answer.version) == (204, None, 2)
    with pytest.raises(Gone):
        await client.get("Patient/anna")
    assert (await client.get("Patient"))["total"] == 0


async def test_to_delete_again_or_what_never_was_changes_nothing(client: Client) -> None:
    await client.put(ANNA)
    await client.delete("Patient/anna")
    again = await client.ask("DELETE", "Patient/anna")
    assert (again.status, again.version) == (204, 2)
    never = await client.ask("DELETE", "Patient/nobody")
    assert (never.status, never.version) == (204, None)


async def test_an_outcome_can_be_preferred(client: Client) -> None:
    await client.put(ANNA)
    answer = await client.ask("DELETE", "Patient/anna", prefer="OperationOutcome")
    assert answer.status == 200
    assert answer.body is not None
    assert (await client.ask("DELETE", "Patient/anna", prefer="minimal")).status == 204


async def test_if_match_must_name_the_version_to_delete(client: Client) -> None:
    await client.put(ANNA)
    for tag in ('W/"2"', "nonsense"):
        with pytest.raises(PreconditionFailed):
            await client.ask("DELETE", "Patient/anna", if_match=tag)
    assert (await client.ask("DELETE", "Patient/anna", if_match='W/"1"')).status == 204


# --- integrity ----------------------------------------------------------------------------------


async def test_what_others_refer_to_is_not_deleted(client: Client) -> None:
    await client.put(ANNA, observation("o", "Patient/anna"))
    with pytest.raises(Conflict) as error:
        await client.delete("Patient/anna")
    assert "Observation/o" in error.value.text
    await client.delete("Observation/o")
    await client.delete("Patient/anna")


async def test_an_absolute_reference_to_this_server_counts(client: Client) -> None:
    await client.put(ANNA, observation("o", "http://example.org/fhir/Patient/anna"))
    await client.put(observation("p", "http://elsewhere.org/fhir/Patient/bert"), active("bert"))
    with pytest.raises(Conflict):
        await client.delete("Patient/anna")
    await client.delete("Patient/bert")


async def test_a_reference_that_no_search_parameter_covers_counts(client: Client) -> None:
    extension = {
        "url": "http://example.org/friend",
        "valueReference": {"reference": "Patient/anna"},
    }
    await client.put(ANNA, active("bert") | {"extension": [extension]})
    with pytest.raises(Conflict):
        await client.delete("Patient/anna")


async def test_a_reference_to_itself_does_not_count(client: Client) -> None:
    link = {"other": {"reference": "Patient/anna"}, "type": "seealso"}
    await client.put(ANNA | {"link": [link]})
    await client.delete("Patient/anna")


async def test_integrity_can_be_switched_off(client: Client) -> None:
    await client.put(ANNA, observation("o", "Patient/anna"))
    await with_policy(client, Policy(integrity_on_delete=False)).delete("Patient/anna")


# --- conditional --------------------------------------------------------------------------------


async def test_no_match_is_no_failure(client: Client) -> None:
    assert (await client.ask("DELETE", "Patient?active=true")).status == 204


async def test_one_match_is_deleted(client: Client) -> None:
    await client.put(active("anna"), ANNA | {"id": "bert"})
    answer = await client.ask("DELETE", "Patient?active=true")
    assert (answer.status, answer.id, answer.version) == (204, "anna", 2)
    assert await client.context.store.counts() == {"Patient": 1}


async def test_several_matches_are_refused(client: Client) -> None:
    await client.put(active("anna"), active("bert"))
    with pytest.raises(MultipleMatches):
        await client.ask("DELETE", "Patient?active=true")
    assert await client.context.store.counts() == {"Patient": 2}


async def test_several_matches_are_deleted_where_that_is_the_policy(client: Client) -> None:
    many = with_policy(client, Policy(conditional_delete="multiple", max_conditional_deletes=5))
    await many.put(*(active(f"p{number}") for number in range(5)), ANNA)
    assert (await many.ask("DELETE", "Patient?active=true")).status == 204
    assert await many.context.store.counts() == {"Patient": 1}
    await many.put(*(active(f"q{number}") for number in range(6)))
    with pytest.raises(Forbidden):
        await many.ask("DELETE", "Patient?active=true")
    assert await many.context.store.counts() == {"Patient": 7}


async def test_what_is_deleted_together_may_refer_to_each_other(client: Client) -> None:
    many = with_policy(client, Policy(conditional_delete="multiple"))
    link = {"other": {"reference": "Patient/bert"}, "type": "seealso"}
    await many.put(active("bert"), active("anna") | {"link": [link]})
    with pytest.raises(Conflict):
        await many.delete("Patient/bert")
    await many.ask("DELETE", "Patient?active=true")
    assert await many.context.store.counts() == {}


async def test_a_conditional_delete_looks_at_the_version(client: Client) -> None:
    await client.put(active("anna"))
    with pytest.raises(PreconditionFailed):
        await client.ask("DELETE", "Patient?active=true", if_match='W/"2"')
    await client.ask("DELETE", "Patient?active=true", if_match='W/"1"')


@pytest.mark.parametrize(
    "url", ["Patient", "Patient?_id:missing=false", "Patient?_count=1", "Patient?nonsense=1"]
)
async def test_without_a_condition_nothing_is_deleted(client: Client, url: str) -> None:
    many = with_policy(client, Policy(conditional_delete="multiple"))
    await many.put(ANNA)
    with pytest.raises(Invalid):
        await many.ask("DELETE", url, handling="lenient")
    assert await many.context.store.counts() == {"Patient": 1}
