"""Filters of value sets that no code system can answer."""

from __future__ import annotations

import time

import pytest

from fhirserver.model.json import Resource
from fhirserver.validation import Issue, validate

SNOMED = "http://snomed.info/sct"
TOOTH = "http://terminology.hl7.org/CodeSystem/ex-tooth"
PLACE = "ValueSet.compose.include[0].filter[0]"


def findings(system: str, property: str, op: str, value: str) -> list[tuple[str, str]]:
    filter = {"property": property, "op": op, "value": value}
    resource: Resource = {
        "resourceType": "ValueSet",
        "status": "draft",
        "compose": {"include": [{"system": system, "filter": [filter]}]},
    }
    told: list[Issue] = validate(resource)
    return [(item.severity, item.code) for item in told if item.expression == PLACE]


@pytest.mark.parametrize(
    ("system", "property", "op", "value"),
    [
        (SNOMED, "constraint", "=", "234234 << 234234"),
        (SNOMED, "constraint", "=", "<< 404684003 AND"),
        (SNOMED, "concept", "is-a", "something"),
        (TOOTH, "notSelectable", "=", "1"),
    ],
)
def test_what_no_system_can_answer_is_an_error(
    system: str, property: str, op: str, value: str
) -> None:
    assert findings(system, property, op, value) == [("error", "invalid")]


@pytest.mark.parametrize(
    ("system", "property", "op", "value"),
    [
        (SNOMED, "constraint", "=", "<< 404684003 |Clinical finding|"),
        (SNOMED, "constraint", "=", "<< (404684003 OR 71388002)"),  # not known here, but right
        (SNOMED, "constraint", "=", "<< 404684003 : [1..3] 363698007 = *"),
        (SNOMED, "concept", "is-a", "404684003"),
        (SNOMED, "363698007", "=", "39057004"),
        (TOOTH, "notSelectable", "=", "true"),
        ("http://example.org/unknown", "colour", "=", "red"),
    ],
)
def test_what_may_be_right_is_not_told(system: str, property: str, op: str, value: str) -> None:
    assert findings(system, property, op, value) == []


def test_what_only_the_definitions_here_do_not_know_is_a_warning() -> None:
    assert findings(TOOTH, "display", "is-a", "x") == [("warning", "invalid")]


def test_a_hostile_pattern_is_told_at_once() -> None:
    begun = time.process_time()
    assert findings("http://example.org/unknown", "code", "regex", "(a+)+$") == []
    assert findings("http://example.org/unknown", "code", "regex", "(?=a)b")[0][0] == "warning"
    assert findings("http://example.org/unknown", "code", "regex", "a{1000}{1000}")[0][0] == (
        "warning"
    )
    assert time.process_time() - begun < 2
