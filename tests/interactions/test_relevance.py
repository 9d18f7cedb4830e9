"""The score of what is searched by words, and the order that it gives.

https://hl7.org/fhir/R4/search.html#score
"""

from __future__ import annotations

import pytest
from interactions.client import Client, ids, link

from fhirserver.errors import Invalid, TooCostly
from fhirserver.model.json import Resource

DIV = '<div xmlns="http://www.w3.org/1999/xhtml">{}</div>'


def patient(id: str, text: str, **more: object) -> Resource:
    narrative = {"status": "additional", "div": DIV.format(text)}
    return {"resourceType": "Patient", "id": id, "text": narrative} | more


@pytest.fixture
async def ward(client: Client) -> Client:
    await client.put(
        patient("long", "fever and cough since a week at least", birthDate="1970-01-01"),
        patient("both", "fever cough"),
        patient("one", "fever", birthDate="1980-01-01"),
        patient("other", "cold"),
        patient("more", "Fever, cough"),
    )
    return client


def scores(found: Resource) -> dict[str, float]:
    return {
        entry["resource"]["id"]: float(entry["search"]["score"])
        for entry in found["entry"]
        if entry["search"]["mode"] == "match"
    }


async def walk(client: Client, url: str | None) -> list[str]:
    found: list[str] = []
    while url:
        page = await client.get(url)
        found += ids(page)
        url = link(page, "next")
    return [one.removeprefix("Patient/") for one in found]


async def test_matches_of_words_have_a_score(ward: Client) -> None:
    found = await ward.get("Patient?_text=fever")
    assert scores(found) == {"long": 0.3536, "both": 0.7071, "one": 1.0, "more": 0.7071}
    assert scores(await ward.get("Patient?_text=fever cough&_id=both")) == {"both": 1.0}
    assert scores(await ward.get("Patient?_text=fever&_content=cough&_id=both")) == {"both": 0.7071}
    assert scores(await ward.get("Patient?_text=fever&_id=one&_summary=true")) == {"one": 1.0}


async def test_other_entries_have_none(ward: Client) -> None:
    await ward.put(
        {"resourceType": "Provenance", "id": "p", "target": [{"reference": "Patient/one"}]}
        | {"recorded": "2020-01-01T00:00:00Z", "agent": [{"who": {"display": "me"}}]}
    )
    found = await ward.get("Patient?_text=fever&_id=one&_revinclude=Provenance:target")
    assert ["score" in entry["search"] for entry in found["entry"]] == [True, False]
    found = await ward.get("Patient?_id=one")
    assert found["entry"][0]["search"] == {"mode": "match"}
    found = await ward.get("Patient?_text:not=fever&_id=one", handling="lenient")
    assert "score" not in found["entry"][0]["search"]


@pytest.mark.parametrize("count", [1, 2, 50])
async def test_the_order_of_relevance(ward: Client, count: int) -> None:
    url = f"Patient?_text=fever&_count={count}&_sort="
    assert await walk(ward, f"{url}_score,_id") == ["one", "both", "more", "long"]
    assert await walk(ward, f"{url}-_score,-_id") == ["long", "more", "both", "one"]
    assert await walk(ward, f"{url}birthdate,_score,_id") == ["long", "one", "both", "more"]


async def test_alternatives_count_together(ward: Client) -> None:
    found = await ward.get("Patient?_text=fever,cough&_sort=_score,_id")
    assert [*scores(found)] == ["both", "more", "one", "long"]


async def test_the_self_link_tells_the_order(ward: Client) -> None:
    found = await ward.get("Patient?_text=fever&_sort=-_score,_lastUpdated")
    assert "_sort=-_score,_lastUpdated" in (link(found, "self") or "")


async def test_there_is_no_relevance_without_words(ward: Client) -> None:
    for url in ("Patient?_sort=_score", "Patient?_contained=true&_text=fever&_sort=_score"):
        with pytest.raises(Invalid, match="_text or _content"):
            await ward.get(url)
    found = await ward.get("Patient?_sort=_score,-_id&_count=2", handling="lenient")
    assert ids(found) == ["Patient/other", "Patient/one"]
    assert "_sort=-_id&" in (link(found, "self") or "")
    with pytest.raises(TooCostly, match="at most"):
        await ward.get(f"Patient?_sort=_score&_text={','.join(f'w{n}' for n in range(40))}")


async def test_what_others_write_does_not_change_a_score(ward: Client) -> None:
    before = scores(await ward.get("Patient?_text=fever&_id=long"))
    await ward.put(*(patient(f"n{n}", "fever and more") for n in range(20)))
    assert scores(await ward.get("Patient?_text=fever&_id=long")) == before
