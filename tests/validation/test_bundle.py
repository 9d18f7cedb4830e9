"""Bundles: entries by the type of the Bundle, full URLs, and links that lead somewhere."""

from __future__ import annotations

from typing import Any

import pytest

from fhirserver.model.json import Resource
from fhirserver.validation import validate

ONE = "urn:uuid:6f9619ff-8b86-4d01-b42d-00c04fc964ff"
TWO = "urn:uuid:6f9619ff-8b86-4d01-b42d-00c04fc964fe"
BASIC = {"resourceType": "Basic", "code": {"text": "c"}}
REQUEST = {"method": "POST", "url": "Basic"}
RESPONSE = {"status": "200"}


def bundle(type: str, *entries: Resource, **more: Any) -> Resource:
    return {"resourceType": "Bundle", "type": type, "entry": list(entries)} | more


def entry(url: str | None = ONE, resource: Any = BASIC, **more: Any) -> Resource:
    given = {"fullUrl": url, "resource": resource}
    return {name: value for name, value in given.items() if value is not None} | more


def errors(resource: Resource) -> set[str]:
    return {issue.expression for issue in validate(resource) if issue.is_error}


@pytest.mark.parametrize(
    ("resource", "places"),
    [
        (bundle("collection", entry()), set()),
        (bundle("collection", entry(None)), {"Bundle.entry[0]"}),
        (bundle("collection", entry(request=REQUEST)), {"Bundle.entry[0].request"}),
        (bundle("transaction", entry(request=REQUEST)), set()),
        (bundle("transaction", entry(None, request=REQUEST)), set()),
        (bundle("transaction", entry()), {"Bundle.entry[0]"}),
        (bundle("batch-response", entry(None, response=RESPONSE)), set()),
        (bundle("batch-response", entry(None)), {"Bundle.entry[0]"}),
        (bundle("searchset", entry(None)), {"Bundle.entry[0]"}),
        (bundle("searchset", entry(None, search={"mode": "outcome"})), set()),
    ],
)
def test_entries_by_type(resource: Resource, places: set[str]) -> None:
    assert errors(resource) == places


@pytest.mark.parametrize(
    ("url", "id", "place"),
    [
        ("http://example.org/fhir/Basic/1", "1", None),
        ("http://example.org/fhir/Basic/1", "2", "Bundle.entry[0].fullUrl"),
        ("http://example.org/fhir/Patient/1", "1", "Bundle.entry[0].fullUrl"),
        ("http://example.org/fhir/Basic/1", None, "Bundle.entry[0].resource"),
        ("Basic/1", "1", "Bundle.entry[0].fullUrl"),
        (ONE, "1", None),
    ],
)
def test_full_urls(url: str, id: str | None, place: str | None) -> None:
    resource = BASIC if id is None else BASIC | {"id": id}
    assert errors(bundle("collection", entry(url, resource))) == ({place} if place else set())


COMPOSITION = {
    "resourceType": "Composition",
    "status": "final",
    "type": {"text": "t"},
    "date": "2024",
    "author": [{"reference": TWO}],
    "title": "T",
}
DOCUMENT = {
    "identifier": {"system": "urn:ietf:rfc:3986", "value": ONE},
    "timestamp": "2024-01-01T00:00:00Z",
}
PRACTITIONER = {"resourceType": "Practitioner", "active": True}


def test_a_document_has_what_its_composition_refers_to() -> None:
    whole = bundle("document", entry(ONE, COMPOSITION), entry(TWO, PRACTITIONER), **DOCUMENT)
    assert errors(whole) == set()
    part = bundle("document", entry(ONE, COMPOSITION), **DOCUMENT)
    assert errors(part) == {"Bundle.entry[0].resource.author[0]"}


@pytest.mark.parametrize("kind", ["document", "message"])
def test_a_document_or_message_without_entries_is_none(kind: str) -> None:
    empty = {"resourceType": "Bundle", "type": kind} | DOCUMENT
    assert "Bundle" in errors(empty)


def test_a_narrative_that_links_to_nothing_is_told() -> None:
    div = f'<div xmlns="http://www.w3.org/1999/xhtml"><a href="{TWO}">a</a></div>'
    linking = BASIC | {"text": {"status": "generated", "div": div}}
    assert errors(bundle("collection", entry(ONE, linking))) == {
        "Bundle.entry[0].resource.text.`div`"
    }
    assert errors(bundle("collection", entry(ONE, linking), entry(TWO))) == set()
