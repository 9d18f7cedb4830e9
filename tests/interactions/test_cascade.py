"""`_cascade=delete`: what refers to a resource goes with it, all of it or nothing."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from interactions.bundles import entry, transaction
from interactions.client import Client

from fhirserver.errors import Conflict, FhirError, Gone, Invalid, TooCostly
from fhirserver.interactions.context import Policy
from fhirserver.model.json import Resource, decode
from fhirserver.store.port import HistoryQuery

ANNA: Resource = {"resourceType": "Patient", "id": "anna", "active": True}
BERT: Resource = {"resourceType": "Patient", "id": "bert", "active": True}


def basic(id: str, *references: str) -> Resource:
    extension = [{"url": "http://x", "valueReference": {"reference": url}} for url in references]
    out: Resource = {"resourceType": "Basic", "id": id, "code": {"text": "x"}}
    return out | ({"extension": extension} if references else {})


def told(body: bytes | None) -> list[str]:
    """The texts of an outcome."""
    outcome: dict[str, Any] = decode(body or b"")
    assert outcome["resourceType"] == "OperationOutcome"
    return [issue["details"]["text"] for issue in outcome["issue"]]


def policy(client: Client, **rules: Any) -> Client:
    return Client(replace(client.context, policy=Policy(**rules)))


@pytest.fixture
async def chart(client: Client) -> Client:
    """Anna, what refers to her in three steps, a circle, and what has nothing to do with her."""
    await client.put(
        ANNA,
        BERT,
        basic("a", "Patient/anna"),
        basic("b", "Basic/a", "Patient/bert"),
        basic("c", "Basic/b/_history/1", "Basic/d"),
        basic("e", "Patient/bert"),
    )
    await client.put(basic("d", "Basic/c"))
    return client


async def test_what_refers_goes_along_transitively_in_one_commit(chart: Client) -> None:
    answer = await chart.ask("DELETE", "Patient/anna?_cascade=delete")
    assert (answer.status, answer.id, answer.version) == (200, "anna", 2)
    texts = told(answer.body)
    assert "Patient/anna" in texts[0]
    assert sorted(texts[1:]) == [f"Basic/{id} is deleted." for id in "abcd"]
    page = await chart.context.store.history(HistoryQuery(count=5))
    assert {version.method for version in page.versions} == {"DELETE"}
    assert len({version.last_updated for version in page.versions}) == 1
    assert await chart.context.store.counts() == {"Patient": 1, "Basic": 1}
    with pytest.raises(Gone):
        await chart.get("Basic/d")


async def test_without_it_nothing_goes_and_the_refusal_names_who_refers(chart: Client) -> None:
    with pytest.raises(Conflict, match="Basic/a") as error:
        await chart.delete("Patient/anna")
    assert "_cascade=delete" in error.value.text


async def test_more_than_the_bound_is_refused_and_nothing_is_deleted(chart: Client) -> None:
    for most in (0, 3):
        with pytest.raises(TooCostly):
            await policy(chart, max_cascaded_deletes=most).delete("Patient/anna?_cascade=delete")
    assert await chart.context.store.counts() == {"Patient": 2, "Basic": 5}
    enough = policy(chart, max_cascaded_deletes=4)
    assert (await enough.ask("DELETE", "Patient/anna?_cascade=delete")).status == 200


async def test_where_nothing_refers_only_that_one_goes(client: Client) -> None:
    await client.put(ANNA)
    rather_none = policy(client, max_cascaded_deletes=0)
    answer = await rather_none.ask("DELETE", "Patient/anna?_cascade=delete")
    assert len(told(answer.body)) == 1
    again = await client.ask("DELETE", "Patient/anna?_cascade=delete")
    assert again.status == 200


async def test_a_return_preference_goes_before(chart: Client) -> None:
    answer = await chart.ask("DELETE", "Patient/anna?_cascade=delete", prefer="minimal")
    assert (answer.status, answer.body) == (204, None)
    answer = await chart.ask("DELETE", "Patient/bert?_cascade=delete", prefer="OperationOutcome")
    assert told(answer.body)[1:] == ["Basic/e is deleted."]


@pytest.mark.parametrize(
    "query", ["_cascade=none", "_cascade=", "_cascade=delete&_cascade=delete", "cascade=delete"]
)
async def test_other_ways_to_ask_are_refused(chart: Client, query: str) -> None:
    with pytest.raises(Invalid):
        await chart.ask("DELETE", f"Patient/anna?{query}")


async def test_a_version_that_was_asked_for_must_still_be_current(chart: Client) -> None:
    with pytest.raises(FhirError):
        await chart.ask("DELETE", "Patient/anna?_cascade=delete", if_match='W/"2"')
    assert await chart.context.store.counts() == {"Patient": 2, "Basic": 5}


async def test_a_conditional_delete_cascades(chart: Client) -> None:
    with pytest.raises(Conflict):
        await chart.ask("DELETE", "Patient?_id=anna")
    answer = await chart.ask("DELETE", "Patient?_id=anna&_cascade=delete")
    assert (answer.status, answer.id, len(told(answer.body))) == (200, "anna", 5)
    with pytest.raises(Invalid):
        await chart.ask("DELETE", "Patient?_cascade=delete")


async def test_a_conditional_delete_of_many_cascades(chart: Client) -> None:
    many = policy(chart, conditional_delete="multiple")
    answer = await many.ask("DELETE", "Patient?active=true&_cascade=delete")
    assert len(told(answer.body)) == 1 + 5
    assert await chart.context.store.counts() == {}


async def test_an_entry_of_a_batch_cascades(chart: Client) -> None:
    bundle = transaction(entry("DELETE", "Patient/anna?_cascade=delete")) | {"type": "batch"}
    answer = await chart.ask("POST", "", resource=bundle)
    (only,) = decode(answer.body or b"")["entry"]
    assert len(only["response"]["outcome"]["issue"]) == 5
    assert await chart.context.store.counts() == {"Patient": 1, "Basic": 1}


async def test_an_entry_of_a_transaction_cascades(chart: Client) -> None:
    bundle = transaction(
        entry("PUT", "Basic/b", basic("b", "Patient/bert")),  # refers to her no longer: it stays
        entry("DELETE", "Patient/anna?_cascade=delete"),
        entry("POST", "Basic", basic("new")),
    )
    answer = await chart.ask("POST", "", resource=bundle)
    _, deleted, _ = decode(answer.body or b"")["entry"]
    assert deleted["response"]["status"].startswith("204")
    texts = [issue["details"]["text"] for issue in deleted["response"]["outcome"]["issue"]]
    assert texts[1:] == ["Basic/a is deleted."]
    assert await chart.context.store.counts() == {"Patient": 1, "Basic": 5}


async def test_two_entries_of_a_transaction_take_the_same_along_once(chart: Client) -> None:
    bundle = transaction(
        entry("DELETE", "Patient/anna?_cascade=delete"),
        entry("DELETE", "Patient?_id=bert&_cascade=delete"),
    )
    await chart.ask("POST", "", resource=bundle)
    assert await chart.context.store.counts() == {}


async def test_what_goes_along_counts_as_a_part_of_the_transaction(chart: Client) -> None:
    bundle = transaction(
        entry("DELETE", "Patient/anna?_cascade=delete"),
        entry("DELETE", "Patient/bert?_cascade=delete"),
    )
    with pytest.raises(TooCostly, match="too much at once"):
        await policy(chart, max_bundle_entries=6).ask("POST", "", resource=bundle)
    assert await chart.context.store.counts() == {"Patient": 2, "Basic": 5}
    await policy(chart, max_bundle_entries=7).ask("POST", "", resource=bundle)


async def test_an_entry_that_still_refers_to_what_goes_is_a_conflict(chart: Client) -> None:
    bundle = transaction(
        entry("PUT", "Basic/a", basic("a", "Patient/anna", "Patient/bert")),
        entry("DELETE", "Patient/anna?_cascade=delete"),
    )
    with pytest.raises(Conflict, match="Basic/a"):
        await chart.ask("POST", "", resource=bundle)
    assert await chart.context.store.counts() == {"Patient": 2, "Basic": 5}


async def test_what_comes_to_refer_meanwhile_goes_along_or_is_refused(client: Client) -> None:
    strict = policy(client, integrity_on_write=True)
    await strict.put(ANNA)

    async def add(number: int) -> bool:
        try:
            await strict.put(basic(f"b{number}", "Patient/anna"))
        except FhirError:
            return False
        return True

    adding = [asyncio.create_task(add(number)) for number in range(20)]
    await asyncio.sleep(0.01)
    answer = await strict.ask("DELETE", "Patient/anna?_cascade=delete")
    await asyncio.gather(*adding)
    assert answer.status == 200
    assert await client.context.store.counts() == {}
