"""References and the URLs they hold."""

import pytest

from fhirserver.model.reference import Literal, literal, own, references

CASES = {
    "Patient/1": Literal("", "Patient", "1", None),
    "Patient/1/_history/2": Literal("", "Patient", "1", "2"),
    "https://a.example/fhir/Patient/1": Literal("https://a.example/fhir", "Patient", "1", None),
    "http://a/Patient/x/Patient/1/_history/2": Literal("http://a/Patient/x", "Patient", "1", "2"),
    "urn:uuid:c757873d-ec9a-4326-a141-556f43239520": None,
    "#p": None,
    "": None,
    "Patient/": None,
    "Patient/a b": None,
    "patient/1": None,
    "Patient?identifier=x": None,
}


@pytest.mark.parametrize(("url", "parts"), CASES.items())
def test_literal(url: str, parts: Literal | None) -> None:
    assert literal(url) == parts


def test_references_are_found_wherever_they_are() -> None:
    resource = {
        "resourceType": "Observation",
        "subject": {"reference": "Patient/1"},
        "performer": [{"display": "x"}, {"reference": "#p"}],
        "contained": [{"resourceType": "Practitioner", "extension": [
            {"url": "u", "valueReference": {"reference": "Organization/2"}}]}],
    }  # fmt: skip
    assert {place.expression: place.holder["reference"] for place in references(resource)} == {
        "subject": "Patient/1",
        "performer[1]": "#p",
        "contained[0].extension[0].valueReference": "Organization/2",
    }


BASE = "https://example.org/fhir"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("Patient/1", "Patient/1"),
        ("Patient/1/_history/2", "Patient/1"),
        (f"{BASE}/Patient/1", "Patient/1"),
        ("https://example.com/fhir/Patient/1", None),
        (f"{BASE}/x/Patient/1", None),
        ("#p", None),
        ("", None),
    ],
)
def test_a_reference_to_what_is_here(url: str, expected: str | None) -> None:
    assert own(url, BASE) == expected
    assert own(url, f"{BASE}/") == expected
