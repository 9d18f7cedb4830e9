"""update, update as create, conditional update.

https://hl7.org/fhir/R4/http.html#update, #upsert, #cond-update, #concurrency.
"""

from dataclasses import replace

import pytest
from interactions.client import Client

from fhirserver.errors import (
    Conflict,
    Invalid,
    MethodNotAllowed,
    MultipleMatches,
    PreconditionFailed,
    Unprocessable,
)
from fhirserver.interactions.request import Answer
from fhirserver.model.json import Json, Resource, decode

ANNA = {"resourceType": "Patient", "id": "anna", "active": True}
ONE = "Patient?identifier=s|1"


def known(id: str | None = None, **more: Json) -> Resource:
    """A patient with the identifier that `ONE` asks for."""
    out: Resource = {"resourceType": "Patient", "identifier": [{"system": "s", "value": "1"}]}
    return out | ({} if id is None else {"id": id}) | more


async def put(client: Client, resource: Resource, **more: Json) -> Answer:
    return await client.ask("PUT", f"Patient/{resource['id']}", resource=resource, **more)


async def test_an_update_of_nothing_creates(client: Client) -> None:
    answer = await put(client, ANNA)
    assert (answer.status, answer.id, answer.version) == (201, "anna", 1)
    assert answer.location == "Patient/anna/_history/1"


async def test_an_update_makes_the_next_version(client: Client) -> None:
    await put(client, ANNA)
    answer = await put(client, ANNA | {"active": False})
    assert (answer.status, answer.version) == (200, 2)
    assert (await client.get("Patient/anna"))["active"] is False


async def test_an_update_takes_tags_as_they_are_sent(client: Client) -> None:
    await put(client, ANNA | {"meta": {"tag": [{"code": "a"}], "security": [{"code": "b"}]}})
    await put(client, ANNA | {"meta": {"tag": [{"code": "c"}]}})
    meta = (await client.get("Patient/anna"))["meta"]
    assert meta["tag"] == [{"code": "c"}]
    assert "security" not in meta


async def test_an_update_that_changes_nothing_makes_no_version(client: Client) -> None:
    first = await put(client, ANNA)
    again = await put(client, {"active": True, "id": "anna", "resourceType": "Patient"})
    assert (again.status, again.version, again.body) == (200, 1, first.body)
    changed = await put(client, ANNA | {"meta": {"tag": [{"code": "a"}]}})
    assert changed.version == 2
    sent_back = await client.get("Patient/anna")
    assert (await put(client, sent_back)).version == 2


async def test_the_digits_of_a_decimal_are_a_change(client: Client) -> None:
    def weight(value: bytes) -> Resource:
        found: Resource = decode(
            b'{"resourceType":"Observation","id":"w","status":"final","code":{"text":"w"},'
            b'"valueQuantity":{"value":' + value + b"}}"
        )
        return found

    url = "Observation/w"
    assert (await client.ask("PUT", url, resource=weight(b"1.50"))).version == 1
    assert (await client.ask("PUT", url, resource=weight(b"1.5"))).version == 2
    assert (await client.ask("PUT", url, resource=weight(b"1.5"))).version == 2


async def test_an_update_brings_back_what_was_deleted(client: Client) -> None:
    await put(client, ANNA)
    await client.delete("Patient/anna")
    answer = await put(client, ANNA)
    assert (answer.status, answer.version) == (201, 3)
    assert (await client.ask("GET", "Patient/anna")).status == 200


@pytest.mark.parametrize("id", [None, "bert", 5])
async def test_the_id_must_be_that_of_the_address(client: Client, id: Json) -> None:
    resource = {"resourceType": "Patient"} | ({} if id is None else {"id": id})
    with pytest.raises(Invalid) as error:
        await client.ask("PUT", "Patient/anna", resource=resource)
    assert error.value.expression == "Patient.id"


async def test_ids_of_clients_can_be_refused(client: Client) -> None:
    context = client.context
    strict = Client(replace(context, policy=replace(context.policy, update_create=False)))
    with pytest.raises(MethodNotAllowed):
        await put(strict, ANNA)
    with pytest.raises(MethodNotAllowed):
        await strict.ask("PUT", ONE, resource=known("mine"))
    created = await strict.ask("PUT", ONE, resource=known())
    assert created.status == 201
    await strict.delete(f"Patient/{created.id}")
    assert created.id is not None
    assert (await put(strict, known(created.id))).status == 201


# --- versions -----------------------------------------------------------------------------------


async def test_if_match_lets_only_the_current_version_be_written_over(client: Client) -> None:
    await put(client, ANNA)
    answer = await put(client, ANNA | {"active": False}, if_match='W/"1"')
    assert answer.version == 2
    with pytest.raises(PreconditionFailed):
        await put(client, ANNA, if_match='W/"1"')
    with pytest.raises(PreconditionFailed):
        await put(client, ANNA | {"id": "new"}, if_match='W/"1"')
    await client.delete("Patient/anna")
    with pytest.raises(PreconditionFailed):
        await put(client, ANNA, if_match='W/"3"')


async def test_if_none_match_star_only_creates(client: Client) -> None:
    assert (await put(client, ANNA, if_none_match="*")).status == 201
    with pytest.raises(PreconditionFailed):
        await put(client, ANNA | {"active": False}, if_none_match="*")
    await client.delete("Patient/anna")
    assert (await put(client, ANNA, if_none_match="*")).status == 201


# --- conditional --------------------------------------------------------------------------------


async def test_no_match_and_no_id_creates_with_an_id_of_the_server(client: Client) -> None:
    answer = await client.ask("PUT", ONE, resource=known())
    assert answer.status == 201
    assert answer.id is not None and answer.id.startswith("new-")


async def test_no_match_and_an_id_creates_with_that_id(client: Client) -> None:
    answer = await client.ask("PUT", ONE, resource=known("mine"))
    assert (answer.status, answer.id) == (201, "mine")


async def test_no_match_and_an_id_that_is_taken_conflicts(client: Client) -> None:
    await put(client, ANNA)
    with pytest.raises(Conflict):
        await client.ask("PUT", ONE, resource=known("anna"))
    await client.delete("Patient/anna")
    assert (await client.ask("PUT", ONE, resource=known("anna"))).version == 3


async def test_one_match_is_updated(client: Client) -> None:
    await put(client, known("anna"))
    for resource in (known(active=True), known("anna", active=False)):
        answer = await client.ask("PUT", ONE, resource=resource)
        assert (answer.status, answer.id) == (200, "anna")
    assert (await client.ask("GET", "Patient/anna")).version == 3
    assert (await client.ask("PUT", ONE, resource=known(active=False))).version == 3


async def test_one_match_with_another_id_is_invalid(client: Client) -> None:
    await put(client, known("anna"))
    with pytest.raises(Invalid):
        await client.ask("PUT", ONE, resource=known("bert"))


async def test_several_matches_are_refused(client: Client) -> None:
    await client.put(known("anna"), known("bert"))
    with pytest.raises(MultipleMatches):
        await client.ask("PUT", ONE, resource=known())


async def test_a_conditional_update_looks_at_versions_too(client: Client) -> None:
    with pytest.raises(PreconditionFailed):
        await client.ask("PUT", ONE, resource=known(), if_match='W/"1"')
    await put(client, known("anna"))
    with pytest.raises(PreconditionFailed):
        await client.ask("PUT", ONE, resource=known(active=True), if_match='W/"2"')
    with pytest.raises(PreconditionFailed):
        await client.ask("PUT", ONE, resource=known(active=True), if_none_match="*")
    answer = await client.ask("PUT", ONE, resource=known(active=True), if_match='W/"1"')
    assert answer.version == 2


@pytest.mark.parametrize("url", ["Patient", "Patient?_summary=true", "Patient?unknown=1"])
async def test_without_a_condition_nothing_is_updated(client: Client, url: str) -> None:
    with pytest.raises(Invalid):
        await client.ask("PUT", url, resource=known())


async def test_an_invalid_id_of_a_new_resource_is_refused(client: Client) -> None:
    for id in ("a_b", "", "x" * 65):
        with pytest.raises((Invalid, Unprocessable)):
            await client.ask("PUT", ONE, resource=known(id))
    assert await client.context.store.counts() == {}
