"""Terminology of a tenant as one question reads it, with a client that waits in a thread.

The concepts of a CodeSystem are those of its current version, so they change in its commit and
never disagree with it. An imported system is a set of documents (`code_system`), which the
versions of a CodeSystem of its URL and version have that came after the import, up to its
deletion: nothing has to be switched.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from functools import cached_property
from threading import Lock
from typing import Final, NamedTuple

from pymongo.database import Database

from fhirserver.model.json import Resource, decode
from fhirserver.store.concepts import SystemCount
from fhirserver.store.mongo.concept_system import StoredSystem, known_word
from fhirserver.store.mongo.document import Json
from fhirserver.store.mongo.indexes import CODE_SYSTEM, RESOURCE, VERSION
from fhirserver.store.mongo.keys import first
from fhirserver.terminology.concept import SystemInfo, concept_set
from fhirserver.terminology.in_memory import MemorySystem
from fhirserver.terminology.source import System
from fhirserver.terminology.words import Query, words_of

_KEPT: Final = 64 * 1024 * 1024


class ResourceSystem(MemorySystem):
    """The concepts of a CodeSystem that holds them itself; misspelt words are put right."""

    def corrected(self, query: Query) -> Query:
        return query.corrected(tuple(known_word(word, self._uses) for word in query.words))

    def _uses(self, text: str) -> Iterator[tuple[str, int]]:
        return ((word, count) for word, count in self._words.items() if word.startswith(text))

    @cached_property
    def _words(self) -> Counter[str]:
        names = (term for concept in self.select(()) for term in concept.terms())
        return Counter(word for term in names for word in words_of(term))


class Read(NamedTuple):
    """A definition: the place of its resource (`tenant/type/id`), the number of its version."""

    place: str
    number: int
    resource: Resource
    system: ResourceSystem | None


class Shelf:
    """Definitions that were read before, up to so many bytes; for all threads."""

    def __init__(self, most: int = _KEPT) -> None:
        self._most = most
        self._size = 0
        self._read: OrderedDict[tuple[str, int], tuple[Read, int]] = OrderedDict()
        self._lock = Lock()

    def get(self, place: str, number: int) -> Read | None:
        """The definition, if it is still here."""
        with self._lock:
            found = self._read.get((place, number))
            if found is None:
                return None
            self._read.move_to_end((place, number))
            return found[0]

    def put(self, type: str, place: str, number: int, body: bytes) -> Read:
        """Keeps a definition of a type; the least used ones go."""
        resource = decode(body)
        system = ResourceSystem(concept_set(resource)) if type == "CodeSystem" else None
        read = Read(place, number, resource, system)
        with self._lock:
            before = self._read.pop((place, number), None)
            self._read[place, number] = (read, len(body))
            self._size += len(body) - (before[1] if before else 0)
            while self._size > self._most and len(self._read) > 1:
                self._size -= self._read.popitem(last=False)[1][1]
        return read


class MongoSource:
    """A `fhirserver.terminology.source.Source`; sees each definition as it was at first."""

    def __init__(self, database: Database[Json], tenant: str, shelf: Shelf) -> None:
        self._database = database
        self._tenant = tenant
        self._shelf = shelf
        self._seen: dict[tuple[str, str | None], list[Read]] = {}

    def code_systems(self, url: str) -> Sequence[System]:
        found = self._live("CodeSystem", first("url", url))
        return [
            system
            for item in found
            if not self._info(item).supplements and (system := self._system(item)) is not None
        ]

    def supplements(self, url: str) -> Sequence[System]:
        found = self._live("CodeSystem", first("content-mode", "supplement"))
        return [
            item.system
            for item in found
            if item.system and (self._info(item).supplements or "").partition("|")[0] == url
        ]

    def value_sets(self, url: str) -> Sequence[Resource]:
        return [item.resource for item in self._live("ValueSet", first("url", url))]

    def concept_maps(self, url: str | None) -> Sequence[Resource]:
        key = None if url is None else first("url", url)
        return [item.resource for item in self._live("ConceptMap", key)]

    def counts(self) -> list[SystemCount]:
        """As `ConceptStore.code_systems`."""
        out = []
        for item in self._live("CodeSystem", None):
            info = self._info(item)
            if info.supplements is None:
                system = self._system(item)
                content = "complete" if isinstance(system, StoredSystem) else info.content
                size = (system.size() if system else 0) or 0
                out.append(SystemCount(info.url, info.version, content, size))
        return sorted(out, key=lambda item: (item.url, item.version or ""))

    def _info(self, item: Read) -> SystemInfo:
        assert item.system is not None
        return item.system.info

    def _system(self, item: Read) -> System | None:
        system = item.system
        assert system is not None
        if system.info.content != "not-present" or system.size():
            return system
        taken = self._taken(item, system.info)
        if taken is None:
            return None
        return StoredSystem(self._database, taken["_id"], system.info, int(taken["c"]))

    def _taken(self, item: Read, info: SystemInfo) -> Json | None:
        """The imported set that the version of a CodeSystem has."""
        wanted = {"t": self._tenant, "u": info.url, "v": info.version, "e": {"$lt": item.number}}
        found = self._database[CODE_SYSTEM].find_one(wanted, sort=[("e", -1), ("o", -1)])
        if found is None:
            return None
        since: Json = {
            "t": self._tenant,
            "k": "CodeSystem",
            "i": item.place.rpartition("/")[2],
            "h": "DELETE",
            "n": {"$gt": found["e"], "$lt": item.number},
        }
        return None if self._database[VERSION].find_one(since, {"_id": 1}) else found

    def _live(self, type: str, key: str | None) -> list[Read]:
        """The current definitions of a type, those with the key if there is one."""
        if (type, key) not in self._seen:
            wanted: Json = {"t": self._tenant, "k": type, "l": True}
            if key is not None:
                wanted["q"] = key
            rows = self._database[RESOURCE].find(wanted, {"i": 1, "v": 1, "m": 1}, sort=[("n", 1)])
            found = [self._read(type, row) for row in rows]
            self._seen[type, key] = [item for item in found if item is not None]
        return self._seen[type, key]

    def _read(self, type: str, row: Json) -> Read | None:
        place, number = f"{self._tenant}/{type}/{row['i']}", int(row["m"])
        kept = self._shelf.get(place, number)
        if kept is not None:
            return kept
        wanted = {"t": self._tenant, "k": type, "i": row["i"], "v": row["v"]}
        found = self._database[VERSION].find_one(wanted, {"b": 1})
        if found is None or "b" not in found:
            return None
        return self._shelf.put(type, place, number, bytes(found["b"]))
