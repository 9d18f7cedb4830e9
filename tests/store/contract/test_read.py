"""Reading single versions, counting and scanning."""

from __future__ import annotations

from store.making import SECOND, Clock, commit_all, put, removal

from fhirserver.model.json import decode
from fhirserver.store.port import Key, Store, Version


async def test_what_never_was_is_none(store: Store) -> None:
    assert await store.read("Patient", "1") is None
    for version in (1, -1, 1 << 63, 10**30):
        assert await store.read("Patient", "1", version) is None
    assert await store.read("Nothing", "1") is None


async def test_a_version_has_its_bytes_with_the_instant_of_the_commit(
    store: Store, clock: Clock
) -> None:
    clock.now = 1_577_934_245_678_999
    done = await store.commit([put("Patient", "1", active=True)])
    version = await store.read("Patient", "1")
    assert version == Version("Patient", "1", 1, 1_577_934_245_678_000, "PUT", version.body)  # type: ignore[union-attr]
    assert version.body is not None
    assert decode(version.body) == {
        "resourceType": "Patient",
        "id": "1",
        "meta": {"versionId": "1", "lastUpdated": "2020-01-02T03:04:05.678Z"},
        "active": True,
    }
    assert done.instant == version.last_updated


async def test_each_version_can_be_read(store: Store) -> None:
    await store.commit([put("Patient", "1", method="POST")])
    await store.commit([put("Patient", "1", 2)])
    await store.commit([removal("Patient", "1", 3)])
    await store.commit([put("Patient", "1", 4, method="PATCH")])
    found = [await store.read("Patient", "1", number) for number in range(6)]
    assert [version and version.method for version in found] == [
        None,
        "POST",
        "PUT",
        "DELETE",
        "PATCH",
        None,
    ]
    assert found[3] is not None
    assert found[3].body is None
    current = await store.read("Patient", "1")
    assert current == found[4]


async def test_a_deleted_resource_is_read_as_its_deletion(store: Store) -> None:
    await store.commit([put("Patient", "1")])
    await store.commit([removal("Patient", "1", 2)])
    version = await store.read("Patient", "1")
    assert version is not None
    assert (version.version, version.method, version.body) == (2, "DELETE", None)


async def test_the_same_id_in_two_types_is_two_resources(store: Store) -> None:
    await commit_all(store, [put("Patient", "1"), put("Group", "1")])
    await store.commit([removal("Group", "1", 2)])
    version = await store.read("Patient", "1")
    assert version is not None
    assert version.body is not None


async def test_ids_differ_by_case(store: Store) -> None:
    await store.commit([put("Patient", "a")])
    assert await store.read("Patient", "A") is None


async def test_many_are_read_in_the_order_asked_without_deleted_ones(store: Store) -> None:
    await commit_all(store, [put("Patient", "1"), put("Patient", "2"), put("Group", "1")])
    await store.commit([removal("Patient", "2", 2)])
    keys = [Key("Group", "1"), Key("Patient", "2"), Key("Patient", "0"), Key("Patient", "1")]
    found = await store.read_many(keys)
    assert [(version.type, version.id) for version in found] == [("Group", "1"), ("Patient", "1")]


async def test_heads_are_the_last_versions_and_deletions_too(store: Store) -> None:
    await commit_all(store, [put("Patient", "1"), put("Patient", "2"), put("Group", "1")])
    await commit_all(store, [put("Patient", "1", 2), removal("Patient", "2", 2)])
    asked = [("Patient", "2"), ("Patient", "1"), ("Group", "1"), ("Group", "2"), ("Device", "1")]
    keys = [Key(*one) for one in asked] + [Key("Patient", "1")]
    heads = await store.heads(keys)
    assert set(heads) == set(keys[:3])
    for key, version in heads.items():
        assert version == await store.read(key.type, key.id)
    assert heads[keys[0]].body is None
    assert heads[keys[1]].version == 2
    assert await store.heads([]) == {}


async def test_counts_are_of_current_resources(store: Store) -> None:
    assert await store.counts() == {}
    await commit_all(store, [put("Patient", "1"), put("Patient", "2"), put("Group", "1")])
    await commit_all(store, [removal("Group", "1", 2), put("Patient", "1", 2)])
    assert await store.counts() == {"Patient": 2}


async def test_a_scan_gives_each_current_resource_once(store: Store, clock: Clock) -> None:
    await commit_all(store, [put("Patient", str(n)) for n in range(450)])
    clock.now += SECOND
    await commit_all(store, [removal("Patient", "7", 2), put("Patient", "8", 2), put("Group", "1")])
    everything = [(version.type, version.id) async for version in store.scan()]
    assert len(everything) == len(set(everything)) == 450
    patients = {version.id async for version in store.scan("Patient")}
    assert patients == {str(n) for n in range(450)} - {"7"}
    assert [version.id async for version in store.scan("Device")] == []
