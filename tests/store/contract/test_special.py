"""Words and positions follow the current version; a search can be explained."""

from __future__ import annotations

from store.making import commit_all, put, removal, walk

from fhirserver.search.entry import Position, Token, Words
from fhirserver.search.expression import (
    And,
    Chain,
    Expression,
    Near,
    Not,
    Query,
    SortKey,
    TextIs,
    TokenIs,
    TokenValue,
)
from fhirserver.store.port import Explanation, Store

FEVER = TextIs("_content", (("fever",),))
HERE = Near("near", 0.0, 180.0, 10_000.0)


async def found(store: Store, where: Expression) -> list[str]:
    return [key.id for key in await walk(store, Query(("Location",), where, count=2))]


async def test_words_are_those_of_the_current_version(store: Store) -> None:
    entries = {"_content": (Words("fever cough"),), "_text": (Words("cough"),)}
    await commit_all(store, [put("Location", str(n), entries=entries) for n in range(5)])
    assert await found(store, FEVER) == ["0", "1", "2", "3", "4"]
    assert await found(store, TextIs("_text", (("fever",), ("cough", "fever")))) == []
    changed = {"_content": (Words("cough"),)}
    await commit_all(store, [put("Location", "1", 2, changed), removal("Location", "2", 2)])
    assert await found(store, FEVER) == ["0", "3", "4"]
    assert await found(store, Not(FEVER)) == ["1"]
    await commit_all(store, [put("Location", "2", 3, entries), put("Location", "1", 3)])
    assert await found(store, FEVER) == ["0", "2", "3", "4"]
    assert await found(store, TextIs("_content", (("cough",),))) == ["0", "2", "3", "4"]


async def test_words_are_of_one_type_at_a_time(store: Store) -> None:
    entries = {"_content": (Words("fever"),)}
    await commit_all(
        store, [put("Location", "a", entries=entries), put("Group", "a", entries=entries)]
    )
    assert await found(store, FEVER) == ["a"]


async def test_positions_are_those_of_the_current_version(store: Store) -> None:
    entries = {"near": (Position(0.0, 179.99),)}
    await store.commit([put("Location", "a", entries=entries)])
    assert await found(store, HERE) == ["a"]
    await store.commit([put("Location", "a", 2, {"near": (Position(1.0, 179.99),)})])
    assert await found(store, HERE) == []
    await store.commit([put("Location", "a", 3, entries)])
    assert await found(store, HERE) == ["a"]


def texts(step: Explanation) -> list[str]:
    own = [str(value) for _, value in step.figures]
    return own + [text for inner in step.steps for text in texts(inner)]


async def test_a_search_is_explained_without_its_values(store: Store) -> None:
    entries = {"code": (Token("", "secret"),), "_content": (Words("fever"),)}
    await store.commit([put("Location", "a", entries=entries, name="Somewhere")])
    is_it = TokenIs("code", (TokenValue(None, "secret"),))
    where = And((is_it, FEVER, HERE, Chain("partof", ("Location",), Not(is_it))))
    for query in (
        Query(("Location",), where),
        Query((), is_it, total=True),
        Query(("Location",), is_it, sort=(SortKey("_id", "token"),), count=0),
        Query(("Nothing",)),
    ):
        told = texts(await store.explain(query))
        assert told
        assert not any(word in text for text in told for word in ("secret", "Somewhere", "fever"))
