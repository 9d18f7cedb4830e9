"""Findings tell line and column of what was sent."""

from __future__ import annotations

from typing import Any

import pytest
from rest.conftest import Fetch
from rest.exchange import Desk

from fhirserver.definitions.packaged import packaged
from fhirserver.errors import Invalid, Unprocessable
from fhirserver.interactions.bundle_entry import located
from fhirserver.interactions.request import Answer
from fhirserver.model.json import encode
from fhirserver.model.outcome import Issue, operation_outcome
from fhirserver.validation import validate
from fhirserver.xml import from_xml

JSON = b"""{
  "resourceType": "Patient",
  "gender": "man",
  "birthdate": "1961"
}"""
XML = b"""<Patient xmlns="http://hl7.org/fhir">
  <active value="true"/>
  <gender value="man"/>
</Patient>"""
AS_JSON = {"content-type": "application/fhir+json"}
AS_XML = {"content-type": "application/fhir+xml"}


def positions(outcome: Any) -> dict[str, tuple[int, ...]]:
    """Line and column by expression, of the errors that tell them."""
    return {
        issue["expression"][0]: tuple(item["valueInteger"] for item in issue["extension"])
        for issue in outcome["issue"]
        if "extension" in issue and issue["severity"] == "error"
    }


def refusal(resource: Any) -> Unprocessable:
    return Unprocessable("It breaks the rules.", issues=validate(resource))


async def test_a_refused_write(fetch: Fetch, desk: Desk) -> None:
    desk.answer = refusal({"resourceType": "Patient", "gender": "man", "birthdate": "1961"})
    response = await fetch("POST", "/fhir/Patient", AS_JSON, JSON)
    assert positions(response.json) == {
        "Patient.gender": (3, 13),
        "Patient.birthdate": (4, 16),
    }


async def test_a_refused_write_in_xml(fetch: Fetch, desk: Desk) -> None:
    desk.answer = refusal(from_xml(XML, packaged()))
    response = await fetch("POST", "/fhir/Patient", AS_XML, XML)
    assert positions(response.json) == {"Patient.gender": (3, 3)}


async def test_a_refusal_by_one_place(fetch: Fetch, desk: Desk) -> None:
    desk.answer = Invalid("The resource has another id.", expression="Patient.gender")
    response = await fetch("PUT", "/fhir/Patient/1", AS_JSON, JSON)
    assert positions(response.json) == {"Patient.gender": (3, 13)}


async def test_an_entry_of_a_bundle(fetch: Fetch, desk: Desk) -> None:
    desk.answer = located(refusal({"resourceType": "Patient", "gender": "man"}), 1)
    body = b'{"resourceType": "Bundle", "type": "transaction", "entry": [{},\n{"resource": %s}]}'
    response = await fetch("POST", "/fhir", AS_JSON, body % JSON)
    assert positions(response.json) == {"Bundle.entry[1].resource.gender": (4, 13)}


@pytest.mark.parametrize(
    ("path", "prefer"),
    [("/fhir/Patient/$validate", {}), ("/fhir/Patient", {"prefer": "return=OperationOutcome"})],
)
async def test_an_outcome_that_is_answered(
    fetch: Fetch, desk: Desk, path: str, prefer: dict[str, str]
) -> None:
    issues = [Issue("error", "value", "Patient.gender", "a"), Issue("error", "value", "", "b")]
    desk.answer = Answer(200, encode(operation_outcome(issues)))
    response = await fetch("POST", path, AS_JSON | prefer, JSON)
    assert positions(response.json) == {"Patient.gender": (3, 13)}
    assert len(response.json["issue"]) == 2


async def test_what_is_validated_by_parameters(fetch: Fetch, desk: Desk) -> None:
    issues = [Issue("error", "value", "Patient.gender", "a")]
    desk.answer = Answer(200, encode(operation_outcome(issues)))
    body = b'{"resourceType": "Parameters", "parameter": [{"name": "resource",\n"resource": %s}]}'
    response = await fetch("POST", "/fhir/Patient/$validate", AS_JSON, body % JSON)
    assert positions(response.json) == {"Patient.gender": (4, 13)}


async def test_what_was_not_sent_has_no_place(fetch: Fetch, desk: Desk) -> None:
    issues = [Issue("error", "value", "Observation.status", "a")]
    desk.answer = Answer(200, encode(operation_outcome(issues)))
    response = await fetch("POST", "/fhir/Patient/$validate", AS_JSON, JSON)
    assert positions(response.json) == {}


async def test_the_answer_in_xml_tells_it_too(fetch: Fetch, desk: Desk) -> None:
    desk.answer = refusal({"resourceType": "Patient", "gender": "man"})
    accept = {"accept": "application/fhir+xml"}
    response = await fetch("POST", "/fhir/Patient", AS_JSON | accept, JSON)
    assert b'operationoutcome-issue-line"><valueInteger value="3"/>' in response.body
