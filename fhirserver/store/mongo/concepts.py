"""The concepts of a tenant in a MongoDB database: the port's verbs.

Questions are synchronous, so they are asked in a thread, with a client of their own. One question
sees each definition as it was when it first looked; two definitions may be of two commits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar

from bson import Int64
from pymongo import MongoClient, ReadPreference
from pymongo.database import Database
from pymongo.read_concern import ReadConcern

from fhirserver.errors import TooCostly
from fhirserver.store.concepts import ClosureCode, ClosureTable, SystemCount
from fhirserver.store.mongo.concept_import import stage
from fhirserver.store.mongo.concept_source import MongoSource, Shelf
from fhirserver.store.mongo.connection import Connection, client_options, translated, within
from fhirserver.store.mongo.document import Json
from fhirserver.store.mongo.guard import Guard
from fhirserver.store.mongo.indexes import CLOSURE
from fhirserver.terminology.concept import Concept
from fhirserver.terminology.source import Source

_T = TypeVar("_T")
_ATTEMPTS: Final = 20


class MongoConcepts:
    """A `fhirserver.store.concepts.ConceptStore`."""

    def __init__(self, connection: Connection, tenant: str, guard: Guard, patience: float) -> None:
        self._connection = connection
        self._tenant = tenant
        self._guard = guard
        self._patience = patience
        self._shelf = Shelf()
        self._client: MongoClient[Json] | None = None

    async def ask(self, question: Callable[[Source], _T]) -> _T:
        return await self._read(question)

    async def code_systems(self) -> list[SystemCount]:
        return await self._read(lambda source: source.counts())

    async def stage(
        self,
        url: str,
        version: str | None,
        concepts: Iterable[Concept],
        told: Callable[[int], None] = lambda number: None,
    ) -> int:
        with translated():
            return await stage(
                self._connection, self._tenant, self._guard, url, version, concepts, told
            )

    async def begin_closure(self, name: str) -> None:
        table = {"$set": {"v": 0, "codes": []}}
        with translated():
            await self._connection.database[CLOSURE].update_one(
                {"t": self._tenant, "n": name}, table, upsert=True
            )

    async def extend_closure(
        self, name: str, codes: Sequence[tuple[str, str]], most: int
    ) -> ClosureTable | None:
        tables = self._connection.database[CLOSURE]
        with translated():
            for _ in range(_ATTEMPTS):
                found = await tables.find_one({"t": self._tenant, "n": name})
                if found is None:
                    return None
                known = [ClosureCode(one["s"], one["c"], int(one["v"])) for one in found["codes"]]
                before = int(found["v"])
                there = {(item.system, item.code) for item in known}
                fresh = [pair for pair in dict.fromkeys(codes) if pair not in there]
                new = [ClosureCode(*pair, before + 1) for pair in fresh]
                if len(known) + len(new) > most:
                    raise TooCostly(f"A closure table has at most {most} codes: begin another.")
                if not new:
                    return ClosureTable(known, before)
                added = [{"s": item.system, "c": item.code, "v": item.version} for item in new]
                written = await tables.update_one(
                    {"_id": found["_id"], "v": before},
                    {"$set": {"v": Int64(before + 1)}, "$push": {"codes": {"$each": added}}},
                )
                if written.matched_count:
                    return ClosureTable([*known, *new], before)
        raise TooCostly("Others extend this closure table meanwhile. Try again.")

    async def close(self) -> None:
        """Ends the client of the threads."""
        if self._client is not None:
            await asyncio.to_thread(self._client.close)

    async def _read(self, question: Callable[[MongoSource], _T]) -> _T:
        def ask() -> _T:
            with translated(), within(self._patience):
                return question(MongoSource(self._database(), self._tenant, self._shelf))

        return await asyncio.to_thread(ask)

    def _database(self) -> Database[Json]:
        place = self._connection.place
        if self._client is None:
            self._client = MongoClient(place.url, **client_options(place.url))
        return self._client.get_database(
            place.database,
            read_preference=ReadPreference.PRIMARY,
            read_concern=ReadConcern("majority"),
        )
