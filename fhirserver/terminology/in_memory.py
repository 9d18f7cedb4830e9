"""A code system whose concepts are in memory, and a source of such definitions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property

from fhirserver.definitions.value_set import Filter
from fhirserver.model.json import Resource
from fhirserver.terminology.concept import Concept, ConceptSet, SystemInfo, concept_set
from fhirserver.terminology.condition import meets
from fhirserver.terminology.source import System
from fhirserver.terminology.words import Query, has_words


class MemorySystem:
    """A `fhirserver.terminology.source.System` of a CodeSystem resource."""

    def __init__(self, parts: ConceptSet) -> None:
        self._info = parts.info
        self._concepts: Mapping[str, Concept] = {item.code: item for item in parts.concepts}

    @property
    def info(self) -> SystemInfo:
        return self._info

    @property
    def is_complete(self) -> bool:
        return self._info.content == "complete"

    def find(self, code: str) -> Concept | None:
        found = self._concepts.get(code)
        if found is None and not self._info.case_sensitive:
            found = self._folded.get(code.casefold())
        return found

    def is_below(self, code: str, ancestor: str) -> bool:
        return ancestor in self.above(code)

    def children(self, code: str) -> Sequence[str]:
        return self._children.get(code, ())

    def above(self, code: str) -> Sequence[str]:
        found: dict[str, None] = {}
        todo = [code]
        while todo:
            concept = self._concepts.get(todo.pop(0))
            for parent in concept.parents if concept else ():
                if parent not in found and parent != code:
                    found[parent] = None
                    todo.append(parent)
        return tuple(found)

    def select(self, filters: Sequence[Filter]) -> Iterator[Concept]:
        for concept in self._concepts.values():
            if all(meets(filter, concept, self) for filter in filters):
                yield concept

    def corrected(self, query: Query) -> Query:
        return query

    def search(self, query: Query, filters: Sequence[Filter]) -> Iterator[Concept]:
        return (concept for concept in self.select(filters) if has_words(query, concept))

    def size(self) -> int | None:
        return len(self._concepts)

    @cached_property
    def _folded(self) -> Mapping[str, Concept]:
        return {code.casefold(): concept for code, concept in self._concepts.items()}

    @cached_property
    def _children(self) -> Mapping[str, list[str]]:
        found: dict[str, list[str]] = {}
        for concept in self._concepts.values():
            for parent in concept.parents:
                found.setdefault(parent, []).append(concept.code)
        return found


class Resources:
    """A source of resources that came with a request, or that a store or package holds."""

    def __init__(self, resources: Iterable[Resource] = ()) -> None:
        self._code_systems: dict[str, list[System]] = {}
        self._supplements: dict[str, list[System]] = {}
        self._value_sets: dict[str, list[Resource]] = {}
        self._maps: list[Resource] = []
        for resource in resources:
            self.add(resource)

    def add(self, resource: Resource) -> None:
        """Takes a CodeSystem, ValueSet or ConceptMap; others are of no use here."""
        url = resource.get("url", "")
        match resource.get("resourceType"):
            case "CodeSystem":
                system = MemorySystem(concept_set(resource))
                base = system.info.supplements
                if base is None:
                    self._code_systems.setdefault(url, []).append(system)
                else:
                    self._supplements.setdefault(base.partition("|")[0], []).append(system)
            case "ValueSet":
                self._value_sets.setdefault(url, []).append(resource)
            case "ConceptMap":
                self._maps.append(resource)

    def code_systems(self, url: str) -> Sequence[System]:
        return self._code_systems.get(url, ())

    def supplements(self, url: str) -> Sequence[System]:
        return self._supplements.get(url, ())

    def value_sets(self, url: str) -> Sequence[Resource]:
        return self._value_sets.get(url, ())

    def concept_maps(self, url: str | None) -> Sequence[Resource]:
        return [item for item in self._maps if url is None or item.get("url") == url]
