"""Orders by names and other hashed values are those of a store without encryption."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from store.making import Clock, ids, removal, walk
from store.sealing import MASTER, TENANT

from fhirserver.definitions.packaged import packaged
from fhirserver.errors import Invalid, NotSupported, TooCostly
from fhirserver.model.resource import draft
from fhirserver.search.expression import Query, SortKey, TokenIs, TokenValue
from fhirserver.search.index import Indexer
from fhirserver.store.port import Change, Key
from fhirserver.store.sealed import SealedStore, open_sealed, sorting
from fhirserver.store.sqlite import SqliteStore

FAMILY = SortKey("family", "string")
FEMALE = TokenIs("gender", (TokenValue(None, "female"),))

NAMES = ("Åse", "Asa", "asb", "Zoë", "de la Cruz", "Delacruz", "O'Brien", "Ōe", "李", "a", "A")
KEYS = (
    FAMILY,
    SortKey("family", "string", descending=True),
    SortKey("name", "string"),
    SortKey("identifier", "token"),
    SortKey("birthdate", "date", descending=True),
    SortKey("gender", "token"),
    SortKey("_lastUpdated", "date"),
)


@cache
def _indexer() -> Indexer:
    return Indexer(packaged())


@st.composite
def patients(draw: st.DrawFn) -> list[dict[str, Any]]:
    made = []
    for n in draw(st.permutations(range(draw(st.integers(0, 8))))):
        one: dict[str, Any] = {"resourceType": "Patient", "id": f"p{n}"}
        names = draw(st.lists(st.sampled_from(NAMES), max_size=2))
        if names:
            one["name"] = [{"family": name, "given": [name[::-1]]} for name in names]
        if draw(st.booleans()):
            one["identifier"] = [{"system": "urn:s", "value": draw(st.sampled_from("abA"))}]
        if draw(st.booleans()):
            one["birthDate"] = draw(st.sampled_from(["1970", "1970-01-01", "1953-02-11"]))
        if draw(st.booleans()):
            one["gender"] = draw(st.sampled_from(["male", "female"]))
        made.append(one)
    return made


def _change(resource: dict[str, Any], version: int = 1) -> Change:
    type_, id_ = resource["resourceType"], resource["id"]
    entries = _indexer().entries(resource)
    return Change(type_, id_, version, "PUT", draft(resource, id_, version), entries)


async def _sealed(file: Path, clock: Clock) -> SealedStore:
    return await open_sealed(
        SqliteStore.open(file, clock=clock),
        MASTER,
        tenant=TENANT,
        clock=clock,
        fields=["birthdate"],
        indexer=_indexer(),
    )


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as name:
        yield Path(name)


@given(
    world=patients(),
    sort=st.lists(st.sampled_from(KEYS), min_size=1, max_size=3, unique_by=lambda one: one.param),
    count=st.integers(1, 4),
)
def test_orders_are_those_of_a_plain_store(
    folder: Path, world: list[dict[str, Any]], sort: list[SortKey], count: int
) -> None:
    async def run() -> None:
        clock = Clock()
        plain = SqliteStore.open(folder / "plain.db", clock=clock)
        sealed = await _sealed(folder / "sealed.db", clock)
        for resource in world:
            clock.now += 1_000_000
            await plain.commit([_change(resource)])
            await sealed.commit([_change(resource)])
        query = Query(("Patient",), sort=(*sort, SortKey("_id", "token")), count=count, total=True)
        try:
            assert await walk(sealed, query) == await walk(plain, query)
            page = await sealed.search(query)
            assert page.versions == (await plain.search(query)).versions
            assert page.total == len(world)
        finally:
            await plain.close()
            await sealed.close()

    for path in folder.iterdir():
        path.unlink()
    asyncio.run(run())


@pytest.fixture
async def store(tmp_path: Path, clock: Clock) -> Any:
    opened = await _sealed(tmp_path / "fhir.db", clock)
    yield opened
    await opened.close()


def _named(id: str, family: str) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": id, "name": [{"family": family}], "gender": "female"}


async def test_a_walk_gives_each_once_whatever_changes(store: SealedStore) -> None:
    for id_, family in (("a", "d"), ("b", "b"), ("c", "a"), ("d", "b"), ("e", "c"), ("f", "b")):
        await store.commit([_change(_named(id_, family))])
    query = Query(("Patient",), FEMALE, (FAMILY,), count=2)
    page = await store.search(query)
    assert ids(list(page.versions)) == "c b"
    await store.commit([removal("Patient", "b", 2)])  # where the page ended
    await store.commit([removal("Patient", "a", 2)])  # the first that was stored
    await store.commit([_change(_named("g", "b"))])  # was not there yet
    await store.commit([_change(_named("c", "z"), 2)])  # was given; it comes again, having moved
    rest = await walk(store, replace(query, after=page.next))
    assert [key.id for key in rest] == ["d", "f", "e", "c"]


async def test_too_many_are_refused(store: SealedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sorting, "MOST", 3)
    for n in range(5):
        await store.commit([_change(_named(f"{n}", "a"))])
    with pytest.raises(TooCostly, match="selects fewer"):
        await store.search(Query(("Patient",), FEMALE, (FAMILY,)))
    page = await store.search(Query(("Patient",), FEMALE, (FAMILY,), count=0, total=True))
    assert page.total == 5


async def test_what_is_not_known_is_refused(store: SealedStore) -> None:
    await store.commit([_change(_named("1", "a"))])
    for types, key in (
        ((), FAMILY),
        (("#Patient",), FAMILY),
        (("Patient",), SortKey("eye-colour", "string")),
        (("Patient", "Group"), FAMILY),
    ):
        with pytest.raises(NotSupported):
            await store.search(Query(types, sort=(key,)))


@pytest.mark.parametrize("after", [(), (1,), ("sorted",), ("sorted", "a", "b", "c", "d", 1, 5)])
async def test_another_page_link_is_refused(store: SealedStore, after: tuple[Any, ...]) -> None:
    with pytest.raises(Invalid, match="page link"):
        await store.search(Query(("Patient",), sort=(FAMILY,), after=after))


async def test_names_are_in_order_over_several_pages(store: SealedStore) -> None:
    for n in range(250):
        await store.commit([_change(_named(f"{n:03}", f"{'abc'[n % 3]}{n // 3:03}"))])
    found = await walk(store, Query(("Patient",), FEMALE, (FAMILY,), count=60))
    assert found == [
        Key("Patient", f"{n:03}") for n in sorted(range(250), key=lambda n: (n % 3, n))
    ]
