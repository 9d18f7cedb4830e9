"""$graphql: what the official cases leave open, its bounds, and what it refuses."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from interactions.client import Client

from fhirserver.errors import FhirError, NotFound, TooCostly
from fhirserver.model.json import Json, Resource, decode
from fhirserver.operations.graphql.query import read_query
from fhirserver.operations.graphql.select import MAX_CALLS, MAX_DEPTH


@pytest.fixture
async def record(client: Client) -> Client:
    await client.put(
        {
            "resourceType": "Patient",
            "id": "a",
            "active": True,
            "birthDate": "1961-04-12",
            "name": [
                {"use": "official", "family": "Nagy", "given": ["Ilona", "Éva"]},
                {"use": "usual", "given": ["Ili"]},
            ],
            "generalPractitioner": [{"reference": "#dr"}],
            "contained": [{"resourceType": "Practitioner", "id": "dr", "active": False}],
        },
        {"resourceType": "Patient", "id": "b", "active": True},
        *(
            {
                "resourceType": "Observation",
                "id": f"o{number}",
                "status": "final",
                "code": {"text": "weight"},
                "subject": {"reference": "Patient/a"},
                "valueQuantity": {"value": number, "unit": "kg"},
            }
            for number in range(5)
        ),
    )
    return client


async def ask(client: Client, query: str, url: str = "$graphql", **more: str) -> Json:
    parameters: list[Resource] = [{"name": "query", "valueString": query}]
    parameters += ({"name": name, "valueString": value} for name, value in more.items())
    found = await client.call(url, *parameters)
    return found["data"]


async def test_fields_of_a_resource_by_get(record: Client) -> None:
    answer = await record.ask("GET", "Patient/a/$graphql?query=%7Bid,birthDate,resourceType%7D")
    assert answer.content_type == "application/json"
    assert decode(answer.body or b"") == {
        "data": {"id": "a", "birthDate": "1961-04-12", "resourceType": "Patient"}
    }


async def test_lists_are_filtered_and_cut(record: Client) -> None:
    query = """{ name(use: official) { given(_offset: 1) }
                 all: name(_count: 1) { use }
                 none: name(use: old) { use } }"""
    assert await ask(record, query, "Patient/a/$graphql") == {
        "name": [{"given": ["Éva"]}],
        "all": [{"use": "official"}],
    }


async def test_a_choice_by_its_name(record: Client) -> None:
    query = "{ value { ... on Quantity { value unit } ... on CodeableConcept { text } } }"
    found = await ask(record, query, "Observation/o3/$graphql")
    assert found == {"value": {"value": 3, "unit": "kg"}}


async def test_contained_resources_are_resolved(record: Client) -> None:
    query = "{ generalPractitioner { resource { ... on Practitioner { active } } } }"
    found = await ask(record, query, "Patient/a/$graphql")
    assert found == {"generalPractitioner": [{"resource": {"active": False}}]}


async def test_fragments_and_variables(record: Client) -> None:
    query = """query one($id: id!, $full: Boolean = false) {
                 Patient(id: $id) { ...Short birthDate @include(if: $full) } }
               query two { Patient(id: b) { id } }
               fragment Short on Patient { id active }"""
    found = await ask(record, query, operationName="one", variables='{"id":"a"}')
    assert found == {"Patient": {"id": "a", "active": True}}
    found = await ask(record, query, operationName="one", variables='{"id":"a","full":true}')
    assert found["Patient"]["birthDate"] == "1961-04-12"
    with pytest.raises(FhirError):
        await ask(record, query, operationName="one")
    with pytest.raises(FhirError):
        await ask(record, query)


async def test_a_connection_walks_through_a_search(record: Client) -> None:
    query = """query page($after: String) {
        ObservationConnection(subject: "Patient/a", _count: 2, _cursor: $after) {
            count offset pagesize first next edges { mode resource { id } } } }"""
    seen: list[str] = []
    after: str | None = None
    for _ in range(3):
        variables = "{}" if after is None else f'{{"after":"{after}"}}'
        found = await ask(record, query, variables=variables)
        connection = found["ObservationConnection"]
        assert connection["pagesize"] == 2
        seen += [edge["resource"]["id"] for edge in connection["edges"]]
        if after is None:
            assert (connection["count"], connection["offset"]) == (5, 0)
        after = connection.get("next")
    assert after is None
    assert sorted(seen) == [f"o{number}" for number in range(5)]


async def test_who_refers_to_a_resource(record: Client) -> None:
    query = '{ ObservationList(_reference: subject, _sort: "-_id", _count: 2) { id } }'
    found = await ask(record, query, "Patient/a/$graphql")
    assert found == {"ObservationList": [{"id": "o4"}, {"id": "o3"}]}
    with pytest.raises(FhirError):
        await ask(record, "{ ObservationList { id } }", "Patient/a/$graphql")


async def test_hyphens_and_alternatives(record: Client) -> None:
    query = """{ PatientList(general_practitioner: "x", _id: ["a", "b"]) { id }
                 PatientConnection(_id: ["a", "b"]) { edges { resource { id } } } }"""
    found = await ask(record, query)
    assert "PatientList" not in found
    assert len(found["PatientConnection"]["edges"]) == 2


@pytest.mark.parametrize(
    "query",
    [
        "",
        "{",
        "nonsense",
        "mutation { a }",
        "{ nonsense }",
        "{ name }",
        "{ id { value } }",
        "{ name @nonsense { family } }",
        "{ name @include { family } }",
        '{ name @slice(path: "use") { family } }',
        '{ name(fhirpath: "((") { family } }',
        "{ name(_count: -1) { family } }",
        "{ name(nonsense: 1) { family } }",
        "{ ...nowhere }",
        "{ ...loop } fragment loop on Patient { ...loop }",
        "{ ObservationConnection(_reference: subject) { nonsense } }",
        "{ ObservationList(_reference: subject, nonsense: 1) { id } }",
        "{ __schema { types } }",
        "type A { b: Int }",
    ],
)
async def test_what_cannot_be_asked_is_refused(record: Client, query: str) -> None:
    with pytest.raises(FhirError) as error:
        await ask(record, query, "Patient/a/$graphql")
    assert error.value.status < 500 or error.value.status == 501


@pytest.mark.parametrize(
    "query",
    ["{ Patient(id: nobody) { id } }", "{ Patient { id } }", "{ PatientList }",
     "{ PatientConnection { edges { nonsense } } }", "{ Patient(id: a) { id nonsense } }",
     '{ PatientConnection(_cursor: "x") { next } }', "{ PatientList(_include: x) { id } }",
     "{ PractitionerList(_contained: true) { id } }",
     "{ PractitionerList(_contained: both, _containedType: contained) { id } }"],
)  # fmt: skip
async def test_of_the_system_too(record: Client, query: str) -> None:
    with pytest.raises(FhirError):
        await ask(record, query)


async def test_what_is_not_there_is_not_found(record: Client) -> None:
    with pytest.raises(NotFound):
        await ask(record, "{ id }", "Patient/nobody/$graphql")


async def test_depth_and_calls_are_bounded(record: Client) -> None:
    deep = "{ ...on Patient " * (MAX_DEPTH + 1) + "{ id }" + "}" * (MAX_DEPTH + 1)
    with pytest.raises(TooCostly):
        await ask(record, deep, "Patient/a/$graphql")
    calls = " ".join(f"p{number}: Patient(id: a) {{ id }}" for number in range(MAX_CALLS + 1))
    with pytest.raises(TooCostly):
        await ask(record, f"{{ {calls} }}")
    doubling = "".join(
        f" fragment f{number} on Patient {{ ...f{number + 1} ...f{number + 1} }}"
        for number in range(18)
    )
    bomb = f"{{ ...f0 }}{doubling} fragment f18 on Patient {{ language }}"
    with pytest.raises(TooCostly):
        await ask(record, bomb, "Patient/a/$graphql")
    with pytest.raises(FhirError):
        await ask(record, "{a" * 3000, "Patient/a/$graphql")


async def test_a_batch_takes_it_as_a_binary(record: Client) -> None:
    request = {"method": "GET", "url": "Patient/a/$graphql?query=%7Bid%7D"}
    batch = {"resourceType": "Bundle", "type": "batch", "entry": [{"request": request}]}
    answer = await record.ask("POST", "", resource=batch)
    (entry,) = decode(answer.body or b"")["entry"]
    assert entry["resource"]["resourceType"] == "Binary"
    assert entry["resource"]["contentType"] == "application/json"


NAMES = st.sampled_from(["id", "name", "family", "given", "extension", "value", "a"])
SELECTIONS: Any = st.deferred(
    lambda: st.lists(
        st.one_of(NAMES, st.builds("{} {{ {} }}".format, NAMES, SELECTIONS)), min_size=1, max_size=3
    ).map(" ".join)
)


@given(SELECTIONS)
def test_every_selection_is_read(selections: str) -> None:
    assert read_query(f"{{ {selections} }}", None, {}).selections.selections


@given(st.text(alphabet="{}()@$:!\"'abc on#…\n\\ .[]=&|", max_size=40))
def test_odd_text_is_refused_in_words(text: str) -> None:
    try:
        read_query(text, None, {})
    except FhirError as error:
        assert error.text
