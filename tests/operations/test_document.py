"""$document."""

from typing import Any

import pytest
from interactions.client import Client

from fhirserver.errors import Invalid, NotFound, NotSupported, Unprocessable
from fhirserver.model.json import Resource
from fhirserver.validation import validate


def composition(id: str, **more: Any) -> Resource:
    out: Resource = {
        "resourceType": "Composition",
        "id": id,
        "status": "final",
        "type": {"text": "note"},
        "subject": {"reference": "Patient/a"},
        "date": "2020",
        "author": [{"reference": "Practitioner/dr"}],
        "title": "Note",
        "section": [{"entry": [{"reference": "http://example.org/fhir/Observation/o"}]}],
    }
    return out | more


@pytest.fixture
async def record(client: Client) -> Client:
    await client.put(
        {"resourceType": "Organization", "id": "org", "name": "O"},
        {
            "resourceType": "Patient",
            "id": "a",
            "managingOrganization": {"reference": "Organization/org"},
        },
        {"resourceType": "Practitioner", "id": "dr"},
        {"resourceType": "Observation", "id": "o", "status": "final", "code": {"text": "x"}},
        composition("c"),
        composition("broken", author=[{"reference": "Practitioner/nobody"}]),
        composition("far", author=[{"reference": "https://else.where/fhir/Practitioner/1"}]),
    )
    return client


def keys(bundle: Resource) -> list[str]:
    return [
        f"{entry['resource']['resourceType']}/{entry['resource']['id']}"
        for entry in bundle["entry"]
    ]


async def test_a_document_is_whole_and_begins_with_its_composition(record: Client) -> None:
    found = await record.get("Composition/c/$document")
    assert found["type"] == "document"
    assert keys(found)[0] == "Composition/c"
    assert sorted(keys(found)[1:]) == [
        "Observation/o",
        "Organization/org",
        "Patient/a",
        "Practitioner/dr",
    ]
    assert {"identifier", "timestamp"} <= set(found)
    assert [issue for issue in validate(found) if issue.is_error] == []


async def test_the_composition_may_be_named_in_the_query(record: Client) -> None:
    for id in ("c", "Composition/c", "http://example.org/fhir/Composition/c"):
        assert keys(await record.get(f"Composition/$document?id={id}"))[0] == "Composition/c"


async def test_a_document_can_be_kept(record: Client) -> None:
    answer = await record.ask(
        "POST", "Composition/c/$document?persist=true", resource={"resourceType": "Parameters"}
    )
    assert answer.location is not None
    stored = await record.get(answer.location)
    assert stored["type"] == "document"
    with pytest.raises(Invalid):
        await record.get("Composition/c/$document?persist=true")


async def test_what_is_elsewhere_stays_a_reference(record: Client) -> None:
    assert "Practitioner/1" not in keys(await record.get("Composition/far/$document"))


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("Composition/broken/$document", Unprocessable),
        ("Composition/nobody/$document", NotFound),
        ("Composition/$document", Invalid),
        ("Composition/c/$document?id=c", Invalid),
        ("Composition/$document?id=https://else.where/fhir/Composition/c", NotFound),
        ("Composition/c/$document?graph=http://example.org/g", NotSupported),
    ],
)
async def test_what_cannot_be_made_is_refused(
    record: Client, url: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await record.get(url)
