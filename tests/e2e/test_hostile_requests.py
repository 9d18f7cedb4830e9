"""Requests that cannot be met: the right 4xx, and nothing written."""

from __future__ import annotations

import json

import httpx2
import pytest
from e2e.hostile import GOOD, raw, refused
from e2e.server import FHIR_JSON, Server

# Path and status, or statuses where the standard leaves a choice.
BAD_GETS = {
    "Nothing": 404,
    "patient/good": 404,
    "Patient/missing": 404,
    "Patient/good/_history/9": 404,
    "Patient/good/_history/x": (400, 404),
    "Patient/a%20b": (400, 404),
    "Patient/" + "a" * 65: (400, 404),
    "Patient/../../etc/passwd": 404,
    "Patient/%2e%2e/x": (400, 404),
    "Patient/good/good/good/good": 404,
    "Patient/good/$no-such-operation": (400, 404, 501),
    "$no-such-operation": (400, 404, 501),
    "Patient?no-such=1": 400,
    "Patient?name:no-such=1": 400,
    "Patient?birthdate:exact=2020": 400,
    "Patient?birthdate=xx2020": 400,
    "Patient?birthdate=2020-13-45": 400,
    "Patient?birthdate=" + "9" * 5000: 400,
    "Patient?birthdate=gt": 400,
    "Patient?gender:missing=maybe": 400,
    "Patient?_count=-1": 400,
    "Patient?_count=ten": 400,
    "Patient?_count=" + "9" * 400: (200, 400),
    "Patient?_sort=no-such": 400,
    "Patient?_summary=no": 400,
    "Patient?_total=maybe": 400,
    "Patient?_elements=no_such_element": (200, 400),
    "Patient?_include=Patient:no-such": 400,
    "Patient?_include=nonsense": 400,
    "Patient?_revinclude=Observation:no-such": 400,
    "Patient?_has:Observation:no-such:code=1": 400,
    "Patient?_has:Observation=1": 400,
    "Patient?_has:::=1": 400,
    "Patient?organization.no-such=1": 400,
    "Patient?organization.name.name=1": 400,
    "Patient?general-practitioner:Patient.name=x": 400,
    "Observation?value-quantity=abc": 400,
    "Observation?value-quantity=1e999999999": (200, 400),
    "Observation?value-quantity=gt" + "9" * 10_000: (200, 400),
    "Observation?component-code-value-quantity=a": 400,
    "Observation?code:in=http://no.such/value-set": (400, 404, 422),
    "Observation?code:below=|||": (200, 400),
    "Patient?_filter=name eq x": (400, 501),
    "Patient?_text=x": (400, 501),
    "Patient?_list=nonsense/x/y": (200, 400),
    "Patient?_page=forged": 400,
    "Patient?_cursor=forged": 400,
    "Patient?%ff=%fe": 400,
    "Patient?name=%ff%fe": 400,
    "Patient?name=%00": (200, 400),
    "?_type=Nothing": 400,
    "_history?_since=yesterday": 400,
    "_history?_count=x": 400,
    "Patient?_format=yaml": (400, 406),
    "Patient/good?_format=application/pdf": 406,
}


@pytest.mark.parametrize("path", BAD_GETS, ids=lambda path: path[:50])
def test_what_cannot_be_asked(victim: Server, path: str) -> None:
    expected = BAD_GETS[path]
    statuses = expected if isinstance(expected, tuple) else (expected,)
    answer = raw(victim, f"GET /fhir/{path.replace(' ', '%20')} HTTP/1.1")
    if answer.status_code != 200:
        refused(answer, *statuses)
    else:
        assert 200 in statuses, answer.text[:300]
        assert answer.json()["resourceType"] == "Bundle"


def test_a_query_that_is_too_long_is_refused(victim: Server) -> None:
    refused(raw(victim, f"GET /fhir/Patient?name={'x' * 20_000} HTTP/1.1"), 414)
    refused(raw(victim, f"GET /fhir/Patient?name={'x' * 80_000} HTTP/1.1"), 400, 414, 431)


def test_a_query_of_a_thousand_conditions_is_answered_or_refused(victim: Server) -> None:
    many = "&".join(f"name={number}" for number in range(1500))
    answer = raw(victim, f"GET /fhir/Patient?{many} HTTP/1.1")
    if answer.status_code != 200:
        refused(answer, 400, 403)
    values = ",".join(str(number) for number in range(3000))
    answer = raw(victim, f"GET /fhir/Patient?name={values} HTTP/1.1")
    if answer.status_code != 200:
        refused(answer, 400, 403, 414)


def test_deep_chains_are_answered_or_refused(victim: Server) -> None:
    chain = ".".join(["partof"] * 60)
    answer = raw(victim, f"GET /fhir/Organization?{chain}.name=x HTTP/1.1")
    if answer.status_code != 200:
        refused(answer, 400, 403)
    has = "_has:Organization:partof:" * 40
    answer = raw(victim, f"GET /fhir/Organization?{has}name=x HTTP/1.1")
    if answer.status_code != 200:
        refused(answer, 400, 403)


def test_contradictory_conditions_find_nothing(victim: Server) -> None:
    for query in (
        "active=true&active=false",
        "birthdate=lt1960&birthdate=gt1980",
        "_id=good&_id=bad",
        "gender:missing=true&gender=male",
        "_lastUpdated=gt2999",
    ):
        assert victim.count(f"Patient?{query}") == 0, query


@pytest.mark.parametrize(
    ("method", "path", "statuses"),
    [
        ("POST", "Patient/good", (405,)),
        ("PUT", "Patient", (400, 405, 412)),
        ("DELETE", "", (405,)),
        ("PATCH", "Patient/good", (400, 415)),
        ("TRACE", "Patient", (405, 501)),
        ("BREW", "Patient", (400, 405, 501)),
        ("PUT", "Patient/other", (400,)),
        ("DELETE", "Patient/good/_history/1", (404, 405)),
        ("PUT", "metadata", (405,)),
    ],
)
def test_methods_that_do_not_fit(
    victim: Server, method: str, path: str, statuses: tuple[int, ...]
) -> None:
    answer = httpx2.request(
        method, f"{victim.base}/{path}", content=json.dumps(GOOD), headers=FHIR_JSON
    )
    refused(answer, *statuses)
