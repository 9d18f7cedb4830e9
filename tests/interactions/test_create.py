"""create and conditional create: https://hl7.org/fhir/R4/http.html#create, #ccreate."""

from dataclasses import replace

import pytest
from interactions.client import Client

from fhirserver.errors import Invalid, MultipleMatches, Unprocessable
from fhirserver.model.json import Json, decode

ANNA = {"resourceType": "Patient", "active": True, "identifier": [{"system": "s", "value": "1"}]}
ONE = (("identifier", "s|1"),)


async def test_a_create_gives_the_id_the_version_and_the_instant(client: Client) -> None:
    sent = ANNA | {
        "id": "mine",
        "meta": {"versionId": "7", "lastUpdated": "2001-01-01T00:00:00Z", "tag": [{"code": "t"}]},
    }
    answer = await client.ask("POST", "Patient", resource=sent)
    assert answer.status == 201
    assert answer.location == f"Patient/{answer.id}/_history/1"
    assert answer.id != "mine"
    assert answer.body is not None
    stored = decode(answer.body)
    assert stored == await client.get(f"Patient/{answer.id}")
    assert stored["meta"]["versionId"] == "1"
    assert stored["meta"]["lastUpdated"] > "2026"
    assert stored["meta"]["tag"] == [{"code": "t"}]
    assert stored["identifier"] == ANNA["identifier"]


async def test_every_create_makes_another_resource(client: Client) -> None:
    one = await client.ask("POST", "Patient", resource=ANNA)
    other = await client.ask("POST", "Patient", resource=ANNA)
    assert one.id != other.id


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        "text",
        {},
        {"resourceType": 1},
        {"resourceType": "Nothing"},
        {"resourceType": "Observation", "status": "final", "code": {"text": "x"}},
    ],
)
async def test_what_is_no_patient_is_invalid(client: Client, body: Json) -> None:
    with pytest.raises(Invalid):
        await client.ask("POST", "Patient", resource=body)
    assert await client.context.store.counts() == {}


async def test_what_breaks_the_rules_is_refused_with_every_finding(client: Client) -> None:
    bad = {"resourceType": "Patient", "birthDate": "yesterday", "gendre": "female"}
    with pytest.raises(Unprocessable) as error:
        await client.ask("POST", "Patient", resource=bad)
    assert {issue.expression for issue in error.value.issues} == {
        "Patient.birthDate",
        "Patient.gendre",
    }


async def test_the_rules_can_be_switched_off(client: Client) -> None:
    context = client.context
    off = Client(replace(context, policy=replace(context.policy, validation="off")))
    bad = {"resourceType": "Patient", "gendre": "female"}
    assert (await off.ask("POST", "Patient", resource=bad)).status == 201


async def test_a_reference_to_a_contained_resource_must_lead_somewhere(client: Client) -> None:
    contained = {"resourceType": "Organization", "id": "o", "name": "O"}
    good = ANNA | {"contained": [contained], "managingOrganization": {"reference": "#o"}}
    assert (await client.ask("POST", "Patient", resource=good)).status == 201
    with pytest.raises(Unprocessable) as error:
        bad = ANNA | {"contained": [contained], "managingOrganization": {"reference": "#x"}}
        await client.ask("POST", "Patient", resource=bad)
    places = [issue.expression for issue in error.value.issues if issue.is_error]
    assert places == ["Patient.managingOrganization"]  # ref-1


async def test_a_contained_resource_may_refer_to_its_container(client: Client) -> None:
    contained = {
        "resourceType": "Basic",
        "id": "b",
        "code": {"text": "note"},
        "subject": {"reference": "#"},
    }
    good = ANNA | {"contained": [contained]}
    assert (await client.ask("POST", "Patient", resource=good)).status == 201


async def test_each_resource_of_a_bundle_has_contained_ones_of_its_own(client: Client) -> None:
    organization = {"resourceType": "Organization", "id": "o", "name": "O"}
    inside = ANNA | {"contained": [organization], "managingOrganization": {"reference": "#o"}}
    outside = ANNA | {"managingOrganization": {"reference": "#o"}}

    def collection(*resources: Json) -> Json:
        entries = [
            {"fullUrl": f"urn:uuid:{number}", "resource": resource}
            for number, resource in enumerate(resources)
        ]
        return {"resourceType": "Bundle", "type": "collection", "entry": entries}

    assert (await client.ask("POST", "Bundle", resource=collection(inside))).status == 201
    with pytest.raises(Unprocessable) as error:
        await client.ask("POST", "Bundle", resource=collection(inside, outside))
    (place,) = [issue.expression for issue in error.value.issues if issue.is_error]
    assert place == "Bundle.entry[1].resource.managingOrganization"


async def test_parameters_are_none_of_a_create(client: Client) -> None:
    with pytest.raises(Invalid):
        await client.ask("POST", "Patient?identifier=s|1", resource=ANNA)


# --- If-None-Exist ----------------------------------------------------------------------------


async def test_if_none_exist_creates_what_is_not_there(client: Client) -> None:
    answer = await client.ask("POST", "Patient", resource=ANNA, if_none_exist=ONE)
    assert answer.status == 201


async def test_if_none_exist_leaves_what_is_there_as_it_is(client: Client) -> None:
    first = await client.ask("POST", "Patient", resource=ANNA)
    again = await client.ask(
        "POST", "Patient", resource=ANNA | {"active": False}, if_none_exist=ONE
    )
    assert again.status == 200
    assert (again.id, again.version, again.body) == (first.id, 1, first.body)
    assert (await client.ask("GET", f"Patient/{first.id}")).version == 1


async def test_if_none_exist_with_several_matches_is_refused(client: Client) -> None:
    await client.ask("POST", "Patient", resource=ANNA)
    await client.ask("POST", "Patient", resource=ANNA)
    with pytest.raises(MultipleMatches):
        await client.ask("POST", "Patient", resource=ANNA, if_none_exist=ONE)


async def test_what_was_deleted_does_not_exist(client: Client) -> None:
    first = await client.ask("POST", "Patient", resource=ANNA)
    await client.delete(f"Patient/{first.id}")
    again = await client.ask("POST", "Patient", resource=ANNA, if_none_exist=ONE)
    assert again.status == 201


@pytest.mark.parametrize(
    "condition",
    [
        (),
        (("_format", "json"),),
        (("_count", "1"),),
        (("_id:missing", "false"),),
        (("unknown", "1"),),
        (("identifier", "s|1"), ("_sort", "name")),
        (("identifier", ""),),
    ],
)
async def test_a_condition_must_select(
    client: Client, condition: tuple[tuple[str, str], ...]
) -> None:
    for handling in ("strict", "lenient"):
        with pytest.raises(Invalid):
            await client.ask(
                "POST", "Patient", resource=ANNA, if_none_exist=condition, handling=handling
            )
