"""Records: compare-and-set of one, listings by key, expiry."""

from __future__ import annotations

import asyncio
import sys

import pytest
from store.making import SECOND, Clock

from fhirserver.store.port import Stale
from fhirserver.store.records import ABSENT, Place, Records


async def test_what_is_put_is_there_with_its_revision(records: Records) -> None:
    assert await records.get("job", "a") is None
    revision = await records.put("job", "a", b"\x00one")
    found = await records.get("job", "a")
    assert found is not None
    assert found == ("a", revision, b"\x00one", None)
    assert await records.get("session", "a") is None
    assert await records.get("job", "A") is None


async def test_put_over_it_needs_the_revision_that_is_there(records: Records) -> None:
    first = await records.put("job", "a", b"1", expected=ABSENT)
    second = await records.put("job", "a", b"2", expected=first)
    assert second > first
    for wrong in (first, ABSENT, second + 1):
        with pytest.raises(Stale):
            await records.put("job", "a", b"3", expected=wrong)
    found = await records.get("job", "a")
    assert found is not None
    assert found.body == b"2"


async def test_a_record_that_is_not_there_has_no_revision(records: Records) -> None:
    with pytest.raises(Stale):
        await records.put("job", "a", b"1", expected=7)
    with pytest.raises(Stale):
        await records.delete("job", "a", expected=7)
    await records.delete("job", "a")


async def test_a_revision_never_comes_again(records: Records) -> None:
    first = await records.put("job", "a", b"1")
    await records.delete("job", "a", expected=first)
    assert await records.get("job", "a") is None
    second = await records.put("job", "a", b"1", expected=ABSENT)
    assert second > first
    with pytest.raises(Stale):
        await records.delete("job", "a", expected=first)


async def test_of_many_who_write_at_once_one_wins(records: Records) -> None:
    start = await records.put("job", "a", b"start")

    async def write(number: int) -> int | None:
        try:
            return await records.put("job", "a", b"%d" % number, expected=start)
        except Stale:
            return None

    won = [found for found in await asyncio.gather(*map(write, range(20))) if found]
    found = await records.get("job", "a")
    assert found is not None
    assert won == [found.revision]


async def test_creation_is_by_one_only(records: Records) -> None:
    async def create(number: int) -> bool:
        try:
            await records.put("job", "a", b"%d" % number, expected=ABSENT)
        except Stale:
            return False
        return True

    assert sum(await asyncio.gather(*map(create, range(20)))) == 1


async def test_a_counter_loses_no_step(records: Records) -> None:
    async def add() -> None:
        while True:
            found = await records.get("job", "n")
            value = b"%d" % (int(found.body) + 1 if found else 1)
            try:
                await records.put("job", "n", value, expected=found.revision if found else ABSENT)
            except Stale:
                continue
            return

    await asyncio.gather(*(add() for _ in range(25)))
    found = await records.get("job", "n")
    assert found is not None
    assert found.body == b"25"


async def test_listing_is_by_key_within_prefix_and_behind_a_key(records: Records) -> None:
    for key in ("b", "a/2", "a/10", "a", "é", "a/\U0001f600", "B", "a0"):
        await records.put("job", key, key.encode())
    await records.put("other", "a/3", b"")

    async def keys(prefix: str = "", after: str = "", count: int = 100) -> list[str]:
        found = await records.list("job", prefix=prefix, after=after, count=count)
        return [record.key for record in found]

    assert await keys() == ["B", "a", "a/10", "a/2", "a/\U0001f600", "a0", "b", "é"]
    assert await keys(prefix="a/") == ["a/10", "a/2", "a/\U0001f600"]
    assert await keys(prefix="a/", after="a/10", count=1) == ["a/2"]
    assert await keys(after="b") == ["é"]
    assert await keys(prefix="z") == []


async def test_several_are_got_at_once_each_in_its_place(records: Records, clock: Clock) -> None:
    one = await records.put("job", "a", b"1")
    await records.put("job", "b", b"2", expires=clock.now + SECOND)
    other = await records.put("session", "a", b"3")
    await records.put("job", "gone", b"4")
    await records.delete("job", "gone")
    keys = [
        Place("session", "a"),
        Place("job", "none"),
        Place("job", "a"),
        Place("job", "b"),
        Place("job", "gone"),
        Place("a", "job"),
        Place("job", "a"),
    ]
    first = await records.get_many(keys)
    a = ("a", one, b"1", None)
    assert first[:3] == [("a", other, b"3", None), None, a]
    assert first[3] == await records.get("job", "b")
    assert first[3] is not None
    assert first[4:] == [None, None, a]
    clock.now += SECOND
    changed = await records.put("job", "a", b"5", expected=one)
    found = await records.get_many(keys[2:4])
    assert found == [("a", changed, b"5", None), None]
    assert list(await records.get_many([])) == []


async def test_a_listing_is_bounded(records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[type(records).__module__], "MAX_LISTED", 20)
    for number in range(25):
        await records.put("job", f"{number:05}", b"")
    first = await records.list("job", count=1000)
    assert len(first) == 20
    rest = await records.list("job", after=first[-1].key)
    assert len(rest) == 5


async def test_what_has_expired_is_not_there(records: Records, clock: Clock) -> None:
    end = clock.now + 10 * SECOND
    revision = await records.put("session", "a", b"1", expires=end)
    found = await records.get("session", "a")
    assert found is not None
    assert found.expires == end
    clock.now = end
    assert await records.get("session", "a") is None
    assert await records.list("session") == []
    with pytest.raises(Stale):
        await records.put("session", "a", b"2", expected=revision)
    again = await records.put("session", "a", b"2", expected=ABSENT)
    assert again > revision
    assert await records.get("session", "a") is not None
