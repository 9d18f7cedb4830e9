"""What a filter cannot tell: chains and `_has`, which look at other resources, and distances.

A link whose other end selects few resources is answered first, and becomes a plain condition
(the resources that refer to one of these; those that these refer to). Any other link is
looked at from this end, for a batch of candidates at a time: the ids asked for at once are
bounded on both ways, whatever the number of resources. A distance is computed for what lies
in the box that holds the circle.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final, NamedTuple

from fhirserver.errors import TooCostly
from fhirserver.search.contained import is_contained
from fhirserver.search.distance import distance
from fhirserver.search.expression import (
    EVERYTHING,
    NOTHING,
    And,
    Chain,
    Expression,
    Has,
    IdIs,
    Near,
    Not,
    Or,
    ReferenceIs,
    Target,
    TypeIs,
)
from fhirserver.search.match import Document, match
from fhirserver.store.mongo.condition import Filter
from fhirserver.store.mongo.connection import Connection, within
from fhirserver.store.mongo.document import Json, indexed
from fhirserver.store.mongo.keys import references
from fhirserver.store.mongo.lower import bound, is_plain
from fhirserver.store.port import Key

FEW: Final = 1000
"""So many resources at the other end are few."""

LOOKED_AT: Final = 20_000
"""Candidates that may be looked at to find out whether there are few."""

_FEW_TARGETS: Final = 5000
_IDS: Final = 500
_BATCH: Final = 500
_QUICK: Final = 0.2  # seconds of a count that tells whether there are few


LOOKED_FOR: Final[Json] = {"k": 1, "i": 1, "q": 1, "r": 1}
"""The fields that tell what a filter cannot."""


class Unwritten(NamedTuple):
    """A resource as a commit that is not written yet makes it (None: deletes it), and the number
    of its first version."""

    document: Document | None
    number: int


class Linker:
    """Answers one search. `unwritten` are resources that are to be taken as other than stored."""

    def __init__(
        self,
        connection: Connection,
        tenant: str,
        unwritten: Mapping[Key, Unwritten] | None = None,
    ) -> None:
        self._resources = connection.resource
        self._tenant = tenant
        self._unwritten = unwritten or {}

    async def resolved(self, where: Expression) -> Expression:
        """The same condition, with the links that select few made plain ones."""
        match where:
            case And(parts):
                return And(tuple([await self.resolved(part) for part in parts]))
            case Or(parts):
                return Or(tuple([await self.resolved(part) for part in parts]))
            case Not(part):
                return Not(await self.resolved(part))
            case Chain(param, types, inner):
                return await self._resolved_chain(Chain(param, types, await self.resolved(inner)))
            case Has(type_, param, inner):
                return await self._resolved_has(Has(type_, param, await self.resolved(inner)))
            case _:
                return where

    async def _resolved_chain(self, chain: Chain) -> Expression:
        few = await self._few(chain.types, chain.where)
        if few is None:
            return chain
        targets = tuple(Target(found["k"], found["i"]) for found in few)
        return ReferenceIs(chain.param, targets) if targets else NOTHING

    async def _resolved_has(self, has: Has) -> Expression:
        few = await self._few((has.type,), has.where)
        if few is None:
            return has
        targets = {
            Key(*pair): None for found in few for pair in references(found.get("q", []), has.param)
        }
        if len(targets) > _FEW_TARGETS or any(is_contained(key.type) for key in targets):
            return has
        return any_of_keys(targets)

    async def _few(self, types: Sequence[str], where: Expression) -> list[Json] | None:
        """What the condition selects; None if that is much, or much must be looked at for it."""
        rest = split(where)[1]
        if rest == EVERYTHING and await self._is_much(types, where):
            return None
        few: list[Json] = []
        looked_at = 0
        async with aclosing(self._find(types, where)) as found:
            async for batch in found:
                few += await self.kept(rest, batch)
                looked_at += len(batch)
                if len(few) > FEW or looked_at > LOOKED_AT:
                    return None
        return few

    async def _is_much(self, types: Sequence[str], where: Expression) -> bool:
        """A quick count, which goes no further than it must, nor longer than it may."""
        query = self.filter(types, where)
        try:
            with within(_QUICK):
                count = await self._resources.count_documents(query, limit=FEW + 1)
        except TooCostly:
            return True
        return int(count) > FEW

    def filter(
        self, types: Sequence[str], where: Expression, ids: Sequence[str] | None = None
    ) -> Filter:
        """The written resources of the types (and ids) within the bounds of the condition."""
        of_type: Any = types[0] if len(types) == 1 else {"$in": list(types)}
        among: Filter = {} if ids is None else {"i": {"$in": list(ids)}}
        inside = any(map(is_contained, types))
        parts = [among, bound(where, inside), self._written(types)]
        return {
            "t": self._tenant,
            "k": of_type,
            "l": True,
            **({"$and": wanted} if (wanted := [part for part in parts if part]) else {}),
        }

    def _written(self, types: Sequence[str]) -> Filter:
        keys = [key for key in self._unwritten if key.type in types]
        parts: list[Filter] = [{"k": type_, "i": {"$in": ids}} for type_, ids in _chunks(keys)]
        return {"$nor": parts} if parts else {}

    async def unwritten(self, types: Sequence[str], where: Expression) -> list[Json]:
        """The unwritten resources of the types that fulfil the condition."""
        plain, rest = split(where)
        return await self.kept(rest, self._unwritten_within(types, plain, None))

    def _unwritten_within(
        self, types: Sequence[str], plain: Expression, ids: Sequence[str] | None
    ) -> list[Json]:
        return [
            {"k": key.type, "i": key.id, "n": number, **indexed(document.entries)}
            for key, (document, number) in self._unwritten.items()
            if key.type in types
            and (ids is None or key.id in ids)
            and document is not None
            and match(plain, document)
        ]

    async def kept(self, where: Expression, batch: Sequence[Json]) -> list[Json]:
        """The documents of a batch (with their keys) whose resources fulfil the condition."""
        if where == EVERYTHING:
            return list(batch)
        holding = await self._holding(where, {_key(found): found for found in batch})
        return [found for found in batch if _key(found) in holding]

    async def _holding(self, where: Expression, docs: dict[Key, Json]) -> set[Key]:
        if not docs:
            return set()
        if is_plain(where):
            return await self._plainly(where, docs)
        match where:
            case And(parts):
                plain, rest = split(where)
                holding = await self._plainly(plain, docs) if plain != EVERYTHING else set(docs)
                for linked in parts_of(rest):
                    holding = await self._holding(linked, {key: docs[key] for key in holding})
                return holding
            case Or(parts):
                holding = set()
                for part in parts:
                    others = {key: found for key, found in docs.items() if key not in holding}
                    holding |= await self._holding(part, others)
                return holding
            case Not(part):
                return set(docs) - await self._holding(part, docs)
            case Near():
                return {key for key, found in docs.items() if _is_near(where, found)}
            case Chain():
                return await self._chained(where, docs)
            case Has():
                return await self._referred(where, docs)
            case _:
                raise AssertionError(where)

    async def _plainly(self, where: Expression, docs: Iterable[Key]) -> set[Key]:
        """Which of the resources fulfil a plain condition."""
        holding: set[Key] = set()
        for type_, ids in _chunks(docs):
            async for batch in self._find((type_,), where, ids, {"k": 1, "i": 1}):
                holding |= {_key(found) for found in batch}
        return holding

    async def _chained(self, chain: Chain, docs: dict[Key, Json]) -> set[Key]:
        targets: dict[Key, list[Key]] = {}
        for key, found in docs.items():
            for target in references(found.get("q", []), chain.param):
                if target[0] in chain.types:
                    targets.setdefault(Key(*target), []).append(key)
        rest = split(chain.where)[1]
        holding: set[Key] = set()
        for type_, ids in _chunks(targets):
            async for batch in self._find((type_,), chain.where, ids):
                for found in await self.kept(rest, batch):
                    holding.update(targets[_key(found)])
        return holding

    async def _referred(self, has: Has, docs: dict[Key, Json]) -> set[Key]:
        rest = split(has.where)[1]
        holding: set[Key] = set()
        for type_, ids in _chunks(docs):
            here = ReferenceIs(has.param, tuple(Target(type_, id_) for id_ in ids))
            asked = {Key(type_, id_) for id_ in ids}
            async with aclosing(self._find((has.type,), And((here, has.where)))) as referrers:
                async for batch in referrers:
                    for found in await self.kept(rest, batch):
                        pairs = references(found.get("q", []), has.param)
                        holding |= asked & {Key(*pair) for pair in pairs}
                    if asked <= holding:
                        break
        return holding

    async def _find(
        self,
        types: Sequence[str],
        where: Expression,
        ids: Sequence[str] | None = None,
        fields: Json | None = None,
    ) -> AsyncGenerator[list[Json], None]:
        """Current resources within the bounds of the condition, a batch at a time."""
        if self._unwritten:
            yield self._unwritten_within(types, split(where)[0], ids)
        cursor = self._resources.find(
            self.filter(types, where, ids),
            {"_id": 0, **(fields or LOOKED_FOR)},
            batch_size=_BATCH,
        )
        async for batch in batches(cursor, _BATCH):
            yield batch


async def batches(cursor: Any, size: int) -> AsyncGenerator[list[Json], None]:
    """What a cursor gives, in lists of a size."""
    try:
        while True:
            found = await cursor.to_list(size)
            if not found:
                return
            yield found
            if len(found) < size:
                return
    finally:
        await cursor.close()


def split(where: Expression) -> tuple[Expression, Expression]:
    """What a filter can tell, and what it cannot: both must hold."""
    parts = parts_of(where)
    plain = tuple(part for part in parts if is_plain(part))
    return And(plain), And(tuple(part for part in parts if not is_plain(part)))


def parts_of(where: Expression) -> tuple[Expression, ...]:
    """The conditions that must all hold."""
    if isinstance(where, And):
        return tuple(part for inner in where.parts for part in parts_of(inner))
    return (where,)


def _is_near(near: Near, found: Json) -> bool:
    return any(
        distance(near.latitude, near.longitude, place["v"], place["w"]) <= near.metres
        for place in found.get("r", ())
        if place["p"] == near.param
    )


def _key(found: Json) -> Key:
    return Key(found["k"], found["i"])


def _chunks(keys: Iterable[Key]) -> list[tuple[str, list[str]]]:
    by_type: dict[str, list[str]] = {}
    for key in keys:
        by_type.setdefault(key.type, []).append(key.id)
    return [
        (type_, ids[start : start + _IDS])
        for type_, ids in by_type.items()
        for start in range(0, len(ids), _IDS)
    ]


def any_of_keys(keys: Iterable[Key]) -> Expression:
    """That a resource is one of these."""
    by_type: dict[str, list[str]] = {}
    for key in keys:
        by_type.setdefault(key.type, []).append(key.id)
    return Or(tuple(And((TypeIs((name,)), IdIs(tuple(ids)))) for name, ids in by_type.items()))
