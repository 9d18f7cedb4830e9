"""$lastn."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from interactions.client import Client, ids

from fhirserver.errors import Invalid
from fhirserver.model.json import Resource
from fhirserver.operations.lastn import Dated, last
from fhirserver.store.port import Version


def observation(id: str, code: Resource, date: str | None, **more: Any) -> Resource:
    vital = {"coding": [{"code": "vital-signs"}]}
    out: Resource = {
        "resourceType": "Observation",
        "id": id,
        "status": "final",
        "category": [vital],
        "code": code,
        "subject": {"reference": "Patient/a"},
    }
    return out | ({"effectiveDateTime": date} if date else {}) | more


def coded(*codes: str) -> Resource:
    return {"coding": [{"system": "s", "code": code} for code in codes]}


@pytest.fixture
async def record(client: Client) -> Client:
    await client.put(
        {"resourceType": "Patient", "id": "a"},
        observation("p1", coded("pulse"), "2020-01-01"),
        observation("p2", coded("pulse"), "2020-01-02"),
        observation("p3", coded("pulse", "heart"), "2020-01-03"),
        observation("h4", coded("heart"), "2020-01-04"),
        observation("t1", {"text": "tired"}, "2020-01-01"),
        observation("T2", {"text": "Tired"}, "2020-01-02"),
        observation("b1", coded("bp"), None),
        observation("b2", coded("bp"), None, effectivePeriod={"start": "2019", "end": "2020"}),
    )
    return client


ASK = "Observation/$lastn?patient=a&category=vital-signs"


async def test_the_last_of_each_code_the_newest_first(record: Client) -> None:
    found = await record.get(ASK)
    assert ids(found) == [f"Observation/{id}" for id in ("h4", "T2", "t1", "b2")]
    assert found["total"] == 4


async def test_several_of_each_code(record: Client) -> None:
    found = await record.get(f"{ASK}&max=2&code=s|pulse,s|heart,s|bp")
    assert ids(found) == [f"Observation/{id}" for id in ("h4", "p3", "b2", "b1")]


async def test_a_tie_gives_more(record: Client) -> None:
    await record.put(observation("p3b", coded("pulse"), "2020-01-04"))
    found = await record.get(ASK + "&code=pulse,heart")
    assert set(ids(found)) == {"Observation/h4", "Observation/p3b"}


async def test_parameters_of_search_may_come_by_post(record: Client) -> None:
    found = await record.call(
        "Observation/$lastn",
        {"name": "subject", "valueString": "Patient/a"},
        {"name": "code", "valueString": "s|bp"},
        {"name": "max", "valuePositiveInt": 7},
    )
    assert ids(found) == ["Observation/b2", "Observation/b1"]


async def test_no_match_is_no_error(record: Client) -> None:
    assert ids(await record.get("Observation/$lastn?patient=b&code=x")) == []


@pytest.mark.parametrize(
    "query",
    ["", "code=x", "patient=a", "patient=a&code=x&max=0", "patient=a&code=x&nonsense=1",
     "patient=a&code=x&_count=1"],
)  # fmt: skip
async def test_odd_requests_are_refused(record: Client, query: str) -> None:
    with pytest.raises(Invalid):
        await record.get(f"Observation/$lastn?{query}")


OBSERVATIONS = st.lists(
    st.tuples(st.lists(st.sampled_from("abcd"), max_size=2), st.none() | st.integers(0, 5)),
    max_size=12,
)


@given(OBSERVATIONS, st.integers(1, 3))
def test_none_that_is_left_out_is_newer_than_one_of_its_code_that_is_given(
    drawn: list[tuple[list[str], int | None]], most: int
) -> None:
    dated = [
        Dated(Version("Observation", str(index), 1, 0, "PUT", None), {"code": coded(*codes)}, time)
        for index, (codes, time) in enumerate(drawn)
    ]
    given_ids = {item.version.id for item in last(dated, most)}
    kept = [item for item in dated if item.version.id in given_ids]
    for out in dated:
        if out.version.id in given_ids:
            continue
        names = {coding["code"] for coding in out.resource["code"]["coding"]}
        newer = [
            item
            for item in kept
            if item.time is not None and (out.time is None or item.time > out.time)
        ]
        groups = len([item for item in kept if item.time is None])
        assert len(newer) + groups >= most, names
    assert last(last(dated, most), most) == last(dated, most)
