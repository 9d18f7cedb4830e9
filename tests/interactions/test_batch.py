"""batch: https://hl7.org/fhir/R4/http.html#brules."""

from dataclasses import replace

import pytest
from interactions.bundles import address, batch, entry, send, statuses
from interactions.client import BASE, Client

from fhirserver.access.grant import OPEN
from fhirserver.errors import FhirError, Invalid, TooLarge, Unprocessable
from fhirserver.interactions.context import Policy
from fhirserver.interactions.request import Request
from fhirserver.model.json import Json, Resource

ANNA: Resource = {"resourceType": "Patient", "id": "anna", "active": True}
NEW: Resource = {"resourceType": "Patient", "active": True}


async def test_each_entry_has_its_answer_in_the_order_of_the_request(client: Client) -> None:
    await client.put(ANNA, ANNA | {"id": "gone"})
    answers = await send(
        client,
        batch(
            entry("GET", "Patient/anna"),
            entry("POST", "Patient", NEW),
            entry("PUT", "Patient/anna", ANNA | {"active": False}, ifMatch='W/"1"'),
            entry("DELETE", "Patient/gone"),
            entry("GET", "Patient?active=true"),
            entry("HEAD", "Patient/anna"),
            entry("GET", "metadata"),
        ),
    )
    assert statuses(answers) == ["200", "201", "200", "204", "200", "200", "200"]
    read, created, updated, deleted, search, head, metadata = answers
    assert read["resource"]["active"] is False  # reads come last
    assert created["response"]["status"] == "201 Created"
    assert created["response"]["location"].endswith("/_history/1")
    assert created["response"]["etag"] == 'W/"1"'
    assert created["response"]["lastModified"]
    assert updated["response"]["etag"] == 'W/"2"'
    assert deleted["response"]["etag"] == 'W/"2"'
    assert search["resource"]["total"] == 1
    assert "resource" not in head
    assert metadata["resource"]["resourceType"] == "CapabilityStatement"


async def test_writes_give_the_resource_to_whom_prefers_it(client: Client) -> None:
    (silent,) = await send(client, batch(entry("POST", "Patient", NEW)))
    assert "resource" not in silent and "outcome" not in silent["response"]
    (full,) = await send(client, batch(entry("POST", "Patient", NEW)), prefer="representation")
    assert full["resource"]["active"] is True
    (told,) = await send(client, batch(entry("POST", "Patient", NEW)), prefer="OperationOutcome")
    assert "resource" not in told
    assert told["response"]["outcome"]["resourceType"] == "OperationOutcome"
    assert told["response"]["status"] == "201 Created"


async def test_an_entry_that_fails_fails_alone(client: Client) -> None:
    answers = await send(
        client,
        batch(
            entry("POST", "Patient", {"resourceType": "Patient", "gendre": "x"}),
            entry("POST", "Patient", NEW),
            entry("GET", "Patient/nobody"),
            entry("GET", "Patient?nonsense=1"),
            entry("PATCH", "Nothing/1", []),
            entry("POST", "Patient/_history", NEW),
            entry("PUT", "Patient/a_b", NEW),
            entry("POST", "/", batch()),
            entry("POST", "Patient"),
            entry("DELETE", "Patient", NEW),
            entry("GET", "Patient/$everything"),
        ),
    )
    assert statuses(answers) == [
        "422", "201", "404", "400", "404", "405", "400", "400", "400", "400", "404",
    ]  # fmt: skip
    for index, item in enumerate(answers):
        if index != 1:
            for issue in item["response"]["outcome"]["issue"]:
                assert issue["expression"][0].startswith(f"Bundle.entry[{index}]")
    invalid = answers[0]["response"]["outcome"]["issue"][0]
    assert invalid["expression"] == ["Bundle.entry[0].resource.gendre"]
    assert await client.context.store.counts() == {"Patient": 1}


@pytest.mark.parametrize(
    "bad",
    [
        5,
        "x",
        [],
        {},
        {"request": {}},
        {"request": {"method": "GET"}},
        {"request": {"method": "get", "url": "Patient/anna"}},
        {"request": {"method": "GET", "url": 5}},
        {"request": {"method": "GET", "url": "Patient?a=%zz"}},
        {"request": {"method": "GET", "url": "Patient/anna", "ifNoneMatch": 1}},
        {"request": {"method": "TRACE", "url": "Patient/anna"}},
        {"request": {"method": "GET", "url": "Patient/anna"}, "unknown": 1},
    ],
)
@pytest.mark.parametrize("validation", ["reject", "off"])
async def test_a_malformed_entry_fails_alone(client: Client, bad: Json, validation: str) -> None:
    policy = replace(client.context.policy, validation=validation)
    client = Client(replace(client.context, policy=policy))
    good = entry("POST", "Patient", NEW)
    first, second = await send(client, batch(bad, good))
    assert second["response"]["status"] == "201 Created"
    if not (validation == "off" and isinstance(bad, dict) and "unknown" in bad):
        assert first["response"]["status"][0] == "4"


@pytest.mark.parametrize("more", [{"entry": {}}, {"entry": 5}, {"entries": []}, {"entry": []}])
async def test_a_malformed_bundle_is_refused(client: Client, more: Json) -> None:
    bundle = {"resourceType": "Bundle", "type": "batch"} | more
    with pytest.raises((Invalid, Unprocessable)):
        await send(client, bundle)


async def test_a_bundle_has_a_limit(client: Client) -> None:
    small = Client(replace(client.context, policy=Policy(max_bundle_entries=2)))
    assert await send(small, batch()) == []
    await send(small, batch(*[entry("GET", "Patient")] * 2))
    with pytest.raises(TooLarge):
        await send(small, batch(*[entry("GET", "Patient")] * 3))


async def test_urls_may_be_absolute(client: Client) -> None:
    await client.put(ANNA)
    answers = await send(
        client, batch(entry("GET", f"{BASE}/Patient/anna"), entry("GET", "/Patient/anna"))
    )
    assert statuses(answers) == ["200", "200"]
    (other,) = await send(client, batch(entry("GET", "http://elsewhere.org/fhir/Patient/anna")))
    assert statuses([other]) == ["404"]


async def test_conditional_entries_work_as_over_http(client: Client) -> None:
    known = NEW | {"identifier": [{"system": "s", "value": "1"}]}
    create = entry("POST", "Patient", known, ifNoneExist="identifier=s|1")
    answers = await send(client, batch(create, create, create))
    assert sorted(statuses(answers)) == ["200", "200", "201"]
    assert len({address(item) for item in answers}) == 1
    question = entry("POST", "Patient", known, ifNoneExist="?identifier=s%7C1")
    patch = {"resourceType": "Parameters"}
    read = entry("GET", address(answers[0]), ifNoneMatch='W/"1"')
    answers = await send(
        client, batch(question, entry("PATCH", "Patient?identifier=s|1", patch), read)
    )
    assert statuses(answers) == ["200", "200", "304"]
    answers = await send(
        client,
        batch(
            entry("PUT", "Patient?identifier=s|1", known | {"active": False}),
            entry("DELETE", "Patient?identifier=s|1", ifMatch='W/"9"'),
        ),
    )
    assert statuses(answers) == ["200", "412"]
    assert statuses(await send(client, batch(entry("DELETE", "Patient?identifier=s|1")))) == ["204"]


async def test_a_failure_of_the_server_stays_with_its_entry(client: Client) -> None:
    class Broken(RuntimeError):
        pass

    async def dispatch(request: Request) -> None:
        if request.id == "anna":
            raise Broken("anna is secret")
        return await client.gate.dispatch(request)

    from fhirserver.interactions import batch as interaction

    context = replace(client.context, dispatch=dispatch)
    bundle = batch(entry("GET", "Patient/anna"), entry("GET", "Patient"))
    answer = await interaction.run(context, Request("batch", BASE, resource=bundle, grant=OPEN))
    assert answer.body is not None
    assert b"500 Internal Server Error" in answer.body
    assert b"200 OK" in answer.body
    assert b"secret" not in answer.body


async def test_only_a_bundle_is_a_batch(client: Client) -> None:
    for body in (None, [], {}, ANNA, {"resourceType": "Bundle", "type": "message"}):
        with pytest.raises(FhirError):
            await client.gate.dispatch(Request("batch", BASE, resource=body, grant=OPEN))
