"""patch and conditional patch: https://hl7.org/fhir/R4/http.html#patch."""

import pytest
from interactions.client import Client

from fhirserver.errors import (
    FhirError,
    Invalid,
    MultipleMatches,
    NotFound,
    PreconditionFailed,
    Unprocessable,
)
from fhirserver.model.json import Json, Resource, decode

ANNA: Resource = {
    "resourceType": "Patient",
    "id": "anna",
    "active": True,
    "name": [{"family": "A"}],
}
DEACTIVATE: Json = [{"op": "replace", "path": "/active", "value": False}]
BY_PATH: Json = {
    "resourceType": "Parameters",
    "parameter": [
        {
            "name": "operation",
            "part": [
                {"name": "type", "valueCode": "replace"},
                {"name": "path", "valueString": "Patient.active"},
                {"name": "value", "valueBoolean": False},
            ],
        }
    ],
}


@pytest.fixture
async def anna(client: Client) -> Client:
    await client.put(ANNA)
    return client


@pytest.mark.parametrize("patch", [DEACTIVATE, BY_PATH])
async def test_a_patch_makes_a_version(anna: Client, patch: Json) -> None:
    answer = await anna.ask("PATCH", "Patient/anna", patch=patch)
    assert (answer.status, answer.version) == (200, 2)
    patched = await anna.get("Patient/anna")
    assert patched["active"] is False
    assert patched["name"] == ANNA["name"]
    history = await anna.get("Patient/anna/_history")
    assert history["entry"][0]["request"]["method"] == "PATCH"


async def test_a_patch_that_changes_nothing_makes_no_version(anna: Client) -> None:
    for patch in ([], [{"op": "test", "path": "/active", "value": True}]):
        answer = await anna.ask("PATCH", "Patient/anna", patch=patch)
        assert (answer.status, answer.version) == (200, 1)


async def test_the_digits_of_decimals_stay(client: Client) -> None:
    url = "Observation/o"
    sent = decode(
        b'{"resourceType":"Observation","id":"o","status":"final","code":{"text":"x"},'
        b'"valueQuantity":{"value":1.50}}'
    )
    await client.ask("PUT", url, resource=sent)
    patch = decode(
        b'[{"op":"add","path":"/component","value":[{"code":{"text":"y"},'
        b'"valueQuantity":{"value":2.000}}]}]'
    )
    answer = await client.ask("PATCH", url, patch=patch)
    assert answer.body is not None
    assert b'"value":1.50' in answer.body
    assert b'"value":2.000' in answer.body


async def test_a_failed_test_changes_nothing(anna: Client) -> None:
    patch = [*DEACTIVATE, {"op": "test", "path": "/active", "value": True}]
    with pytest.raises(Unprocessable):
        await anna.ask("PATCH", "Patient/anna", patch=patch)
    assert (await anna.ask("GET", "Patient/anna")).version == 1


@pytest.mark.parametrize(
    ("patch", "expression"),
    [
        ([{"op": "add", "path": "/birthDate", "value": "soon"}], "Patient.birthDate"),
        ([{"op": "add", "path": "/gendre", "value": "male"}], "Patient.gendre"),
        ([{"op": "replace", "path": "/name", "value": "A"}], "Patient.name"),
    ],
)
async def test_the_result_must_be_valid(anna: Client, patch: Json, expression: str) -> None:
    with pytest.raises(Unprocessable) as error:
        await anna.ask("PATCH", "Patient/anna", patch=patch)
    assert [issue.expression for issue in error.value.issues] == [expression]


@pytest.mark.parametrize(
    "patch",
    [
        [{"op": "replace", "path": "/id", "value": "bert"}],
        [{"op": "remove", "path": "/id"}],
        [{"op": "replace", "path": "/resourceType", "value": "Person"}],
        [{"op": "remove", "path": "/resourceType"}],
        [{"op": "replace", "path": "", "value": {"resourceType": "Patient"}}],
        [{"op": "replace", "path": "", "value": 5}],
        [{"op": "replace", "path": "", "value": []}],
    ],
)
async def test_identity_and_type_stay(anna: Client, patch: Json) -> None:
    with pytest.raises(FhirError) as error:
        await anna.ask("PATCH", "Patient/anna", patch=patch)
    assert error.value.status in (400, 422)
    assert (await anna.ask("GET", "Patient/anna")).version == 1


async def test_the_version_and_instant_are_the_servers(anna: Client) -> None:
    patch = [
        {"op": "replace", "path": "/meta/versionId", "value": "9"},
        {"op": "replace", "path": "/meta/lastUpdated", "value": "2001-01-01T00:00:00Z"},
        {"op": "add", "path": "/meta/tag", "value": [{"code": "t"}]},
    ]
    await anna.ask("PATCH", "Patient/anna", patch=patch)
    meta = (await anna.get("Patient/anna"))["meta"]
    assert meta["versionId"] == "2"
    assert meta["lastUpdated"] > "2026"
    assert meta["tag"] == [{"code": "t"}]


async def test_what_a_patch_empties_goes_away(anna: Client) -> None:
    await anna.ask("PATCH", "Patient/anna", patch=[{"op": "remove", "path": "/name/0/family"}])
    assert "name" not in await anna.get("Patient/anna")


async def test_deep_nesting_is_refused(anna: Client) -> None:
    grow = [{"op": "copy", "from": "", "path": "/contained"}] * 300
    with pytest.raises(FhirError) as error:
        await anna.ask("PATCH", "Patient/anna", patch=grow)
    assert error.value.status < 500


@pytest.mark.parametrize("patch", [None, "x", 5, {}, {"resourceType": "Patient"}, [1], [{}]])
async def test_what_is_no_patch_is_invalid(anna: Client, patch: Json) -> None:
    with pytest.raises(Invalid):
        await anna.ask("PATCH", "Patient/anna", patch=patch)


async def test_there_must_be_something_to_patch(anna: Client) -> None:
    with pytest.raises(NotFound):
        await anna.ask("PATCH", "Patient/nobody", patch=DEACTIVATE)
    await anna.delete("Patient/anna")
    with pytest.raises(NotFound):
        await anna.ask("PATCH", "Patient/anna", patch=DEACTIVATE)


async def test_if_match_must_name_the_version(anna: Client) -> None:
    with pytest.raises(PreconditionFailed):
        await anna.ask("PATCH", "Patient/anna", patch=DEACTIVATE, if_match='W/"2"')
    answer = await anna.ask("PATCH", "Patient/anna", patch=DEACTIVATE, if_match='W/"1"')
    assert answer.version == 2


# --- narrative ----------------------------------------------------------------------------------


def told(status: str) -> Resource:
    div = '<div xmlns="http://www.w3.org/1999/xhtml">Anna, active</div>'
    return ANNA | {"text": {"status": status, "div": div}}


async def test_a_generated_narrative_does_not_outlive_the_data_it_tells(client: Client) -> None:
    await client.put(told("generated"))
    await client.ask("PATCH", "Patient/anna", patch=DEACTIVATE)
    assert "text" not in await client.get("Patient/anna")


async def test_a_narrative_stays_that_is_patched_or_not_generated(client: Client) -> None:
    await client.put(told("generated"))
    tag = [{"op": "add", "path": "/meta/tag", "value": [{"code": "t"}]}]
    await client.ask("PATCH", "Patient/anna", patch=tag)
    assert "text" in await client.get("Patient/anna")
    div = '<div xmlns="http://www.w3.org/1999/xhtml">Anna, not active</div>'
    both = [*DEACTIVATE, {"op": "replace", "path": "/text/div", "value": div}]
    await client.ask("PATCH", "Patient/anna", patch=both)
    assert (await client.get("Patient/anna"))["text"]["div"] == div
    await client.put(told("additional"))
    await client.ask("PATCH", "Patient/anna", patch=DEACTIVATE)
    assert "text" in await client.get("Patient/anna")


# --- conditional --------------------------------------------------------------------------------


async def test_one_match_is_patched(anna: Client) -> None:
    answer = await anna.ask("PATCH", "Patient?active=true", patch=DEACTIVATE)
    assert (answer.status, answer.id, answer.version) == (200, "anna", 2)


async def test_no_match_is_not_found(anna: Client) -> None:
    with pytest.raises(NotFound):
        await anna.ask("PATCH", "Patient?active=false", patch=DEACTIVATE)


async def test_several_matches_are_refused(anna: Client) -> None:
    await anna.put(ANNA | {"id": "bert"})
    with pytest.raises(MultipleMatches):
        await anna.ask("PATCH", "Patient?active=true", patch=DEACTIVATE)


async def test_a_conditional_patch_needs_a_condition_and_the_version(anna: Client) -> None:
    with pytest.raises(Invalid):
        await anna.ask("PATCH", "Patient", patch=DEACTIVATE)
    with pytest.raises(PreconditionFailed):
        await anna.ask("PATCH", "Patient?active=true", patch=DEACTIVATE, if_match='W/"7"')
