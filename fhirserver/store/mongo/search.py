"""Answering a query: the documents of a page's resources first, then their bodies.

A cursor holds the last number that the first page saw, the total, and the place where the page
ended. In an order that a change may alter, a later page leaves out what changed since; by time
of change, it is put where it was.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

from bson import Int64

from fhirserver.search.expression import EVERYTHING, Expression, Query
from fhirserver.store.bounds import check_size
from fhirserver.store.mongo.batch import Found
from fhirserver.store.mongo.condition import Filter, all_of
from fhirserver.store.mongo.connection import Connection, within
from fhirserver.store.mongo.document import SHOWN, Json, container_of, version_of
from fhirserver.store.mongo.guard import Guard
from fhirserver.store.mongo.links import LOOKED_FOR, Linker, Unwritten, batches, split
from fhirserver.store.mongo.order import (
    Column,
    Phase,
    Place,
    Ranked,
    columns_of,
    in_order,
    is_after,
    is_timeless,
    phases,
    place_of,
    values_of,
)
from fhirserver.store.port import Key, SearchPage, Version

_BATCH: Final = 500  # candidates that are looked at together
_BODIES: Final = 500
_COUNTED: Final = 10_000  # matches that an estimate counts
_WINDOWS: Final = 128
_WIDTH: Final = 64
_FIELDS: Final = ("k", "i", "n", "m")


@dataclass(frozen=True, slots=True)
class _Question:
    """A query made ready: `filter` finds candidates, of which `rest` must hold as well."""

    types: tuple[str, ...]
    where: Expression
    filter: Filter
    rest: Expression
    columns: tuple[Column, ...]
    linker: Linker

    @property
    def is_plain(self) -> bool:
        return self.rest == EVERYTHING


@dataclass(frozen=True, slots=True)
class Ask:
    """What the server is asked for a part of a question; `most` resources, or with 0 all.

    `then` is asked once the computed fields are there.
    """

    filter: Filter
    then: Filter
    sort: list[tuple[str, int]]
    computed: Json
    projection: Json
    most: int

    @property
    def size(self) -> int:
        """How many come together."""
        return min(self.most, _BATCH) or _BATCH

    @property
    def whole(self) -> Filter:
        """What is asked, when nothing is computed."""
        if not self.then:
            return self.filter
        return {**self.filter, "$and": [*self.filter.get("$and", ()), self.then]}

    @property
    def steps(self) -> list[Json]:
        """As an aggregation, for an order with fields that are computed."""
        return [
            {"$match": self.filter},
            {"$addFields": self.computed},
            *([{"$match": self.then}] if self.then else []),
            {"$sort": dict(self.sort)},
            *([{"$limit": self.most}] if self.most else []),
            {"$project": self.projection},
        ]

    def command(self, collection: str) -> Json:
        """As a command of the server."""
        if self.computed:
            return {"aggregate": collection, "pipeline": self.steps, "cursor": {}}
        limit = {"limit": self.most} if self.most else {}
        return {"find": collection, "filter": self.whole, "sort": dict(self.sort), **limit}


class _Expunged(Exception):
    """What was found is no more: to be looked for again."""


class Searcher:
    """Answers queries of one tenant."""

    def __init__(self, connection: Connection, tenant: str, guard: Guard, patience: float) -> None:
        self._connection = connection
        self._tenant = tenant
        self._guard = guard
        self._patience = patience

    async def page(self, query: Query) -> SearchPage:
        """As `Store.search`."""
        with within(self._patience):
            while True:
                try:
                    return await self._page(query)
                except _Expunged:
                    continue

    async def _page(self, query: Query) -> SearchPage:
        columns = tuple(columns_of(query.sort))
        place = place_of(query.after, columns)
        head = None if place and query.types else await self._guard.position()
        question = await self._question(
            query.types or (head.types if head else ()), query.where, columns
        )
        total = place.total if place else None
        if query.total and total is None:
            total = await (self._estimate if query.estimate else self._count)(question)
        if not query.count:
            return SearchPage((), total, None)
        rows = await self._rows(question, place, query.count + 1)
        shown = rows[: query.count]
        if query.estimate and total is not None:
            is_all = place is None and len(rows) <= query.count
            total = len(rows) if is_all else max(total, len(rows))
        cursor = None
        if len(rows) > query.count:
            last = shown[-1]
            snapshot = place.snapshot if place else head.number if head else 0
            cursor = Place(snapshot, total, int(last.found["n"]), last.values).cursor
        return SearchPage(await self.versions([row.found for row in shown]), total, cursor)

    async def asks(self, query: Query) -> tuple[list[Ask], Linker, tuple[str, ...]]:
        """What the server is asked for a first page, in parts; of which types."""
        columns = tuple(columns_of(query.sort))
        types = query.types or (await self._guard.position()).types
        question = await self._question(types, query.where, columns)
        parts = phases(question.columns, None)
        asks = [_ask(question, part, query.count + 1) for part in parts]
        return asks, question.linker, question.types

    async def matching(
        self,
        types: Sequence[str],
        where: Expression,
        limit: int,
        unwritten: Mapping[Key, Unwritten],
    ) -> list[Found]:
        """The first resources that match, `limit` at the most, the unwritten ones being so."""
        with within(self._patience):
            question = await self._question(tuple(types), where, (), unwritten)
            found = [row.found for row in await self._rows(question, None, limit)]
            found += await question.linker.unwritten(question.types, question.where)
        return sorted(Found(int(one["n"]), _key(one)) for one in found)[:limit]

    async def following(
        self, types: Sequence[str], number: int, limit: int
    ) -> tuple[list[Version], int | None]:
        """The next resources after a number, and the number after which there are more."""
        head = await self._guard.position()
        question = await self._question(tuple(types) or head.types, EVERYTHING, ())
        place = Place(head.number, None, number, ())
        while True:
            found = [row.found for row in await self._rows(question, place, limit)]
            try:
                versions = await self.versions(found)
            except _Expunged:
                continue
            return versions, int(found[-1]["n"]) if len(found) == limit else None

    async def versions(self, found: Sequence[Json]) -> list[Version]:
        """The current versions that the documents tell of, in their order.

        Raises `_Expunged` for one that has been superseded and taken out since.
        """
        by_number: dict[int, Version] = {}
        for start in range(0, len(found), _BODIES):
            some = found[start : start + _BODIES]
            owners = {container_of(one) for one in some}
            cursor = self._connection.version.find(
                {
                    "t": self._tenant,
                    "n": {"$in": list({one["m"] for one in some})},
                    "k": {"$in": list({key.type for key in owners})},
                    "i": {"$in": list({key.id for key in owners})},
                },
                SHOWN,
            )
            by_number |= {int(one["n"]): version_of(one) for one in await cursor.to_list(None)}
        if any(int(one["m"]) not in by_number for one in found):
            raise _Expunged
        return [by_number[int(one["m"])]._replace(type=one["k"], id=one["i"]) for one in found]

    async def _question(
        self,
        types: tuple[str, ...],
        where: Expression,
        columns: tuple[Column, ...],
        unwritten: Mapping[Key, Unwritten] | None = None,
    ) -> _Question:
        check_size(where)
        linker = Linker(self._connection, self._tenant, unwritten)
        where = await linker.resolved(where)
        types = tuple(dict.fromkeys(types))
        wanted = linker.filter(types, where)
        return _Question(types, where, wanted, split(where)[1], columns, linker)

    async def _count(self, question: _Question) -> int:
        if question.is_plain:
            return int(await self._connection.resource.count_documents(question.filter))
        total = 0
        async with aclosing(self._stream(question, Phase({}, [("n", 1)], {}), None)) as stream:
            async for rows in stream:
                total += len(rows)
        return total

    async def _estimate(self, question: _Question) -> int:
        """Few are counted; of many, those in ranges that lie evenly over all numbers."""
        if not question.is_plain:
            return await self._count(question)
        resources = self._connection.resource
        few = int(await resources.count_documents(question.filter, limit=_COUNTED + 1))
        if few <= _COUNTED:
            return few
        head = await self._guard.position()
        starts = [head.number * n // _WINDOWS for n in range(_WINDOWS)]
        ranges = [{"n": {"$gt": Int64(n), "$lte": Int64(n + _WIDTH)}} for n in starts]
        parts = [*question.filter.get("$and", ()), {"$or": ranges}]
        hits = int(await resources.count_documents({**question.filter, "$and": parts}))
        return max(few, round(hits * head.number / (_WINDOWS * _WIDTH)))

    async def _rows(self, question: _Question, place: Place | None, limit: int) -> list[Ranked]:
        """The next resources in the order of the question."""
        if not question.types:
            return []
        found: list[Ranked] = []
        lasting = _lasting(question.columns, place)
        for phase in phases(question.columns, place):
            part = phase._replace(where=all_of([phase.where, lasting]))
            async with aclosing(self._stream(question, part, limit - len(found))) as stream:
                async for rows in stream:
                    found += rows
                    if len(found) >= limit:
                        return await self._with_changed(question, place, found[:limit], limit)
        return await self._with_changed(question, place, found, limit)

    async def _stream(
        self, question: _Question, phase: Phase, limit: int | None
    ) -> AsyncGenerator[list[Ranked], None]:
        """The resources of a phase in order, in batches; without links at most `limit`."""
        ask = _ask(question, phase, limit)
        cursor: Any
        if ask.computed:
            cursor = await self._connection.resource.aggregate(
                ask.steps, batchSize=ask.size, allowDiskUse=True
            )
        else:
            cursor = self._connection.resource.find(
                ask.whole,
                ask.projection,
                sort=ask.sort,
                limit=ask.most,
                batch_size=ask.size,
            )
        async with aclosing(batches(cursor, ask.size)) as found:
            async for batch in found:
                kept = await question.linker.kept(question.rest, batch)
                yield [Ranked(one, values_of(one, question.columns)) for one in kept]

    async def _with_changed(
        self, question: _Question, place: Place | None, found: list[Ranked], limit: int
    ) -> list[Ranked]:
        """By time of change: those that changed since the first page join where they were."""
        columns = question.columns
        if place is None or not _is_by_time(columns):
            return found
        joined = list(found)
        changed = Phase(
            {"m": {"$gt": Int64(place.snapshot)}, "n": {"$lte": Int64(place.snapshot)}},
            [("n", 1)],
            {},
        )
        async with aclosing(self._stream(question, changed, None)) as stream:
            async for rows in stream:
                then = await self._instants(rows, place.snapshot)
                moved = [
                    Ranked(one, values_of({**one, "u": then[container_of(one)]}, columns))
                    for one, _ in rows
                    if container_of(one) in then
                ]
                joined += [row for row in moved if is_after(row, columns, place)]
                joined = in_order(joined, columns)[:limit]
        return joined

    async def _instants(self, rows: Sequence[Ranked], snapshot: int) -> dict[Key, int]:
        """When the versions that were current at a snapshot had been committed."""
        owners = {container_of(row.found) for row in rows}
        cursor = self._connection.version.find(
            {
                "t": self._tenant,
                "k": {"$in": list({key.type for key in owners})},
                "i": {"$in": list({key.id for key in owners})},
                "n": {"$lte": Int64(snapshot)},
                "x": {"$gt": Int64(snapshot)},
            },
            {"_id": 0, "k": 1, "i": 1, "u": 1},
        )
        return {_key(one): int(one["u"]) for one in await cursor.to_list(None)}


def _ask(question: _Question, phase: Phase, limit: int | None) -> Ask:
    projection: Json = {"_id": 0, **dict.fromkeys(_FIELDS, 1)}
    projection |= {column.path: 1 for column in question.columns}
    if not question.is_plain:
        projection |= LOOKED_FOR
    most = limit if question.is_plain and limit else 0
    return Ask(question.filter, phase.where, phase.sort, phase.computed, projection, most)


def _lasting(columns: Sequence[Column], place: Place | None) -> Filter:
    """What a later page leaves out."""
    if place is None:
        return {}
    snapshot = Int64(place.snapshot)
    if _is_by_time(columns) or not is_timeless(columns):
        return {"m": {"$lte": snapshot}}
    return {"n": {"$lte": snapshot}}


def _is_by_time(columns: Sequence[Column]) -> bool:
    return is_timeless(columns) and any(column.path == "u" for column in columns)


def _key(found: Json) -> Key:
    return Key(found["k"], found["i"])
