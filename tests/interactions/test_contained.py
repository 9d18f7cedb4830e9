"""Searches that look into contained resources, and what they give.

https://hl7.org/fhir/R4/search.html#contained
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from interactions.client import BASE, Client, ids, link

from fhirserver.errors import Invalid
from fhirserver.interactions.context import Context, Policy
from fhirserver.model.json import Resource

ACME = {"resourceType": "Organization", "id": "o1", "name": "Acme"}
FREE = {
    "resourceType": "Medication",
    "id": "free",
    "code": {"coding": [{"code": "x"}]},
    "manufacturer": {"reference": "Organization/north"},
}


def medication(id: str, code: str, **more: object) -> Resource:
    return {"resourceType": "Medication", "id": id, "code": {"coding": [{"code": code}]}} | more


def request(id: str, *contained: Resource, **more: object) -> Resource:
    whole: Resource = {
        "resourceType": "MedicationRequest",
        "id": id,
        "status": "active",
        "intent": "order",
        "subject": {"reference": "Patient/p"},
    }
    if contained:
        whole["contained"] = list(contained)
        first, *others = [{"reference": f"#{item['id']}"} for item in contained]
        whole["medicationReference"] = first
        if others:
            whole["supportingInformation"] = others
    return whole | more


@pytest.fixture
async def pharmacy(client: Client) -> Client:
    await client.put(
        {"resourceType": "Organization", "id": "north", "name": "North"},
        FREE,
        request("1", medication("m1", "x", manufacturer={"reference": "#o1"}), ACME),
        request("2", medication("m1", "y"), medication("m2", "x", manufacturer=north())),
        request("3", medicationReference={"reference": "Medication/free"}),
        request("4", medication("m1", "x"), medication("m2", "x")),
    )
    return client


def north() -> Resource:
    return {"reference": "Organization/north"}


def urls(found: Resource) -> list[str]:
    """Where the matches are, below the base."""
    return [
        entry["fullUrl"].removeprefix(f"{BASE}/")
        for entry in found.get("entry", ())
        if entry["search"]["mode"] == "match"
    ]


async def walk(client: Client, url: str | None) -> list[str]:
    found: list[str] = []
    while url:
        page = await client.get(url)
        found += urls(page)
        url = link(page, "next")
    return found


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("Medication?code=x", "Medication/free"),
        ("Medication?code=x&_contained=false&_containedType=contained", "Medication/free"),
        (
            "Medication?code=x&_contained=true",
            "MedicationRequest/1 MedicationRequest/2 MedicationRequest/4",
        ),
        (
            "Medication?code=x&_contained=both",
            "Medication/free MedicationRequest/1 MedicationRequest/2 MedicationRequest/4",
        ),
        (
            "Medication?code=x&_contained=true&_containedType=contained",
            "MedicationRequest/1#m1 MedicationRequest/2#m2 MedicationRequest/4#m1 "
            "MedicationRequest/4#m2",
        ),
        (
            "Medication?code=x&_containedType=contained&_contained=both&manufacturer.name=north",
            "Medication/free MedicationRequest/2#m2",
        ),
        ("Medication?_contained=true&_containedType=contained&_id=m2&code=y", ""),
        (
            "Medication?_contained=true&_containedType=contained&code=y",
            "MedicationRequest/2#m1",
        ),
        (
            "?_contained=true&_containedType=contained&_type=Organization,Medication&_id=o1,nobody",
            "MedicationRequest/1#o1",
        ),
        (
            "?_contained=true&_id=o1,m2",
            "MedicationRequest/1 MedicationRequest/2 MedicationRequest/4",
        ),
        (
            "MedicationRequest?medication.code=x",
            "MedicationRequest/1 MedicationRequest/3 MedicationRequest/4",
        ),
        ("MedicationRequest?medication.manufacturer.name=acme", "MedicationRequest/1"),
        ("MedicationRequest?medication._id=m1&medication.code=y", "MedicationRequest/2"),
    ],
)
async def test_what_contained_resources_are_found_by(
    pharmacy: Client, query: str, expected: str
) -> None:
    assert sorted(await walk(pharmacy, query)) == sorted(expected.split())
    assert sorted(await walk(pharmacy, f"{query}&_count=1")) == sorted(expected.split())
    found = await pharmacy.get(f"{query}&_total=accurate")
    assert found["total"] == len(expected.split())


async def test_a_contained_resource_alone_has_the_address_of_its_container(
    pharmacy: Client,
) -> None:
    found = await pharmacy.get("Medication?_contained=true&_containedType=contained&_id=m2&code=x")
    assert [entry["fullUrl"] for entry in found["entry"]] == [
        f"{BASE}/MedicationRequest/2#m2",
        f"{BASE}/MedicationRequest/4#m2",
    ]
    assert found["entry"][0]["resource"] == medication("m2", "x", manufacturer=north())
    assert {entry["search"]["mode"] for entry in found["entry"]} == {"match"}


async def test_a_container_comes_whole_and_once(pharmacy: Client) -> None:
    found = await pharmacy.get("Medication?_contained=true&code=x&_id=m1,m2")
    assert ids(found) == ["MedicationRequest/1", "MedicationRequest/2", "MedicationRequest/4"]
    assert found["entry"][2]["resource"] == await pharmacy.get("MedicationRequest/4")


async def test_order_is_that_of_what_is_returned(pharmacy: Client) -> None:
    alone = "Medication?_contained=both&_containedType=contained&_sort="
    assert await walk(pharmacy, f"{alone}-code,_id&_count=2") == [
        "MedicationRequest/2#m1",
        "MedicationRequest/1#m1",
        "MedicationRequest/2#m2",
        "MedicationRequest/4#m1",
        "MedicationRequest/4#m2",
        "Medication/free",
    ]
    assert await walk(pharmacy, "Medication?_contained=true&_sort=-_id&_count=1") == [
        "MedicationRequest/4",
        "MedicationRequest/2",
        "MedicationRequest/1",
    ]
    with pytest.raises(Invalid, match="of all types"):
        await pharmacy.get("Medication?_contained=true&_sort=code")


async def test_includes_of_contained_resources(pharmacy: Client) -> None:
    asked = "Medication?_contained=true&_containedType=contained&code=x"
    found = await pharmacy.get(f"{asked}&_include=Medication:manufacturer")
    assert ids(found, "include") == ["Organization/north"]
    found = await pharmacy.get(f"{asked}&_revinclude=MedicationRequest:medication")
    assert ids(found, "include") == ["MedicationRequest/1", "MedicationRequest/4"]
    found = await pharmacy.get(
        "Medication?_contained=true&code=x&_include=MedicationRequest:medication&_include=*"
    )
    assert ids(found, "include") == []


async def test_parts_of_a_contained_resource(pharmacy: Client) -> None:
    found = await pharmacy.get(
        "Medication?_contained=true&_containedType=contained&code=y&_elements=status"
    )
    (entry,) = found["entry"]
    assert (entry["resource"]["id"], "code" in entry["resource"]) == ("m1", False)
    found = await pharmacy.get("Medication?_contained=true&_summary=count")
    assert (found["total"], "entry" in found) == (3, False)


async def test_a_new_version_replaces_what_was_contained(pharmacy: Client) -> None:
    alone = "Medication?_contained=true&_containedType=contained"
    await pharmacy.put(request("4", medication("m2", "z"), medication("m3", "x")))
    assert await walk(pharmacy, f"{alone}&_id=m1") == [
        "MedicationRequest/1#m1",
        "MedicationRequest/2#m1",
    ]
    assert await walk(pharmacy, f"{alone}&code=z") == ["MedicationRequest/4#m2"]
    assert await walk(pharmacy, f"{alone}&_id=m3") == ["MedicationRequest/4#m3"]
    await pharmacy.delete("MedicationRequest/4")
    assert await walk(pharmacy, f"{alone}&_id=m2,m3") == ["MedicationRequest/2#m2"]
    await pharmacy.put(request("4", medication("m1", "w")))
    assert await walk(pharmacy, f"{alone}&code=w") == ["MedicationRequest/4#m1"]
    await pharmacy.put(request("4", medicationReference={"reference": "Medication/free"}))
    assert await walk(pharmacy, f"{alone}&code=w") == []


async def test_what_was_created_without_an_id_is_found_too(client: Client) -> None:
    sent = request("x", medication("m1", "new"))
    del sent["id"]
    answer = await client.ask("POST", "MedicationRequest", resource=sent)
    assert urls(await client.get("MedicationRequest?medication.code=new")) == [
        f"MedicationRequest/{answer.id}"
    ]
    assert urls(
        await client.get("Medication?code=new&_contained=true&_containedType=contained")
    ) == [f"MedicationRequest/{answer.id}#m1"]


async def test_contained_resources_are_not_counted_or_read_alone(pharmacy: Client) -> None:
    assert await pharmacy.context.store.counts() == {
        "Organization": 1,
        "Medication": 1,
        "MedicationRequest": 4,
    }
    every = [version.type async for version in pharmacy.context.store.scan()]
    assert sorted(set(every)) == ["Medication", "MedicationRequest", "Organization"]
    assert (await pharmacy.get("?_summary=count"))["total"] == 6


async def test_a_compartment_is_searched_for_whole_resources(pharmacy: Client) -> None:
    with pytest.raises(Invalid, match="whole resources"):
        await pharmacy.get("Patient/p/MedicationRequest?_contained=true")
    found = await pharmacy.get(
        "Patient/p/MedicationRequest?_contained=true&_type=MedicationRequest", handling="lenient"
    )
    assert len(ids(found)) == 4


async def test_walks_stay_exact_while_containers_change(pharmacy: Client) -> None:
    for order in ("", "&_sort=code", "&_sort=_lastUpdated"):
        first = await pharmacy.get(
            f"Medication?_contained=true&_containedType=contained&_count=2{order}"
        )
        seen = urls(first)
        changed = await pharmacy.get("MedicationRequest/4")
        await pharmacy.put(
            changed | {"note": [{"text": f"for {order}"}]}, request("9", medication("m", "x"))
        )
        await pharmacy.delete("MedicationRequest/9")
        seen += await walk(pharmacy, link(first, "next"))
        assert len(seen) == len(set(seen))
        assert {url for url in seen if not url.startswith("MedicationRequest/4")} == {
            "MedicationRequest/1#m1",
            "MedicationRequest/2#m1",
            "MedicationRequest/2#m2",
        }


async def test_an_id_that_cannot_be_one_is_found_as_it_is(context: Context) -> None:
    client = Client(replace(context, policy=Policy(validation="off")))
    await client.put(request("1", medication("a#b", "x"), medication("b", "y")))
    found = await client.get("Medication?_contained=true&_containedType=contained&_id=a%23b")
    assert [entry["resource"]["code"]["coding"] for entry in found["entry"]] == [[{"code": "x"}]]


async def test_many_of_one_container_are_found_alone(client: Client) -> None:
    many = [medication(f"m{n}", "x") for n in range(300)]
    await client.put(request("1", *many))
    found = await client.get("Medication?_contained=true&_containedType=contained&_count=300")
    assert [entry["resource"] for entry in found["entry"]] == many
