"""What is told of a plan of MongoDB. The wire has none, so its answers stand here in the forms
that MongoDB's manual gives ("Explain Results"), with values that must not be told."""

from __future__ import annotations

from typing import Any

import pytest
from store.conftest import FreshDatabase
from store.making import Clock, put
from wire.server import REPLICA_SET

from fhirserver.search.entry import Token
from fhirserver.search.expression import Query, SortKey, TokenIs, TokenValue
from fhirserver.store.mongo import MongoStore
from fhirserver.store.mongo.explain import access

SCAN = {"stage": "IXSCAN", "indexName": "by_key", "indexBounds": {"q": ['["secret", "secret"]']}}
FETCH = {"stage": "FETCH", "filter": {"i": {"$eq": "secret"}}, "inputStage": SCAN}
STATS = {"nReturned": 1, "totalKeysExamined": 3, "totalDocsExamined": 2, "executionStages": {}}
COUNTED = {"nReturned": 1, "totalKeysExamined": 3, "totalDocsExamined": 2}


def found(plan: Any) -> dict[str, Any]:
    return {"queryPlanner": {"winningPlan": plan, "rejectedPlans": [SCAN]}, "executionStats": STATS}


OF_SHARDS = {
    "stage": "SHARD_MERGE",
    "shards": [{"shardName": "a", "winningPlan": FETCH}, {"shardName": "b", "winningPlan": FETCH}],
}
EITHER = {"stage": "OR", "inputStages": [SCAN, {"stage": "IXSCAN", "indexName": "by_id"}]}
AGGREGATED = {"stages": [{"$cursor": found(FETCH)}, {"$sort": {"sortKey": {"s1": 1}}}]}


@pytest.mark.parametrize(
    ("told", "lines", "times"),
    [
        (found(FETCH), ["FETCH", "IXSCAN by_key"], 1),
        (found({"queryPlan": FETCH, "slotBasedPlan": {"stages": "secret"}}),
         ["FETCH", "IXSCAN by_key"], 1),
        (found(EITHER), ["OR", "IXSCAN by_key", "IXSCAN by_id"], 1),
        (found(OF_SHARDS), ["SHARD_MERGE", *["FETCH", "IXSCAN by_key"] * 2], 1),
        (AGGREGATED, ["FETCH", "IXSCAN by_key"], 1),
        ({"shards": {"a": AGGREGATED, "b": found(SCAN)}},
         ["FETCH", "IXSCAN by_key", "IXSCAN by_key"], 2),
        ({}, [], 0),
    ],
    ids=["find", "slot based", "or", "sharded", "aggregate", "sharded aggregate", "nothing"],
)  # fmt: skip
def test_stages_indexes_and_counts_are_told(told: Any, lines: list[str], times: int) -> None:
    figures = access(told)
    assert [line for name, line in figures if name == "access"] == lines
    counted = {name: count for name, count in figures if name != "access"}
    assert counted == ({name: count * times for name, count in COUNTED.items()} if times else {})
    assert "secret" not in str(figures)


@pytest.mark.mongodb
@pytest.mark.parametrize("sort", [(), (SortKey("gender", "token"), SortKey("name", "string"))])
async def test_the_server_is_asked_for_the_plan_of_the_search(
    fresh_database: FreshDatabase,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    sort: tuple[SortKey, ...],
) -> None:
    store = await MongoStore.open(fresh_database(REPLICA_SET), clock=clock)
    asked: list[Any] = []

    class Database:
        """A server that has plans."""

        async def command(self, command: Any) -> Any:
            asked.append(command)
            return found(FETCH)

    try:
        await store.commit([put("Patient", "1", entries={"code": (Token("s", "secret"),)})])
        monkeypatch.setattr(store._explainer._connection, "database", Database())
        where = TokenIs("code", (TokenValue("s", "secret"),))
        told = await store.explain(Query(("Patient",), where, sort))
    finally:
        await store.close()
    assert len(told.steps) == len(asked) == 1 + len(sort)
    for plan in told.steps:
        lines = [line for name, line in plan.figures if name == "access"]
        assert lines == ["FETCH", "IXSCAN by_key"]
        assert ("totalKeysExamined", 3) in plan.figures
    for command in asked:
        assert command["verbosity"] == "executionStats"
        assert command["explain"].get("find", command["explain"].get("aggregate")) == "resource"
        assert "secret" in str(command["explain"])
    assert dict(told.figures)["found"] == 1
    assert "secret" not in str(told)
