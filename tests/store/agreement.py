"""Whether a store finds what `fhirserver.search.match` says, in the order it says."""

from __future__ import annotations

from dataclasses import replace

from strategies.search_documents import CONTAINED_TYPES, Case, Worlds

from fhirserver.model.resource import draft
from fhirserver.search.expression import Expression, Query, SortKey
from fhirserver.search.match import Document, World, in_order, match, world_of
from fhirserver.store.port import Change, Key, Store


async def _fill(store: Store, case: Case, clock: list[int]) -> Worlds:
    """Writes the documents, each in its own commit; they come back with their real instants.

    What was there earlier is written before, in one commit, and replaced or deleted.
    """
    await store.commit([_change(document, 1) for document in case.earlier.values()])
    gone = [Change(*key, 2, "DELETE", None) for key in case.earlier.keys() - case.world.keys()]
    await store.commit(gone)
    kept: Worlds = {}
    for key, document in sorted(case.world.items(), key=lambda item: item[1].last_updated):
        clock[0] = max(0, document.last_updated)
        done = await store.commit([_change(document, 2 if key in case.earlier else 1)])
        kept[key] = replace(document, last_updated=done.instant)
    return kept


def _change(document: Document, version: int) -> Change:
    key = document.type, document.id
    body = draft({"resourceType": key[0], "id": key[1]}, key[1], version)
    return Change(*key, version, "PUT", body, document.entries)


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
    kept = await _fill(store, case, clock)
    world = world_of(kept.values())
    whole = await _walk(store, Query(types=(), count=1000))
    assert sorted(whole) == sorted(kept)
    inside = await _walk(store, Query(types=CONTAINED_TYPES, count=1000))
    assert sorted(whole + inside) == sorted(world)
    for where in case.expressions:
        await _agrees_on(store, world, whole, where, case.sorts, count)
        await _agrees_inside(store, world, inside, where, case.sorts, count)


async def _agrees_on(
    store: Store,
    world: World,
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


async def _agrees_inside(
    store: Store,
    world: World,
    inside: list[Key],
    where: Expression,
    sorts: list[tuple[SortKey, ...]],
    count: int,
) -> None:
    """The same of contained resources, alone and with others of their type."""
    expected = [key for key in inside if match(where, world[key], world)]
    asked = Query(types=CONTAINED_TYPES, where=where, count=count)
    assert await _walk(store, asked) == expected
    page = await store.search(
        Query(types=("Patient", "#Patient"), where=where, count=0, total=True)
    )
    both = [key for key in world if key[0] in ("Patient", "#Patient")]
    assert page.total == sum(match(where, world[key], world) for key in both)
    for sort in sorts:
        ordered = in_order([world[key] for key in expected], sort)
        found = await _walk(store, replace(asked, sort=sort))
        assert found == [(document.type, document.id) for document in ordered]
