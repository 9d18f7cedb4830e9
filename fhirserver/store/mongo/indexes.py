"""The indexes that the store needs, and whether they are there.

They are made by an explicit command (`fhirserver store init`), which may be broken off and begun
again: what is there is left as it is. A server starts only when all are there. Shard keys:
`resource` and `version` by (t, k, i), which begins with the tenant.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure

from fhirserver.store.mongo.document import Json

RESOURCE: Final = "resource"
VERSION: Final = "version"
TENANT: Final = "tenant"
RECORD: Final = "record"
CODE_SYSTEM: Final = "code_system"
CONCEPT: Final = "concept"
CONCEPT_WORD: Final = "concept_word"
CLOSURE: Final = "closure"
STUDY: Final = "dicom_study"
INSTANCE: Final = "dicom_instance"
FREED: Final = "dicom_freed"
GONE: Final = "dicom_gone"

_EVERY: Final = 5.0  # seconds between two words about how far an index is

_SORTED: Final = (
    *("date", "birthdate", "authored", "authoredon", "authored-on", "issued", "onset-date"),
    *("recorded-date", "created", "family"),
)
"""Parameters whose descending and ascending order an index gives, on resources that have one."""


@dataclass(frozen=True, slots=True)
class Index:
    """An index. `name` changes when its keys do.

    `expires`: it has one key, a date, and the server removes a document when that is past.
    """

    collection: str
    name: str
    keys: tuple[tuple[str, int], ...]
    is_unique: bool = False
    partial: Json | None = None
    expires: bool = False

    @property
    def model(self) -> IndexModel:
        options: dict[str, Any] = {"name": self.name}
        if self.is_unique:
            options["unique"] = True
        if self.expires:
            options["expireAfterSeconds"] = 0
        if self.partial:
            options["partialFilterExpression"] = self.partial
        return IndexModel(list(self.keys), **options)


@dataclass(frozen=True, slots=True)
class State:
    """An index, and whether it is there."""

    index: Index
    is_there: bool


def _index(
    collection: str, name: str, keys: str, unique: bool = False, only_with: str = ""
) -> Index:
    pairs = tuple((key, ASCENDING) for key in keys.split())
    partial = {only_with: {"$exists": True}} if only_with else None
    return Index(collection, name, pairs, unique, partial)


def _sorted(param: str, letter: str) -> Index:
    path = f"o.{param}.{letter}"
    way = DESCENDING if letter == "d" else ASCENDING
    keys = (("t", ASCENDING), ("k", ASCENDING), (path, way), ("n", ASCENDING))
    partial = {path: {"$exists": True}}
    return Index(RESOURCE, f"by_{param}_{letter}", keys, partial=partial)


INDEXES: Final[tuple[Index, ...]] = (
    _index(RESOURCE, "by_id", "t k i", unique=True),
    _index(RESOURCE, "by_key", "t k q n"),
    _index(RESOURCE, "by_word", "t k w n", only_with="w"),
    _index(RESOURCE, "by_low", "t k r.p r.v r.w"),
    _index(RESOURCE, "by_high", "t k r.p r.w r.v"),
    _index(RESOURCE, "by_number", "t k l n"),
    _index(RESOURCE, "by_instant", "t k l u n"),
    *(_sorted(param, letter) for param in _SORTED for letter in "ad"),
    _index(VERSION, "by_version", "t k i v", unique=True),
    _index(VERSION, "by_number", "t n"),
    _index(VERSION, "by_type", "t k n"),
    _index(VERSION, "by_past", "t n x", only_with="x"),
    _index(RECORD, "by_name", "t c k", unique=True),
    Index(RECORD, "by_end", (("z", ASCENDING),), expires=True),
    _index(CODE_SYSTEM, "by_url", "t u v"),
    _index(CONCEPT, "by_code", "s c", unique=True),
    _index(CONCEPT, "by_folded", "s f"),
    _index(CONCEPT, "by_place", "s n"),
    _index(CONCEPT, "by_ancestor", "s a n"),
    _index(CONCEPT, "by_parent", "s r n"),
    _index(CONCEPT, "by_property", "s p n"),
    _index(CONCEPT, "by_word", "s w z n"),
    _index(CONCEPT_WORD, "by_word", "s w"),
    _index(CLOSURE, "by_name", "t n", unique=True),
    _index(STUDY, "by_uid", "t u", unique=True),
    _index(STUDY, "by_day", "t day hour u"),
    _index(STUDY, "by_patient", "t pid iss u"),
    _index(STUDY, "by_key", "t q day hour u"),
    _index(STUDY, "by_since", "t since", only_with="since"),
    _index(INSTANCE, "by_uid", "t u", unique=True),
    _index(INSTANCE, "by_place", "t st se u"),
    _index(INSTANCE, "by_blob", "t b"),
    _index(FREED, "by_blob", "t b", unique=True),
    _index(GONE, "by_uids", "t u", unique=True),
)
"""Every index, in the order in which they are made."""


async def states(database: AsyncDatabase[Json]) -> list[State]:
    """Each index, and whether it is there with the same keys."""
    there: dict[tuple[str, str], Any] = {}
    for collection in dict.fromkeys(index.collection for index in INDEXES):
        found = await database[collection].index_information()
        there |= {(collection, name): told for name, told in found.items()}
    out = []
    for index in INDEXES:
        told = there.get((index.collection, index.name), {})
        keys = tuple((name, int(way)) for name, way in told.get("key", ()))
        is_same = keys == index.keys and bool(told.get("unique")) == index.is_unique
        out.append(State(index, is_same))
    return out


async def missing(database: AsyncDatabase[Json]) -> list[Index]:
    """What is to be made, in that order."""
    return [state.index for state in await states(database) if not state.is_there]


async def making(database: AsyncDatabase[Json], index: Index) -> AsyncIterator[str]:
    """Makes an index; tells now and then how far the server is, where it says so."""
    work = asyncio.ensure_future(database[index.collection].create_indexes([index.model]))
    try:
        while not (await asyncio.wait((work,), timeout=_EVERY))[0]:
            if said := await _progress(database, index):
                yield said
        await work
    finally:
        work.cancel()


async def _progress(database: AsyncDatabase[Json], index: Index) -> str | None:
    steps: list[Json] = [
        {"$currentOp": {"allUsers": True}},
        {"$match": {"command.createIndexes": index.collection, "progress": {"$exists": True}}},
        {"$project": {"progress": 1}},
    ]
    try:
        cursor = await database.client.admin.aggregate(steps)
        for found in await cursor.to_list(1):
            done, total = int(found["progress"]["done"]), int(found["progress"]["total"])
            return f"{done:,} of {total:,} documents"
    except OperationFailure:  # the user may not look, or the server cannot tell
        pass
    return None
