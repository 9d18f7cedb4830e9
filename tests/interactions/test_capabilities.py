"""The CapabilityStatement: what it says for each mode and policy. Its claims are called in
`tests/conformance/test_capability_claims.py`."""

from dataclasses import replace
from importlib.metadata import version

import pytest
from interactions.client import BASE, Client

from fhirserver.access.grant import OPEN
from fhirserver.definitions.packaged import packaged
from fhirserver.errors import Invalid
from fhirserver.interactions.context import Context, Policy
from fhirserver.interactions.request import Request
from fhirserver.validation.validate import validate


@pytest.mark.parametrize("mode", ["full", "normative", "terminology"])
async def test_each_mode_is_valid(client: Client, mode: str) -> None:
    issues = validate(await client.get(f"metadata?mode={mode}"))
    assert [issue for issue in issues if issue.is_error] == []


async def test_the_statement_is_of_this_server(client: Client) -> None:
    found = await client.get("metadata")
    assert found["kind"] == "instance"
    assert found["fhirVersion"] == "4.0.1"
    assert found["url"] == f"{BASE}/metadata"
    assert found["implementation"]["url"] == BASE
    assert found["software"]["version"] == version("fhirserver")


async def test_every_type_is_there_with_what_it_is_searched_by(context: Context) -> None:
    (rest,) = (await Client(context).get("metadata"))["rest"]
    assert {item["type"] for item in rest["resource"]} == packaged().resource_types
    for item in rest["resource"]:
        names = [param["name"] for param in item["searchParam"]]
        assert names == list(context.indexer.parameters(item["type"]))
        assert "_id" in names
    (patient,) = (item for item in rest["resource"] if item["type"] == "Patient")
    assert "Patient:general-practitioner" in patient["searchInclude"]
    assert "Observation:subject" in patient["searchRevInclude"]
    assert "Observation:focus" in patient["searchRevInclude"]  # which may refer to anything
    assert "Patient:general-practitioner" not in patient["searchRevInclude"]


async def test_full_is_the_default_and_asking_again_gives_the_same_bytes(client: Client) -> None:
    first = await client.ask("GET", "metadata")
    assert (await client.ask("GET", "metadata?mode=full")).body == first.body
    assert (await client.ask("GET", "metadata")).body == first.body


async def test_another_base_url_changes_the_addresses_only(client: Client) -> None:
    there = await client.gate.dispatch(
        Request("capabilities", 'https://else.where/"fhir"', grant=OPEN)
    )
    here = await client.ask("GET", "metadata")
    assert there.body is not None
    assert here.body is not None
    assert there.body.replace(rb"https://else.where/\"fhir\"", BASE.encode()) == here.body


async def test_normative_leaves_out_what_is_for_trial_use(client: Client) -> None:
    (rest,) = (await client.get("metadata?mode=normative"))["rest"]
    assert "security" not in rest
    assert set(rest["resource"][0]) == {"type", "profile", "interaction", "searchParam"}


async def test_terminology_is_another_resource(client: Client) -> None:
    found = await client.get("metadata?mode=terminology")
    assert found["resourceType"] == "TerminologyCapabilities"


@pytest.mark.parametrize("query", ["mode=other", "mode=full&mode=full", "nonsense=1"])
async def test_other_parameters_are_refused(client: Client, query: str) -> None:
    with pytest.raises(Invalid):
        await client.get(f"metadata?{query}")


@pytest.mark.parametrize(
    ("policy", "element", "expected"),
    [
        (Policy(update_create=False), "updateCreate", False),
        (Policy(), "updateCreate", True),
        (Policy(conditional_delete="multiple"), "conditionalDelete", "multiple"),
        (Policy(integrity_on_write=True), "referencePolicy", ["literal", "logical", "enforced"]),
        (Policy(integrity_on_write=False), "referencePolicy", ["literal", "logical"]),
    ],
)
async def test_flags_follow_the_policy(
    context: Context, policy: Policy, element: str, expected: object
) -> None:
    found = await Client(replace(context, policy=policy)).get("metadata")
    assert {str(item[element]) for item in found["rest"][0]["resource"]} == {str(expected)}
