"""Searches beyond the common ones, over HTTP."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote_plus

import pytest
from serving import client

OBSERVATION = {
    "resourceType": "Observation",
    "status": "final",
    "code": {"text": "Body weight"},
    "valueQuantity": {"value": 6000, "system": "http://unitsofmeasure.org", "code": "ug"},
}
LOCATION = {"resourceType": "Location", "position": {"latitude": 1, "longitude": 2}}

QUERIES = {
    "Observation?_filter=value-quantity gt 5.4|http://unitsofmeasure.org|mg and status eq final": 1,
    "Observation?_filter=not (value-quantity gt 6|http://unitsofmeasure.org|mg)": 1,
    "Observation?_content=weight": 1,
    "Observation?_content=weight&_sort=-_lastUpdated": 1,
    "?_type=Observation,Location&_content=weight": 1,
    "Observation?_text=weight": 0,
    "Location?near=1|2.01|3|km": 1,
    "Location?near=1|2.01|1|km": 0,
}


@pytest.mark.parametrize("query", QUERIES)
async def test_what_a_search_finds(tmp_path: Path, query: str, each_store: str) -> None:
    path, _, asked = query.partition("?")
    pairs = (pair.split("=", 1) for pair in asked.split("&"))
    encoded = "&".join(f"{name}={quote_plus(value)}" for name, value in pairs)
    async with client(tmp_path) as http:
        for resource in (OBSERVATION, LOCATION):
            answer = await http.post(f"/fhir/{resource['resourceType']}", json=resource)
            assert answer.status_code == 201
        answer = await http.get(f"/fhir/{path}?{encoded}")
        assert answer.status_code == 200
        assert answer.json()["total"] == QUERIES[query]


async def test_a_search_is_explained(tmp_path: Path, each_store: str) -> None:
    async with client(tmp_path) as http:
        answer = await http.get("/fhir/Patient/__explain?name=a")
        assert (answer.status_code, answer.json()["resourceType"]) == (200, "Parameters")
        assert (await http.head("/fhir/Patient/__explain?name=a")).status_code == 200
        assert (await http.get("/fhir/Patient/__explain?nonsense=a")).status_code == 400


async def test_words_that_are_not_kept_are_not_searched(tmp_path: Path) -> None:
    async with client(tmp_path, full_text="narrative") as http:
        assert (await http.get("/fhir/Patient?_text=a")).status_code == 200
        answer = await http.get("/fhir/Patient?_content=a")
        assert answer.status_code == 400
        assert "keeps no words" in answer.text
        (rest,) = (await http.get("/fhir/metadata")).json()["rest"]
        names = {param["name"] for param in rest["searchParam"]}
        assert "_text" in names and "_content" not in names
