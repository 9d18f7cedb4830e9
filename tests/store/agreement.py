"""Whether a store finds what `fhirserver.search.match` says, in the order it says."""

from __future__ import annotations

from dataclasses import replace

from strategies.search_documents import Case, Worlds

from fhirserver.model.resource import draft
from fhirserver.search.expression import Expression, Query, SortKey
from fhirserver.search.match import in_order, match
from fhirserver.store.port import Change, Key, Store


async def _fill(store: Store, world: Worlds, clock: list[int]) -> Worlds:
    """Writes the documents, each in its own commit; they come back with their real instants."""
    kept: Worlds = {}
    for key, document in sorted(world.items(), key=lambda item: item[1].last_updated):
        clock[0] = max(0, document.last_updated)
        body = draft({"resourceType": key[0], "id": key[1]}, key[1], 1)
        done = await store.commit([Change(*key, 1, "PUT", body, document.entries)])
        kept[key] = replace(document, last_updated=done.instant)
    return kept


async def _walk(store: Store, query: Query) -> list[Key]:
    found: list[Key] = []
    for _ in range(100):
        page = await store.search(query)
        assert len(page.versions) <= query.count
        found += [Key(version.type, version.id) for version in page.versions]
        if page.next is None:
            return found
        query = replace(query, after=page.next)
    raise AssertionError("the pages do not end")


async def agrees(store: Store, case: Case, clock: list[int], count: int) -> None:
    """Fills the store with the case's world, and asks all that the case asks."""
    world = await _fill(store, case.world, clock)
    whole = await _walk(store, Query(types=(), count=1000))
    assert sorted(whole) == sorted(world)
    for where in case.expressions:
        await _agrees_on(store, world, whole, where, case.sorts, count)


async def _agrees_on(
    store: Store,
    world: Worlds,
    whole: list[Key],
    where: Expression,
    sorts: list[tuple[SortKey, ...]],
    count: int,
) -> None:
    expected = [key for key in whole if match(where, world[key], world)]
    found = await _walk(store, Query(types=(), where=where, count=count, total=True))
    assert found == expected
    page = await store.search(Query(types=(), where=where, count=0, total=True))
    assert page.total == len(expected)
    for type_ in ("Patient", "Observation"):
        some = await _walk(store, Query(types=(type_,), where=where, count=count))
        assert some == [key for key in expected if key.type == type_]
    for sort in sorts:
        ordered = in_order([world[key] for key in expected], sort)
        found = await _walk(store, Query(types=(), where=where, sort=sort, count=count))
        assert found == [(document.type, document.id) for document in ordered]
