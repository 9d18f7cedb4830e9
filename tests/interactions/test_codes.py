"""Searches by value sets and hierarchies that are stored."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from interactions.client import Client, open_context

from fhirserver.errors import Invalid, TooCostly
from fhirserver.interactions import codes
from fhirserver.model.json import Resource
from fhirserver.operations.table import OPERATIONS
from fhirserver.search.codes import Codes
from fhirserver.search.compile import compile_criteria
from fhirserver.search.match import Document, match

URL = "http://example.org/animals"
SET = "http://example.org/vs"
ANIMALS = {
    "resourceType": "CodeSystem",
    "id": "animals",
    "url": URL,
    "status": "active",
    "content": "complete",
    "hierarchyMeaning": "is-a",
    "concept": [
        {
            "code": "animal",
            "concept": [{"code": "dog", "concept": [{"code": "poodle"}]}, {"code": "cat"}],
        }
    ],
}
DOGS = {"system": URL, "filter": [{"property": "concept", "op": "is-a", "value": "dog"}]}
OBSERVED = {"a": "dog", "b": "poodle", "c": "cat", "d": "animal"}
QUERIES = {
    f"code:in={SET}/dogs": "ab",
    f"code:in={SET}/dogs,{SET}/cats": "abc",
    f"code:not-in={SET}/dogs": "cd",
    f"code:below={URL}|dog": "ab",
    f"code:above={URL}|dog": "ad",
    f"code:below={URL}|animal": "abcd",
    f"_filter=code in {SET}/dogs": "ab",
    f"code:in={SET}/cats&code:above={URL}|cat": "c",
}


def value_set(id: str, *includes: dict[str, Any], **more: Any) -> Resource:
    return {
        "resourceType": "ValueSet",
        "id": id,
        "url": f"{SET}/{id}",
        "status": "active",
        "compose": {"include": list(includes)} | more,
    }


def observation(id: str, code: str) -> Resource:
    return {
        "resourceType": "Observation",
        "id": id,
        "status": "final",
        "subject": {"reference": "Patient/p"},
        "code": {"coding": [{"system": URL, "code": code}]},
    }


@pytest.fixture
async def client(each_store: str, tmp_path: Path) -> AsyncIterator[Client]:
    async with open_context(tmp_path / "fhir.db") as context:
        client = Client(context, OPERATIONS)
        cats = {"system": URL, "concept": [{"code": "cat"}]}
        await put(client, ANIMALS, value_set("dogs", DOGS), value_set("cats", cats))
        await put(client, {"resourceType": "Patient", "id": "p"})
        await put(client, *(observation(id, code) for id, code in OBSERVED.items()))
        yield client


async def put(client: Client, *resources: Resource) -> None:
    for resource in resources:
        url = f"{resource['resourceType']}/{resource['id']}"
        await client.ask("PUT", url, resource=resource)


async def found(client: Client, query: str) -> str:
    bundle = await client.get(query)
    return "".join(sorted(entry["resource"]["id"] for entry in bundle.get("entry", ())))


@pytest.mark.parametrize(("query", "ids"), QUERIES.items())
async def test_they_find_what_they_stand_for(client: Client, query: str, ids: str) -> None:
    assert await found(client, f"Observation?{query}") == ids


@pytest.mark.parametrize(("query", "ids"), QUERIES.items())
async def test_they_mean_the_same_of_one_resource(client: Client, query: str, ids: str) -> None:
    context = client.context
    pairs = tuple((name, value) for name, _, value in (p.partition("=") for p in query.split("&")))

    def compile(known: Codes) -> Any:
        return compile_criteria(context.definitions, "Observation", pairs, now=0, codes=known)

    where = await codes.with_codes(context, compile)
    hit = [
        id
        for id, code in OBSERVED.items()
        if match(
            where,
            Document("Observation", id, 0, context.indexer.entries(observation(id, code))),
        )
    ]
    assert "".join(hit) == ids


async def test_they_are_followed_by_chains(client: Client) -> None:
    assert await found(client, f"Patient?_has:Observation:subject:code:in={SET}/dogs") == "p"
    assert await found(client, f"Patient?_has:Observation:subject:code:below={URL}|poodle") == "p"


async def test_what_is_written_counts_at_once(client: Client) -> None:
    cats = {"system": URL, "concept": [{"code": "cat"}, {"code": "poodle"}]}
    await put(client, value_set("cats", cats))
    assert await found(client, f"Observation?code:in={SET}/cats") == "bc"


async def test_conditions_know_them(client: Client) -> None:
    answer = await client.ask(
        "POST",
        "Observation",
        resource=observation("x", "cat"),
        if_none_exist=(("code:in", f"{SET}/cats"),),
    )
    assert answer.status == 200


async def test_what_r4_has_is_known_beside_them(client: Client) -> None:
    await put(client, {"resourceType": "Patient", "id": "q", "gender": "male"})
    gender = "http://hl7.org/fhir/ValueSet/administrative-gender"
    assert await found(client, f"Patient?gender:in={gender}") == "q"


@pytest.mark.parametrize(
    ("query", "text"),
    [
        (f"code:in={SET}/none", "not known here"),
        (f"code:in={SET}/lost", "http://example.org/lost"),
        (f"code:in={SET}/circle", "circle"),
        (f"code:below={URL}|unicorn", "unicorn"),
        ("code:below=http://example.org/lost|x", "not known here"),
    ],
)
async def test_what_cannot_be_told_is_refused(client: Client, query: str, text: str) -> None:
    await put(client, value_set("lost", {"system": "http://example.org/lost"}))
    await put(client, value_set("circle", {"valueSet": [f"{SET}/circle"]}))
    with pytest.raises(Invalid, match=text):
        await found(client, f"Observation?{query}")


async def test_too_many_codes_are_refused(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codes, "MAX_CODES", 3)
    for query in (f"code:below={URL}|animal", f"code:in={SET}/all"):
        await put(client, value_set("all", {"system": URL}))
        with pytest.raises(TooCostly, match="more than 3 codes"):
            await found(client, f"Observation?{query}")


async def test_too_many_value_sets_are_refused(client: Client) -> None:
    asked = "&".join(f"code:in={SET}/dogs,{SET}/cats,{SET}/v{n}" for n in range(20))
    for n in range(20):
        await put(client, value_set(f"v{n}", DOGS))
    with pytest.raises(TooCostly, match="at most 20"):
        await found(client, f"Observation?{asked}")
