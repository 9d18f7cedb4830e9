"""How a search is run here: what is answered first, the indexes the server takes, the time.

The search is run once. What the server says of its plan is told without values; a server that
cannot explain is said to be so.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Final

from pymongo.errors import OperationFailure

from fhirserver.search.expression import Expression, Near, Query
from fhirserver.store.explanation import MOST_TYPES, Figure, condition_step, search_step
from fhirserver.store.mongo.connection import Connection, within
from fhirserver.store.mongo.document import Json
from fhirserver.store.mongo.indexes import RESOURCE
from fhirserver.store.mongo.links import Linker, parts_of
from fhirserver.store.mongo.lower import is_plain
from fhirserver.store.mongo.search import Ask, Searcher
from fhirserver.store.port import Explanation

_COUNTED: Final = ("totalKeysExamined", "totalDocsExamined", "nReturned")
_INNER: Final = ("queryPlan", "inputStage", "inputStages", "shards", "winningPlan")


class Explainer:
    """Explains queries of one tenant."""

    def __init__(self, connection: Connection, searcher: Searcher, patience: float) -> None:
        self._connection = connection
        self._searcher = searcher
        self._patience = patience

    async def explain(self, query: Query) -> Explanation:
        """As `Store.explain`."""
        with within(self._patience):
            return await self._explain(query)

    async def _explain(self, query: Query) -> Explanation:
        start = time.perf_counter()
        asks, linker, types = await self._searcher.asks(query)
        steps = [await self._told(linker, part) for part in parts_of(query.where)]
        plans = [await self._of(ask, types, tuple(steps)) for ask in asks if types]
        planned = time.perf_counter()
        page = await self._searcher.page(query)
        ran = time.perf_counter()
        return search_step(len(types), planned - start, ran - planned, page, tuple(plans))

    async def _of(
        self, ask: Ask, types: tuple[str, ...], steps: tuple[Explanation, ...]
    ) -> Explanation:
        order = [name for name, _ in ask.sort]
        figures: list[Figure] = [("type", type_) for type_ in types[:MOST_TYPES]]
        figures.append(("order", "order of creation" if order == ["n"] else " ".join(order)))
        figures += await self._access(ask)
        return Explanation("plan", tuple(figures), steps)

    async def _told(self, linker: Linker, part: Expression) -> Explanation:
        if is_plain(part):
            return condition_step("source", part)
        if isinstance(part, Near):
            how = "from the box around the circle, by distance"
        elif is_plain(await linker.resolved(part)):
            how = "first, as few are at its other end"
        else:
            how = "for each batch of candidates"
        return condition_step("sought", part, (("answered", how),))

    async def _access(self, ask: Ask) -> list[Figure]:
        """What the server says of how it goes through its indexes, with what it looked at."""
        command = {"explain": ask.command(RESOURCE), "verbosity": "executionStats"}
        try:
            told = await self._connection.database.command(command)
        except OperationFailure as error:
            return [("access", f"not told by this server (code {error.code})")]
        return access(told)


def access(told: Json) -> list[Figure]:
    """The stages of the plans that won, outermost first, with the indexes they use, and how much
    was looked at; of what a server answers to `explain`, from one shard or from several."""
    figures: list[Figure] = []
    counted: dict[str, int] = {}
    for part in _parts(told):
        plan = part.get("queryPlanner", {}).get("winningPlan", {})
        figures += [("access", line) for line in _lines(plan)]
        stats = part.get("executionStats", {})
        for name in _COUNTED:
            if name in stats:
                counted[name] = counted.get(name, 0) + int(stats[name])
    return figures + list(counted.items())


def _parts(told: Json) -> Iterator[Json]:
    """What has a plan: a find, the beginning of an aggregation, each of several shards."""
    yield told
    for stage in told.get("stages", ()):
        yield stage.get("$cursor", {})
    for shard in told.get("shards", {}).values():
        yield from _parts(shard)


def _lines(plan: Any) -> Iterator[str]:
    if isinstance(plan, list):
        for one in plan:
            yield from _lines(one)
    elif isinstance(plan, dict):
        if "stage" in plan:
            yield " ".join(str(plan[name]) for name in ("stage", "indexName") if name in plan)
        for name in _INNER:
            yield from _lines(plan.get(name))
