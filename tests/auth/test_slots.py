"""Records of people who have not signed in: bounded for each client, whatever comes."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import stores
from auth.tokens.test_registration import request
from auth.tokens.world import REDIRECT, World, serving
from auth.tokens.world import Clock as WorldClock
from hypothesis import given
from hypothesis import strategies as st
from store.making import Clock

from fhirserver.auth import slots as module
from fhirserver.auth.pending import COLLECTION as PENDING
from fhirserver.auth.pushed import COLLECTION as PUSHED
from fhirserver.auth.slots import Full, Slots, _parts
from fhirserver.store.port import ServerStore, Stale
from fhirserver.store.records import MAX_LISTED, Records

MINUTE = 60_000_000


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(each_store: str, tmp_path: Path, clock: Clock) -> AsyncIterator[ServerStore]:
    found = await stores.open_store(tmp_path / "fhir.db", clock)
    yield found
    await found.close()


def slots_of(store: ServerStore, number: int) -> Slots:
    """Those that hold so many; what begins with `+` is kept whatever comes."""
    return Slots(
        store.records,
        "test.slots",
        random=secrets.token_bytes,
        may_go=lambda body: not body.startswith(b"+"),
        slots=number,
    )


async def number_of(records: Records, collection: str) -> int:
    number, after = 0, ""
    while page := await records.list(collection, after=after):
        number, after = number + len(page), page[-1].key
        if len(page) < MAX_LISTED:
            break
    return number


async def test_a_record_from_its_beginning_to_its_end(store: ServerStore, clock: Clock) -> None:
    slots = slots_of(store, 8)
    until = clock.now + MINUTE
    token, revision = await slots.add("app", b"one", expires=until)
    kept = await slots.get(token)
    assert kept is not None
    assert (kept.body, kept.revision) == (b"one", revision)
    altered = token[:-2] + ("BA" if token.endswith("AA") else "AA")
    for other in ("", "x", token[:-1], altered, token + "A", "é"):
        assert await slots.get(other) is None
    later = await slots.change(token, b"two", expected=revision, expires=until)
    with pytest.raises(Stale):
        await slots.change(token, b"three", expected=revision, expires=until)
    assert not await slots.take(kept)  # it was changed meanwhile
    now = await slots.get(token)
    assert now is not None
    assert (now.body, now.revision) == (b"two", later)
    assert [await slots.take(now), await slots.take(now)] == [True, False]
    assert await slots.get(token) is None
    token, _ = await slots.add("app", b"one", expires=until)
    clock.now = until
    assert await slots.get(token) is None


@pytest.mark.check("OPS-9")
async def test_they_are_bounded_and_those_of_others_stay(store: ServerStore, clock: Clock) -> None:
    slots, until = slots_of(store, 8), clock.now + MINUTE
    others = [await slots.add("other", b"o", expires=until) for _ in range(2)]
    mine, _ = await slots.add("app", b"+mine", expires=until)
    given = [await slots.add("app", b"flood", expires=until) for _ in range(60)]
    assert await number_of(store.records, "test.slots") <= 8 + 2
    assert await slots.get(mine)
    assert all([await slots.get(token) for token, _ in others])
    left = [token for token, _ in given if await slots.get(token)]
    assert 1 <= len(left) <= 7
    assert await slots.get(given[-1][0])
    gone = next(found for found in given if found[0] not in left)
    with pytest.raises(Stale):
        await slots.change(gone[0], b"+mine now", expected=gone[1], expires=until)


async def test_where_none_may_go_no_more_come(store: ServerStore, clock: Clock) -> None:
    slots, until = slots_of(store, 4), clock.now + MINUTE
    kept: list[str] = []

    async def add_more() -> None:
        kept.append((await slots.add("app", b"+", expires=until))[0])

    with pytest.raises(Full):
        for _ in range(500):
            await add_more()
    assert len(kept) <= 4
    assert all([await slots.get(token) for token in kept])
    clock.now = until
    assert await slots.add("app", b"+", expires=until + MINUTE)


async def test_many_at_once_are_as_many(store: ServerStore, clock: Clock) -> None:
    slots, until = slots_of(store, 64), clock.now + MINUTE
    adding = (slots.add("app", b"%d" % number, expires=until) for number in range(16))
    tokens = [token for token, _ in await asyncio.gather(*adding)]
    found = [await slots.get(token) for token in tokens]
    assert [kept.body for kept in found if kept] == [b"%d" % number for number in range(16)]


@given(token=st.text(max_size=80))
def test_tokens_of_any_kind(token: str) -> None:
    parts = _parts(token)
    assert parts is None or len(parts[0]) + len(parts[1]) == 50


@pytest.mark.check("OPS-9")
@pytest.mark.check("OAU-8")
async def test_a_flood_of_authorization_requests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From many addresses, as the limit by address is off here."""
    most, clock = 32, WorldClock()
    monkeypatch.setattr(module, "SLOTS", most)
    async with serving(tmp_path, clock, monkeypatch, limits="off") as world:
        client, other = await world.client(), await world.client("other")
        asked = await world.http.get("/auth/authorize", params=request(other.id))
        for _ in range(13):
            answers = await asyncio.gather(*(flood(world, client.id) for _ in range(8)))
            assert {answer for pair in answers for answer in pair} == {303, 201}
        assert most // 2 < await number_of(world.store.records, PENDING) <= most + 1
        assert most // 2 < await number_of(world.store.records, PUSHED) <= most
        page = await world.http.get(asked.headers["location"])
        assert "sign-in" in page.headers["location"]
        clock.move(700)  # nobody signed in
        over = await world.http.get(asked.headers["location"])
        assert "Begin again" in over.text
        await flood(world, client.id)
        assert await number_of(world.store.records, PENDING) == 1
        assert await number_of(world.store.records, PUSHED) == 1


async def flood(world: World, client: str) -> tuple[int, int]:
    form = request(client) | {"redirect_uri": REDIRECT}
    asked = await world.http.get("/auth/authorize", params=form)
    pushed = await world.http.post("/auth/par", data=form)
    return asked.status_code, pushed.status_code
