"""$match, and its scores."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from interactions.client import Client, ids

from fhirserver.errors import Invalid
from fhirserver.model.json import Resource
from fhirserver.operations.match_score import score

NUMBER = {"system": "http://example.org/mrn", "value": "1"}
ILONA: Resource = {
    "resourceType": "Patient",
    "identifier": [NUMBER],
    "name": [{"family": "Nagy", "given": ["Ilona"]}],
    "gender": "female",
    "birthDate": "1961-04-12",
    "telecom": [{"system": "phone", "value": "+36 1 234 567"}],
}


def person(**changes: Any) -> Resource:
    return {name: value for name, value in (ILONA | changes).items() if value is not None}


@pytest.fixture
async def people(client: Client) -> Client:
    await client.put(
        ILONA | {"id": "ilona"},
        person(id="twin", identifier=[NUMBER | {"value": "2"}], telecom=None),
        person(id="other", identifier=None, telecom=None, birthDate="1990-01-01", gender="male"),
        {"resourceType": "Patient", "id": "stranger", "name": [{"family": "Kiss"}]},
    )
    return client


async def ask(client: Client, patient: Resource, **options: Any) -> Resource:
    parameters = [{"name": "resource", "resource": patient}]
    if "certain" in options:
        parameters.append({"name": "onlyCertainMatches", "valueBoolean": options["certain"]})
    if "count" in options:
        parameters.append({"name": "count", "valueInteger": options["count"]})
    return await client.call("Patient/$match", *parameters)


def grades(found: Resource) -> dict[str, str]:
    return {
        entry["resource"]["id"]: entry["search"]["extension"][0]["valueCode"]
        for entry in found["entry"]
        if entry["search"]["mode"] == "match"
    }


async def test_the_best_match_is_first_and_each_is_graded(people: Client) -> None:
    found = await ask(people, ILONA)
    assert grades(found) == {"ilona": "certain"}
    found = await ask(people, person(identifier=None))
    assert ids(found)[:2] == ["Patient/ilona", "Patient/twin"]
    assert grades(found) == {"ilona": "certain", "twin": "probable"}
    scores = [item["search"]["score"] for item in found["entry"] if "score" in item["search"]]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= value <= 1 for value in scores)


async def test_it_is_told_why(people: Client) -> None:
    found = await ask(people, ILONA)
    (outcome,) = (item for item in found["entry"] if item["search"]["mode"] == "outcome")
    text = outcome["resource"]["issue"][0]["details"]["text"]
    assert text.startswith("Patient/ilona 1")
    assert "identifier agrees (+10)" in text


async def test_a_resource_alone_will_do(people: Client) -> None:
    answer = await people.ask("POST", "Patient/$match", resource=ILONA)
    assert answer.status == 200


async def test_only_the_certain_match_is_given_and_never_two(people: Client) -> None:
    assert ids(await ask(people, ILONA, certain=True)) == ["Patient/ilona"]
    assert ids(await ask(people, person(identifier=None, telecom=None), certain=True)) == []
    await people.put(ILONA | {"id": "double"})
    found = await ask(people, ILONA, certain=True)
    assert ids(found) == []
    assert found["entry"][0]["resource"]["issue"][0]["code"] == "multiple-matches"


async def test_a_typing_error_is_forgiven(people: Client) -> None:
    slip = person(
        identifier=None, birthDate="1961-12-04", name=[{"family": "Nagy", "given": ["Ilana"]}]
    )
    assert grades(await ask(people, slip))["ilona"] in ("probable", "possible")


async def test_count_and_nobody(people: Client) -> None:
    assert len(ids(await ask(people, person(identifier=None), count=1))) == 1
    nobody = person(identifier=[NUMBER | {"value": "9"}], name=None, telecom=None)
    found = await ask(people, nobody)
    assert ids(found) == []
    assert found["total"] == 0


@pytest.mark.parametrize(
    "patient",
    [
        {"resourceType": "Patient"},
        {"resourceType": "Patient", "name": [{"family": "Nagy"}]},
        {"resourceType": "Patient", "gender": "female", "birthDate": "1961-04-12"},
        {"resourceType": "Patient", "name": "Nagy"},
        {"resourceType": "Observation"},
    ],
)
async def test_too_little_or_odd_is_refused(people: Client, patient: Resource) -> None:
    with pytest.raises(Invalid):
        await ask(people, patient)


NAMES = st.sampled_from(["Nagy", "Nagi", "Kiss", "Ilona", "I", "Ilonka", "Ádám", ""])
PATIENTS = st.fixed_dictionaries(
    {},
    optional={
        "identifier": st.lists(
            st.fixed_dictionaries(
                {"value": st.sampled_from("12")}, optional={"system": st.sampled_from("st")}
            ),
            max_size=2,
        ),
        "name": st.lists(
            st.fixed_dictionaries({}, optional={"family": NAMES, "given": st.lists(NAMES)}),
            max_size=2,
        ),
        "birthDate": st.sampled_from(["1961", "1961-04", "1961-04-12", "1961-12-04", "1990-01-01"]),
        "gender": st.sampled_from(["female", "male"]),
        "telecom": st.lists(
            st.fixed_dictionaries(
                {"system": st.sampled_from(["phone", "email"]), "value": st.sampled_from("ab")}
            )
        ),
    },
)


@given(PATIENTS, PATIENTS)
def test_a_score_is_within_bounds_and_nobody_matches_better_than_oneself(
    one: Resource, other: Resource
) -> None:
    mine, theirs = score(one, one), score(one, other)
    assert 0 <= theirs.value <= mine.value <= 1
    assert score(one, other) == theirs


@given(PATIENTS)
def test_a_few_properties_are_never_certain(one: Resource) -> None:
    few = {name: one[name] for name in ("birthDate", "gender", "name") if name in one}
    assert score(few, few).value < Decimal("0.95")
