"""Concepts: in step with their resource, staged unseen, found by words."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store.making import Clock
from stores import open_store

from fhirserver.definitions.value_set import Filter
from fhirserver.errors import FhirError
from fhirserver.model.resource import draft
from fhirserver.search.entry import Uri
from fhirserver.store.port import Change, Stale, Store
from fhirserver.terminology.concept import Concept, concept_set
from fhirserver.terminology.in_memory import MemorySystem
from fhirserver.terminology.source import Source
from fhirserver.terminology.words import Query

URL = "http://example.org/system"


@pytest.fixture
async def store(each_store: str, tmp_path: Path, clock: Clock) -> AsyncIterator[Store]:
    opened = await open_store(tmp_path / "fhir.db", clock)
    yield opened
    await opened.close()


def system(*concepts: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "CodeSystem",
        "url": URL,
        "version": "1",
        "status": "active",
        "content": "complete",
        "concept": list(concepts),
    } | more


def change(resource: dict[str, Any] | None, version: int, id: str = "s") -> Change:
    if resource is None:
        return Change("CodeSystem", id, version, "DELETE", None)
    body = draft(resource, id, version)
    entries = {"url": (Uri(resource["url"]),)}
    return Change("CodeSystem", id, version, "PUT", body, entries, concepts=concept_set(resource))


async def known(store: Store, url: str = URL) -> list[str]:
    def question(source: Source) -> list[str]:
        return [item.code for found in source.code_systems(url) for item in found.select(())]

    return await store.concepts.ask(question)


async def test_concepts_come_change_and_go_with_the_resource(store: Store) -> None:
    await store.commit([change(system({"code": "a"}, {"code": "b"}), 1)])
    assert await known(store) == ["a", "b"]
    await store.commit([change(system({"code": "c"}), 2)])
    assert await known(store) == ["c"]
    await store.commit([change(system({"code": "d"}, url="http://example.org/other"), 3)])
    assert await known(store) == []
    assert await known(store, "http://example.org/other") == ["d"]
    await store.commit([change(None, 4)])
    assert await known(store, "http://example.org/other") == []
    assert await store.concepts.code_systems() == []


async def test_a_refused_commit_changes_no_concept(store: Store) -> None:
    await store.commit([change(system({"code": "a"}), 1)])
    with pytest.raises(Stale):
        await store.commit([change(system({"code": "b"}), 1)])
    assert await known(store) == ["a"]


async def test_what_is_staged_is_seen_with_its_resource(store: Store) -> None:
    concepts = [Concept(f"c{n}", f"Number {n}", (), {"code": f"c{n}"}) for n in range(12_000)]
    told: list[int] = []
    assert await store.concepts.stage(URL, "1", concepts, told.append) == 12_000
    assert told[-1] == 12_000
    assert await known(store) == []
    await store.commit([change(system(content="not-present"), 1)])
    assert len(await known(store)) == 12_000
    (count,) = await store.concepts.code_systems()
    assert (count.url, count.version, count.content, count.concepts) == (
        URL,
        "1",
        "complete",
        12_000,
    )


async def test_a_change_of_the_resource_keeps_what_was_imported(store: Store) -> None:
    await store.concepts.stage(URL, "1", [Concept("a", "A", (), {"code": "a"})], print)
    await store.commit([change(system(content="not-present"), 1)])
    await store.commit([change(system(content="not-present", title="Renamed"), 2)])
    assert await known(store) == ["a"]
    await store.concepts.stage(URL, "1", [Concept("b", "B", (), {"code": "b"})], print)
    assert await known(store) == ["a"]
    await store.commit([change(system(content="not-present", title="Again"), 3)])
    assert await known(store) == ["b"]


async def test_an_import_that_was_broken_off_leaves_nothing(store: Store) -> None:
    def breaking() -> Any:
        yield Concept("a", "A", (), {"code": "a"})
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await store.concepts.stage(URL, "1", breaking(), print)
    await store.commit([change(system(content="not-present"), 1)])
    assert await known(store) == []
    await store.concepts.stage(URL, "1", [Concept("b", "B", (), {"code": "b"})], print)
    await store.commit([change(system(content="not-present", title="x"), 2)])
    assert await known(store) == ["b"]


async def test_codes_without_case(store: Store) -> None:
    await store.commit([change(system({"code": "aB"}, caseSensitive=False), 1)])

    def question(source: Source) -> list[str | None]:
        (found,) = source.code_systems(URL)
        return [item and item.code for item in map(found.find, ("ab", "AB", "abc"))]

    assert await store.concepts.ask(question) == ["aB", "aB", None]


NAMES = ["Acute pain", "Chest pain", "Pain (acute)", "Élan vital", "Pneumonia", "Pneumonie"]
TREES = st.lists(
    st.tuples(st.sampled_from(NAMES), st.integers(0, 6), st.sampled_from(["x", "y"])),
    min_size=1,
    max_size=9,
)


@settings(max_examples=20)
@given(TREES, st.sampled_from(["pain", "acute p", "elan", "pneu", "n3", "zzz"]))
async def test_the_store_answers_as_memory_does(
    each_store: str,
    tmp_path_factory: pytest.TempPathFactory,
    tree: list[tuple[str, int, str]],
    text: str,
) -> None:
    """Hierarchies with several parents, circles included; filters and words."""
    concepts = [
        {
            "code": f"n{n}",
            "display": name,
            "property": [
                {"code": "parent", "valueCode": f"n{parent}"},
                {"code": "parent", "valueCode": f"n{(parent * 3) % 7}"},
                {"code": "kind", "valueCode": kind},
            ],
        }
        for n, (name, parent, kind) in enumerate(tree)
    ]
    resource = system(*concepts, property=[{"code": "kind", "type": "code"}])
    memory = MemorySystem(concept_set(resource))
    store = await open_store(tmp_path_factory.mktemp("s") / "fhir.db", lambda: 0)
    query = Query.of(text)
    assert query is not None

    def question(source: Source) -> None:
        (stored,) = source.code_systems(URL)
        codes = [item["code"] for item in concepts]
        for code in codes:
            assert stored.find(code) == memory.find(code)
            assert set(stored.above(code)) == set(memory.above(code))
            assert set(stored.children(code)) == set(memory.children(code))
            for other in codes:
                assert stored.is_below(code, other) == memory.is_below(code, other)
        for filter in (
            Filter("concept", "is-a", "n0"),
            Filter("concept", "descendent-of", "n1"),
            Filter("concept", "is-not-a", "n0"),
            Filter("kind", "=", "x"),
            Filter("kind", "in", "x,y"),
        ):
            assert list(stored.select((filter,))) == list(memory.select((filter,)))
            found = {item.code for item in stored.search(query, (filter,))}
            assert found == {item.code for item in memory.search(query, (filter,))}

    try:
        await store.commit([change(resource, 1)])
        await store.concepts.ask(question)
    finally:
        await store.close()


async def test_a_question_that_fails_tells_it(store: Store) -> None:
    def question(source: Source) -> None:
        raise FhirError("no")

    with pytest.raises(FhirError, match="no"):
        await store.concepts.ask(question)


async def test_a_question_that_is_broken_off_holds_no_old_snapshot(store: Store) -> None:
    await store.commit([change(system({"code": "a"}, {"code": "b"}), 1)])
    kept: list[Any] = []

    def question(source: Source) -> None:
        (found,) = source.code_systems(URL)
        kept.append(found.select(()))
        next(kept[0])

    await store.concepts.ask(question)
    await store.commit([change(system({"code": "c"}), 2)])
    assert await known(store) == ["c"]
    version = await store.read("CodeSystem", "s")
    assert version is not None
    assert version.version == 2
