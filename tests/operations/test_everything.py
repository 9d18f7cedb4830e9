"""$everything of a patient and of an encounter."""

from dataclasses import replace

import pytest
from interactions.client import Client, ids, link

from fhirserver.errors import FhirError, Gone, Invalid, NotFound
from fhirserver.model.json import Resource
from fhirserver.operations.table import OPERATIONS


def observation(id: str, date: str | None = None, patient: str = "a", **more: object) -> Resource:
    out: Resource = {
        "resourceType": "Observation",
        "id": id,
        "status": "final",
        "code": {"text": "x"},
    }
    out["subject"] = {"reference": f"Patient/{patient}"}
    return out | ({"effectiveDateTime": date} if date else {}) | more


@pytest.fixture
async def record(client: Client) -> Client:
    organization = {"reference": "Organization/o"}
    await client.put(
        {"resourceType": "Organization", "id": "parent", "name": "P"},
        {
            "resourceType": "Organization",
            "id": "o",
            "name": "O",
            "partOf": {"reference": "Organization/parent"},
        },
        {"resourceType": "Practitioner", "id": "dr"},
        {"resourceType": "Practitioner", "id": "nobody"},
        {"resourceType": "Patient", "id": "a", "managingOrganization": organization},
        {"resourceType": "Patient", "id": "b"},
        {
            "resourceType": "Encounter",
            "id": "e",
            "status": "finished",
            "class": {"code": "AMB"},
            "subject": {"reference": "Patient/a"},
            "period": {"start": "2020-02-01", "end": "2020-02-03"},
        },
        observation("early", "2019-05-05"),
        observation("middle", "2020-02-02", encounter={"reference": "Encounter/e"}),
        observation("late", "2021-01-01", performer=[{"reference": "Practitioner/dr"}]),
        observation("undated"),
        observation("other", "2020-02-02", patient="b"),
    )
    return client


ALL = {
    "Patient/a",
    "Encounter/e",
    "Observation/early",
    "Observation/middle",
    "Observation/late",
    "Observation/undated",
}
DATED = {"Observation/early", "Observation/middle", "Observation/late"}
BESIDE = {"Organization/o", "Organization/parent", "Practitioner/dr"}


async def test_a_patients_record_is_whole_and_nobody_elses(record: Client) -> None:
    found = await record.get("Patient/a/$everything")
    assert set(ids(found)) == ALL
    assert ids(found)[0] == "Patient/a"
    assert set(ids(found, "include")) == BESIDE
    assert (found["type"], found["total"]) == ("searchset", len(ALL))
    assert link(found, "next") is None


async def test_post_gives_the_same(record: Client) -> None:
    found = await record.call("Patient/a/$everything", {"name": "_type", "valueCode": "Encounter"})
    assert ids(found) == ["Encounter/e"]


@pytest.mark.parametrize("size", [1, 2, 5, 100])
async def test_pages_give_each_match_once(record: Client, size: int) -> None:
    found: list[str] = []
    beside: set[str] = set()
    url: str | None = f"Patient/a/$everything?_count={size}"
    while url:
        page = await record.get(url)
        found += ids(page)
        beside |= set(ids(page, "include"))
        url = link(page, "next")
    assert sorted(found) == sorted(ALL)
    assert beside == BESIDE


@pytest.mark.parametrize(
    ("query", "left_out"),
    [
        ("start=2020-02-02", {"Observation/early"}),
        ("end=2020", {"Observation/late"}),
        ("start=2020-02-03&end=2020-02-03", DATED),
        ("start=2020-02-04&end=2020-12-31", {*DATED, "Encounter/e"}),
    ],
)  # fmt: skip
async def test_dates_are_those_of_care(record: Client, query: str, left_out: set[str]) -> None:
    assert set(ids(await record.get(f"Patient/a/$everything?{query}"))) == ALL - left_out


async def test_types_are_those_asked_for(record: Client) -> None:
    found = await record.get("Patient/a/$everything?_type=Patient,Organization&_type=Encounter")
    assert set(ids(found)) == {"Patient/a", "Encounter/e"}
    assert set(ids(found, "include")) == {"Organization/o", "Organization/parent"}


async def test_since_is_about_records(record: Client) -> None:
    instant = (await record.get("Observation/undated"))["meta"]["lastUpdated"]
    await record.put(observation("new"))
    found = await record.get(f"Patient/a/$everything?_since={instant}".replace("+", "%2B"))
    assert "Observation/new" in ids(found)
    assert "Observation/early" not in ids(found)
    assert "Observation/undated" in ids(found), "what is of that very instant is not missed"
    assert ids(found, "include") == []


async def test_the_content_of_attachments_comes_along(record: Client) -> None:
    document = {
        "resourceType": "DocumentReference",
        "id": "d",
        "status": "current",
        "subject": {"reference": "Patient/a"},
        "content": [
            {"attachment": {"url": "Binary/x"}},
            {"attachment": {"url": "http://example.org/fhir/Binary/y/_history/1"}},
            {"attachment": {"url": "http://elsewhere.org/fhir/Binary/z"}},
            {"attachment": {"url": "https://example.org/scan.pdf"}},
        ],
    }
    binaries = ({"resourceType": "Binary", "id": id, "contentType": "text/plain"} for id in "xyz")
    await record.put(*binaries, document)
    found = await record.get("Patient/a/$everything")
    assert {"Binary/x", "Binary/y"} == set(ids(found, "include")) - BESIDE


async def test_an_encounters_record(record: Client) -> None:
    found = await record.get("Encounter/e/$everything")
    assert set(ids(found)) == {"Encounter/e", "Observation/middle"}
    assert "Patient/a" in ids(found, "include")


async def test_more_than_may_come_along_is_told(record: Client) -> None:
    policy = replace(record.context.policy, max_includes=1)
    client = Client(replace(record.context, policy=policy), OPERATIONS)
    found = await client.get("Patient/a/$everything")
    (outcome,) = (item for item in found["entry"] if item["search"]["mode"] == "outcome")
    assert outcome["resource"]["issue"][0]["code"] == "incomplete"
    assert set(ids(found)) == ALL


async def test_what_is_not_there_has_no_record(record: Client) -> None:
    with pytest.raises(NotFound):
        await record.get("Patient/nobody/$everything")
    await record.put({"resourceType": "Patient", "id": "c"})
    await record.delete("Patient/c")
    with pytest.raises(Gone):
        await record.get("Patient/c/$everything")


@pytest.mark.parametrize(
    "query",
    ["start=2020-13", "_count=-1", "_count=0", "_count=x", "_type=Nonsense", "_since=2020",
     "nonsense=1", "start=2020&start=2021"],
)  # fmt: skip
async def test_odd_parameters_are_refused(record: Client, query: str) -> None:
    with pytest.raises(Invalid):
        await record.get(f"Patient/a/$everything?{query}")


async def test_all_patients_at_once_are_not_given(record: Client) -> None:
    with pytest.raises(FhirError):
        await record.get("Patient/$everything")


async def test_a_page_link_is_of_its_own_address(record: Client) -> None:
    next = link(await record.get("Patient/a/$everything?_count=1"), "next")
    assert next is not None
    with pytest.raises(Invalid):
        await record.get(next.replace("Patient/a/", "Patient/b/"))
