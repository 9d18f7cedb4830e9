"""Sessions: what ends them, and what a cookie proves."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from identity.people import enter, person
from store.making import Clock

from fhirserver.identity.identity import Identity
from fhirserver.identity.sessions import _key_of_cookie
from fhirserver.identity.sign_in import Visitor
from fhirserver.store.port import ServerStore

MINUTE = 60_000_000


@pytest.mark.check("OPS-3")
async def test_the_store_does_not_know_the_cookie(
    identity: Identity, visitor: Visitor, store: ServerStore
) -> None:
    await person(identity)
    cookie = (await enter(identity, visitor)).begun.cookie
    token = cookie.partition(".")[2]
    assert len(token) == 43  # 256 bits
    for record in await store.records.list("identity.session"):
        assert token not in record.key
        assert token.encode() not in record.body


async def test_use_in_parallel_keeps_it_alive(
    identity: Identity, visitor: Visitor, clock: Clock
) -> None:
    await person(identity)
    cookie = (await enter(identity, visitor)).begun.cookie
    for _ in range(5):
        clock.now += 13 * MINUTE
        found = await asyncio.gather(*(identity.sessions.find(cookie) for _ in range(6)))
        assert all(found)


@pytest.mark.check("OPS-3")
async def test_what_a_page_asks_by_itself_does_not_keep_it_alive(
    identity: Identity, visitor: Visitor, clock: Clock
) -> None:
    await person(identity)
    passed = await enter(identity, visitor)
    for _ in range(14):
        clock.now += MINUTE
        assert await identity.sessions.find(passed.begun.cookie, used=False)
        assert await identity.sessions.get(passed.begun.session.key)
    clock.now += MINUTE
    assert await identity.sessions.find(passed.begun.cookie, used=False) is None
    assert await identity.sessions.get(passed.begun.session.key) is None
    assert await identity.sessions.locked(passed.begun.cookie)


async def test_a_use_does_not_bring_an_ended_session_back(
    identity: Identity, visitor: Visitor, clock: Clock
) -> None:
    await person(identity)
    for _ in range(10):
        passed = await enter(identity, visitor)
        clock.now += 2 * MINUTE
        await asyncio.gather(
            identity.sessions.find(passed.begun.cookie),
            identity.sessions.end(passed.begun.session.key),
            identity.sessions.find(passed.begun.cookie),
        )
        assert await identity.sessions.find(passed.begun.cookie) is None


async def test_renewing_keeps_the_end_and_the_proof(
    identity: Identity, visitor: Visitor, clock: Clock
) -> None:
    account = await person(identity)
    session = (await enter(identity, visitor)).begun.session
    clock.now += 7 * MINUTE
    begun = await identity.sessions.renew(session, account)
    assert begun.session.until == session.until
    assert begun.session.authenticated_at == session.authenticated_at
    found = await identity.sessions.find(begun.cookie)
    assert found
    assert found.session.authenticated_at == session.authenticated_at
    assert await identity.sessions.get(session.key) is None


@given(st.text(alphabet="abc./-", max_size=20) | st.text(max_size=20))
def test_no_cookie_names_a_record_of_others(cookie: str) -> None:
    key = _key_of_cookie(cookie)
    if key is not None:
        account, _, hashed = key.partition("/")
        assert account == cookie.partition(".")[0]
        assert len(hashed) == 64
