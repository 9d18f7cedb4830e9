"""The tables of `tests/cases/search`: resources, and which queries find them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from fhirserver.definitions.packaged import packaged
from fhirserver.errors import Invalid
from fhirserver.model.json import Resource, decode, encode
from fhirserver.model.temporal import interval
from fhirserver.search.compile import compile_search
from fhirserver.search.index import Indexer
from fhirserver.search.match import Document, match
from fhirserver.search.request import Pairs

CASES = Path(__file__).resolve().parents[1] / "cases" / "search"
NOW = interval("2026-11-20T00:00:00Z").start
BASE = "http://here/fhir"
INDEXER = Indexer(packaged())


@dataclass
class Case:
    """A resource and queries of its type: those that find it, do not, and are refused."""

    name: str
    resource: Resource
    world: list[Resource] = field(default_factory=list)
    matches: list[str] = field(default_factory=list)
    misses: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)


def _cases() -> list[Case]:
    return [
        Case(**case)
        for file in sorted(CASES.glob("*.yaml"))
        for case in yaml.safe_load(file.read_text("utf-8"))
    ]


def _pairs(query: str) -> Pairs:
    return tuple(tuple(pair.split("=", 1)) for pair in query.split("&"))  # type: ignore[misc]


def _document(resource: dict[str, Any]) -> Document:
    resource = decode(encode(resource))
    updated = (resource.get("meta") or {}).get("lastUpdated", "2026-01-01T00:00:00Z")
    return Document(
        resource["resourceType"],
        resource.get("id", "1"),
        interval(updated).start,
        INDEXER.entries(resource, BASE),
    )


_QUERIES = [
    pytest.param(case, query, found, id=f"{case.name}: {query}")
    for case in _cases()
    for queries, found in ((case.matches, True), (case.misses, False))
    for query in queries
]
_REFUSED = [
    pytest.param(case, query, text, id=f"{case.name}: {query}")
    for case in _cases()
    for query, text in case.refused.items()
]


@pytest.mark.parametrize(("case", "query", "found"), _QUERIES)
def test_a_query_finds_what_it_means(case: Case, query: str, found: bool) -> None:
    document = _document(case.resource)
    world = {(item.type, item.id): item for item in [document, *map(_document, case.world)]}
    search = compile_search(packaged(), (document.type,), _pairs(query), now=NOW, base_url=BASE)
    assert match(search.query.where, document, world) is found


@pytest.mark.parametrize(("case", "query", "text"), _REFUSED)
def test_a_refusal_tells_what_to_write(case: Case, query: str, text: str) -> None:
    type_ = case.resource["resourceType"]
    with pytest.raises(Invalid) as refusal:
        compile_search(packaged(), (type_,), _pairs(query), now=NOW, base_url=BASE)
    assert text in refusal.value.text
    assert refusal.value.text.startswith(f"{query.partition('=')[0]}: ")
