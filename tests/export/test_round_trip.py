"""A store as files, and as a store again: nothing is lost, nothing changes."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
from store.conftest import FreshDatabase, fresh_database
from store.contract.conftest import STORES
from store.making import Clock, commit_all, put, removal, walk_history

from fhirserver.definitions.packaged import packaged
from fhirserver.export.restore import NotRestorable, restore
from fhirserver.export.write import Export, export
from fhirserver.model.temporal import format_instant
from fhirserver.search.expression import Query, TokenIs, TokenValue
from fhirserver.search.index import Indexer
from fhirserver.store.port import Expunge, HistoryQuery, Store, Version
from fhirserver.store.sqlite import SqliteStore

BASE = "http://example.org/fhir"
__all__ = ["fresh_database"]  # the fixture
INDEXER = Indexer(packaged(), "all")


PAIRS = [
    pytest.param((one, other), marks=[*STORES[one][1], *STORES[other][1]], id=f"{one}-{other}")
    for one in STORES
    for other in STORES
    if one == "sqlite" or other in ("sqlite", one)
]


@pytest.fixture(params=PAIRS)
async def stores(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    clock: Clock,
    fresh_database: FreshDatabase,
) -> AsyncIterator[tuple[Store, Store]]:
    """A store to export and another one, empty, of each pair of kinds."""
    opened = []
    for place, name in zip(("one", "other"), request.param, strict=True):
        (tmp_path / place).mkdir()
        opened.append(await STORES[name][0](tmp_path / place, clock, fresh_database))
    yield opened[0], opened[1]
    for store in opened:
        await store.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def sqlite(folder: Path, clock: Clock) -> Store:
    folder.mkdir(exist_ok=True)
    return SqliteStore.open(folder / "fhir.db", clock=clock)


async def fill(store: Store, clock: Clock) -> None:
    """Three patients with histories of all kinds, a Bundle, and many groups."""
    await commit_all(store, [put("Patient", "a", birthDate="1970"), put("Patient", "b")])
    clock.now += 5_000
    await store.commit([put("Patient", "a", 2, method="PATCH", gender="male")])
    await commit_all(store, [removal("Patient", "b", 2), put("Patient", "c", method="POST")])
    clock.now += 1_000_000
    await store.commit([put("Bundle", "x", total=0)])
    await store.commit([put("Patient", "b", 3)])
    await commit_all(store, [put("Group", f"g{number:03}") for number in range(150)])
    clock.now += 1_000
    await commit_all(store, [put("Patient", "a", 3, gender="female"), put("Patient", "d")])
    await store.commit([removal("Patient", "d", 2)])
    await store.expunge(Expunge("Patient", "c", previous=True, deleted=True))


async def history(store: Store) -> list[Version]:
    return await walk_history(store, HistoryQuery(count=1000))


def current(versions: list[Version]) -> dict[tuple[str, str], bytes]:
    """The bytes of what is current, from a history."""
    found: dict[tuple[str, str], bytes | None] = {}
    for version in versions:
        found.setdefault((version.type, version.id), version.body)
    return {key: body for key, body in found.items() if body is not None}


@pytest.mark.parametrize("is_packed", [False, True])
async def test_a_history_comes_back_as_it_was(
    stores: tuple[Store, Store], tmp_path: Path, clock: Clock, is_packed: bool
) -> None:
    one, other = stores
    await fill(one, clock)
    folder = tmp_path / "out"
    manifest = await export(one, folder, Export(history=True, gzip=is_packed))
    assert [file.count for file in manifest.files] == [len(await history(one))]
    assert await restore(other, folder, INDEXER, BASE) == len(await history(one))
    assert await history(other) == await history(one)
    assert await other.counts() == await one.counts()
    query = Query(("Patient",), TokenIs("gender", (TokenValue(None, "female"),)))
    assert [version.id for version in (await other.search(query)).versions] == ["a"]


async def test_current_versions_come_back_with_their_bytes(
    stores: tuple[Store, Store], tmp_path: Path, clock: Clock
) -> None:
    one, other = stores
    await fill(one, clock)
    folder = tmp_path / "out"
    await export(one, folder, Export())
    names = sorted(file.name for file in folder.iterdir())
    assert names == ["Bundle.ndjson", "Group.ndjson", "Patient.ndjson", "manifest.json"]
    await restore(other, folder, INDEXER, BASE)
    assert current(await history(other)) == current(await history(one))
    again = await other.read("Patient", "a")
    assert again is not None
    assert again.version == 3


async def test_an_export_is_of_one_moment(tmp_path: Path, clock: Clock) -> None:
    store = sqlite(tmp_path, clock)
    await commit_all(store, [put("Patient", f"p{number:04}") for number in range(2500)])
    told: list[int] = []

    class Busy:
        """The store, in which somebody writes as soon as the walk has begun."""

        async def log(self, query: object) -> AsyncIterator[Version]:
            async with aclosing(store.log(query)) as versions:  # type: ignore[arg-type,type-var]
                async for version in versions:
                    if not told:
                        told.append(0)
                        await commit_all(store, [put("Patient", "p0000", 2), put("Patient", "new")])
                        await store.commit([removal("Patient", "p2000", 2)])
                    yield version

    manifest = await export(Busy(), tmp_path / "out", Export(), told.append)  # type: ignore[arg-type]
    assert [file.count for file in manifest.files] == [2500]
    assert told == [0, 1000, 2000, 2500]
    lines = (tmp_path / "out/Patient.ndjson").read_bytes().splitlines()
    assert {json.loads(line)["meta"]["versionId"] for line in lines} == {"1"}
    await store.close()


async def test_types_and_since_choose(
    stores: tuple[Store, Store], tmp_path: Path, clock: Clock
) -> None:
    one, _ = stores
    await fill(one, clock)
    manifest = await export(one, tmp_path / "types", Export(types=("Patient",)))
    assert [(file.type, file.count) for file in manifest.files] == [("Patient", 3)]
    since = format_instant(clock.now)
    manifest = await export(one, tmp_path / "since", Export(since=since, history=True))
    assert [file.count for file in manifest.files] == [3]
    manifest = await export(one, tmp_path / "none", Export(types=("Device",)))
    assert manifest.files == ()


async def test_a_restore_that_was_stopped_goes_on(
    stores: tuple[Store, Store], tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = stores
    await fill(one, clock)
    await export(one, tmp_path / "out", Export(history=True))
    monkeypatch.setattr("fhirserver.export.restore._GROUP", 40)

    def stop(number: int) -> None:
        if number == 80:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await restore(other, tmp_path / "out", INDEXER, BASE, stop)
    whole = len(await history(one))
    assert await restore(other, tmp_path / "out", INDEXER, BASE) == whole - 80
    assert await restore(other, tmp_path / "out", INDEXER, BASE) == 0
    assert await history(other) == await history(one)


async def test_a_store_that_holds_something_else_is_left_alone(
    stores: tuple[Store, Store], tmp_path: Path, clock: Clock
) -> None:
    one, other = stores
    await fill(one, clock)
    await export(one, tmp_path / "out", Export())
    await other.commit([put("Patient", "z")])
    with pytest.raises(NotRestorable, match="empty"):
        await restore(other, tmp_path / "out", INDEXER, BASE)
    assert await other.counts() == {"Patient": 1}


async def test_what_is_no_whole_export_is_refused(tmp_path: Path, clock: Clock) -> None:
    store = sqlite(tmp_path, clock)
    await fill(store, clock)
    folder = tmp_path / "out"
    await export(store, folder, Export(gzip=True))
    other = sqlite(tmp_path / "other", clock)
    file = folder / "Group.ndjson.gz"
    whole = file.read_bytes()
    manifest = (folder / "manifest.json").read_bytes()
    lines = gzip.decompress(whole).splitlines(keepends=True)
    for content in (
        whole[:-30],
        gzip.compress(b"".join(lines[:-1])),
        gzip.compress(b"".join(lines) + lines[0]),
        gzip.compress(b"".join([b"{}\n", *lines])),
    ):
        file.write_bytes(content)
        with pytest.raises(NotRestorable):
            await restore(other, folder, INDEXER, BASE)
    file.unlink()
    with pytest.raises(NotRestorable):
        await restore(other, folder, INDEXER, BASE)
    for content in (b"", b"{}", manifest[:50]):
        (folder / "manifest.json").write_bytes(content)
        with pytest.raises(NotRestorable):
            await restore(other, folder, INDEXER, BASE)
    (folder / "manifest.json").unlink()
    with pytest.raises(NotRestorable, match="not finished"):
        await restore(other, folder, INDEXER, BASE)
    await store.close()
    await other.close()


async def test_an_export_that_fails_leaves_nothing(tmp_path: Path, clock: Clock) -> None:
    store = sqlite(tmp_path, clock)
    await commit_all(store, [put("Patient", f"p{number:04}") for number in range(1200)])
    folder = tmp_path / "out"

    def fail(number: int) -> None:
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        await export(store, folder, Export(), fail)
    assert list(folder.iterdir()) == []
    (folder / "something").touch()
    with pytest.raises(FileExistsError):
        await export(store, folder, Export())
    assert [file.name for file in folder.iterdir()] == ["something"]
    await store.close()
