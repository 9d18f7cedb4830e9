"""A Bundle is joined from stored bytes, and is the JSON that R4 describes."""

from hypothesis import given
from hypothesis import strategies as st

from fhirserver.interactions.bundle import (
    Entry,
    EntryRequest,
    EntryResponse,
    Link,
    bundle,
    full_url,
)
from fhirserver.model.json import decode, encode
from fhirserver.store.port import Version

PATIENT = b'{"resourceType":"Patient","id":"1","x":1.50}'


def test_an_empty_searchset_has_no_entry_list() -> None:
    assert decode(bundle("searchset", (), total=0)) == {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": 0,
    }


def test_the_bytes_of_a_resource_are_taken_as_they_are() -> None:
    data = bundle("searchset", [Entry("http://a/Patient/1", PATIENT, "match")])
    assert PATIENT in data
    assert decode(data)["entry"] == [
        {
            "fullUrl": "http://a/Patient/1",
            "resource": decode(PATIENT),
            "search": {"mode": "match"},
        }
    ]


def test_a_history_entry_tells_its_request_and_state() -> None:
    request = EntryRequest("DELETE", "Patient/1")
    response = EntryResponse("204", version=3, last_modified=0)
    data = bundle("history", [Entry("http://a/Patient/1", request=request, response=response)])
    assert decode(data)["entry"] == [
        {
            "fullUrl": "http://a/Patient/1",
            "request": {"method": "DELETE", "url": "Patient/1"},
            "response": {
                "status": "204",
                "etag": 'W/"3"',
                "lastModified": "1970-01-01T00:00:00.000Z",
            },
        }
    ]


def test_a_response_entry_carries_its_outcome_and_location() -> None:
    outcome = encode({"resourceType": "OperationOutcome"})
    response = EntryResponse("201 Created", location="Patient/1/_history/1", outcome=outcome)
    (entry,) = decode(bundle("batch-response", [Entry(response=response)]))["entry"]
    assert entry["response"] == {
        "status": "201 Created",
        "location": "Patient/1/_history/1",
        "outcome": {"resourceType": "OperationOutcome"},
    }


@given(st.text(), st.lists(st.tuples(st.text(), st.text())))
def test_any_text_is_escaped(url: str, links: list[tuple[str, str]]) -> None:
    data = bundle("searchset", [Entry(url)], links=[Link(*link) for link in links], timestamp=1)
    value = decode(data)
    assert value["entry"] == [{"fullUrl": url}]
    assert value.get("link", []) == [{"relation": name, "url": to} for name, to in links]


def test_the_full_url_names_no_version() -> None:
    assert full_url("http://a", Version("Patient", "1", 7, 0, "PUT", b"")) == "http://a/Patient/1"
