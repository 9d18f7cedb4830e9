"""$expunge: what goes for good, at each level, and what does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from interactions.client import Client

from fhirserver.definitions.packaged import packaged
from fhirserver.errors import Conflict, Invalid, MethodNotAllowed, NotFound
from fhirserver.interactions.capabilities import statement
from fhirserver.interactions.context import Policy
from fhirserver.model.json import Resource
from fhirserver.operations.table import OPERATIONS, offered
from fhirserver.search.index import Indexer

ANNA: Resource = {"resourceType": "Patient", "id": "anna"}
BERT: Resource = {"resourceType": "Patient", "id": "bert"}
GROUP: Resource = {"resourceType": "Group", "id": "g", "type": "person", "actual": True}


def refers(id: str, url: str) -> Resource:
    extension = [{"url": "http://x", "valueReference": {"reference": url}}]
    return {"resourceType": "Basic", "id": id, "code": {"text": "x"}, "extension": extension}


async def expunge(client: Client, url: str, limit: int | None = None, **flags: bool) -> int:
    """The count; flags are `deleted`, `previous` and `everything`."""
    parameters: list[Resource] = [
        {"name": NAMES[name], "valueBoolean": value} for name, value in flags.items()
    ]
    if limit is not None:
        parameters.append({"name": "limit", "valueInteger": limit})
    (out,) = (await client.call(f"{url}/$expunge".lstrip("/"), *parameters))["parameter"]
    assert out["name"] == "count"
    count: int = out["valueInteger"]
    return count


NAMES = {
    "deleted": "expungeDeletedResources",
    "previous": "expungePreviousVersions",
    "everything": "expungeEverything",
}


async def total(client: Client) -> int:
    history: dict[str, Any] = await client.get("_history")
    found: int = history["total"]
    return found


@pytest.fixture
async def told(client: Client) -> Client:
    """anna in her third version; bert deleted; a group in its first."""
    for gender in ("male", "female", "other"):
        await client.put(ANNA | {"gender": gender})
    await client.put(BERT, GROUP)
    await client.delete("Patient/bert")
    return client


async def test_previous_versions_go_and_the_current_one_stays(told: Client) -> None:
    assert await expunge(told, "Patient/anna", previous=True) == 2
    history = await told.get("Patient/anna/_history")
    (only,) = history["entry"]
    assert only["resource"]["meta"]["versionId"] == "3"
    with pytest.raises(NotFound):
        await told.get("Patient/anna/_history/1")
    assert await expunge(told, "Patient/anna", previous=True) == 0


async def test_a_deleted_resource_goes_whole(told: Client) -> None:
    assert await expunge(told, "Patient/bert", previous=True) == 0
    assert await expunge(told, "Patient/bert", deleted=True) == 2
    for url in ("Patient/bert", "Patient/bert/_history", "Patient/bert/_history/1"):
        with pytest.raises(NotFound):
            await told.get(url)
    with pytest.raises(NotFound):
        await expunge(told, "Patient/bert", deleted=True)
    await told.put(BERT)
    assert (await told.get("Patient/bert"))["meta"]["versionId"] == "1"


async def test_what_is_not_deleted_stays_unless_everything_is_to_go(told: Client) -> None:
    assert await expunge(told, "Group/g", deleted=True, previous=True) == 0
    assert await expunge(told, "Group/g", everything=True) == 2  # with its deletion
    with pytest.raises(NotFound):
        await told.get("Group/g")


@pytest.mark.parametrize(
    ("url", "left", "counts"),
    [("Patient", 1, {"Group": 1}), ("", 0, {})],
    ids=["type", "system"],
)
async def test_everything_goes_step_by_step(
    told: Client, url: str, left: int, counts: dict[str, int]
) -> None:
    gone = []
    while not gone or gone[-1] == 2:
        gone.append(await expunge(told, url, everything=True, limit=2))
    assert await total(told) == left
    assert await told.context.store.counts() == counts


async def test_what_others_refer_to_is_not_expunged(told: Client) -> None:
    await told.put(refers("b", "Patient/anna"), refers("c", "Basic/b"))
    for url in ("Patient/anna", "Patient", "Basic/b"):
        with pytest.raises(Conflict, match="Basic/"):
            await expunge(told, url, everything=True)
    assert await expunge(told, "Basic", everything=True) == 4
    assert await expunge(told, "Patient/anna", everything=True) == 4


async def test_integrity_can_be_switched_off(told: Client) -> None:
    await told.put(refers("b", "Patient/anna"))
    policy = Policy(integrity_on_delete=False)
    lax = Client(replace(told.context, policy=policy), OPERATIONS)
    assert await expunge(lax, "Patient", everything=True) == 6
    assert (await told.get("Basic"))["total"] == 1


async def test_everything_of_the_system_goes_whoever_refers(told: Client) -> None:
    await told.put(refers("b", "Patient/anna"), refers("c", "Basic/b"))
    await expunge(told, "", everything=True)
    assert await total(told) == 0


@pytest.mark.parametrize("limit", [0, -1, 10_001])
async def test_a_limit_out_of_range_is_refused(told: Client, limit: int) -> None:
    with pytest.raises(Invalid):
        await expunge(told, "", deleted=True, limit=limit)


async def test_nothing_asked_for_is_refused(told: Client) -> None:
    for flags in ({}, {"deleted": False, "previous": False}):
        with pytest.raises(Invalid):
            await expunge(told, "", **flags)
    assert await total(told) == 6


async def test_it_is_no_read(told: Client) -> None:
    with pytest.raises(MethodNotAllowed):
        await told.ask("GET", "Patient/anna/$expunge?expungePreviousVersions=true")


async def test_a_page_link_given_before_goes_on(told: Client) -> None:
    await told.put(*(BERT | {"id": f"p{number}"} for number in range(6)))
    page = await told.get("Patient?_count=3")
    (after,) = (item["url"] for item in page["link"] if item["relation"] == "next")
    await told.delete("Patient/p5")
    await expunge(told, "", deleted=True, previous=True)
    await told.put(BERT | {"id": "new"})
    rest = [entry["resource"]["id"] for entry in (await told.get(after))["entry"]]
    assert rest == ["p2", "p3", "p4"]


async def test_it_is_offered_only_where_that_is_set(told: Client) -> None:
    rows = offered(expunges=False)
    assert set(OPERATIONS) - set(rows) == {row for row in OPERATIONS if row.code == "expunge"}
    with pytest.raises(NotFound):
        await expunge(Client(told.context, rows), "", deleted=True)
    for some in (rows, offered(expunges=True)):
        (rest,) = statement(packaged(), Indexer(packaged()), Policy(), some)["rest"]
        listed = "expunge" in [item["name"] for item in rest["operation"]]
        assert listed is (some == OPERATIONS)


async def test_all_of_a_type_go_page_by_page(told: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fhirserver.operations.expunge._PAGE", 2)
    await told.put(*(refers(f"b{number}", "Group/x") for number in range(5)))
    assert await expunge(told, "Basic", everything=True) == 10
    assert (await told.get("Basic"))["total"] == 0
