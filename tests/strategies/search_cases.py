"""The tables of `tests/cases/search`: resources, and the queries that find them or do not."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import yaml

from fhirserver.definitions.packaged import packaged
from fhirserver.model.json import Resource, decode, encode
from fhirserver.model.temporal import interval
from fhirserver.search.compile import compile_search
from fhirserver.search.index import Indexer
from fhirserver.search.match import Document, World, world_of
from fhirserver.search.request import Pairs, SearchRequest

NOW = interval("2026-11-20T00:00:00Z").start
BASE = "http://here/fhir"

_FOLDER = Path(__file__).resolve().parents[1] / "cases" / "search"
_INDEXER = Indexer(packaged(), "all")


@dataclass(frozen=True)
class Case:
    """A resource, others beside it, and queries of its type, or of the one that is given.

    `refused` queries give a part of the text that tells what is wrong.
    """

    name: str
    resource: Resource
    world: list[Resource] = field(default_factory=list)
    matches: list[str] = field(default_factory=list)
    misses: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    type: str = ""

    def world_of_all(self) -> World:
        """All resources, and what they contain."""
        return world_of(self.documents())

    def documents(self) -> list[Document]:
        """What search sees of all resources, the one that is looked for first."""
        return [document(resource) for resource in (self.resource, *self.world)]


def cases() -> list[Case]:
    """The rows of all tables."""
    return [
        Case(**{"type": case["resource"]["resourceType"]} | case)
        for file in sorted(_FOLDER.glob("*.yaml"))
        for case in yaml.safe_load(file.read_text("utf-8"))
    ]


def document(resource: Resource) -> Document:
    """What search sees of a resource; without an id it is `1`."""
    resource = decode(encode(resource))
    updated = (resource.get("meta") or {}).get("lastUpdated", "2026-01-01T00:00:00Z")
    return Document(
        resource["resourceType"],
        resource.get("id", "1"),
        interval(updated).start,
        _INDEXER.entries(resource, BASE),
    )


def compiled(type: str, query: str) -> SearchRequest:
    """The search of a type by a query, which is written without percent encoding."""
    return compile_search(packaged(), (type,), pairs(query), now=NOW, base_url=BASE)


def pairs(query: str) -> Pairs:
    """The pairs of a query."""
    split = (pair.partition("=") for pair in query.split("&"))
    return tuple((name, value) for name, _, value in split)
