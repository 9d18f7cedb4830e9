"""A clock that is set back or forth while people are signed in, or locked out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from identity.people import PASSWORD, enter, person
from identity.test_attempts import guess
from store.making import Clock

from fhirserver.identity.clocks import LEEWAY, has_begun
from fhirserver.identity.identity import Identity
from fhirserver.identity.sign_in import Passed, Visitor

MINUTE = 60_000_000
HOUR = 60 * MINUTE


@pytest.mark.check("OPS-3")
@pytest.mark.check("OPS-10")
async def test_a_clock_that_is_set_back_prolongs_no_session(
    identity: Identity, visitor: Visitor, clock: Clock
) -> None:
    await person(identity)
    begun = (await enter(identity, visitor)).begun
    assert begun.session.is_recent(clock.now)
    clock.now -= MINUTE // 2
    assert await identity.sessions.find(begun.cookie)
    clock.now -= HOUR
    assert await identity.sessions.find(begun.cookie) is None
    assert await identity.sessions.get(begun.session.key) is None
    assert not begun.session.is_recent(clock.now)
    assert isinstance(await identity.sign_in.by_password("anna", PASSWORD, visitor), Passed)


@pytest.mark.check("OPS-1")
@pytest.mark.check("OPS-10")
async def test_a_lock_of_a_clock_that_was_ahead_ends(
    identity: Identity, visitor: Visitor, clock: Clock
) -> None:
    """A name that was locked while the clock was a year ahead is not locked for a year."""
    await person(identity)
    year = 365 * 24 * HOUR
    clock.now += year
    for _ in range(5):
        await guess(identity, visitor)
    assert await identity.attempts.locked_until("anna")
    clock.now -= year
    assert not await identity.attempts.locked_until("anna")
    # one try, and it counts: who fails again is locked by the clock as it is now
    await guess(identity, visitor)
    until = await identity.attempts.locked_until("anna")
    assert clock.now < until <= clock.now + HOUR


@pytest.mark.check("OPS-1")
@pytest.mark.check("OPS-10")
async def test_a_lock_outlasts_a_clock_that_is_set_back_a_little(
    identity: Identity, visitor: Visitor, clock: Clock
) -> None:
    await person(identity)
    for _ in range(5):
        await guess(identity, visitor)
    clock.now -= 10 * MINUTE
    assert not isinstance(await identity.sign_in.by_password("anna", PASSWORD, visitor), Passed)


@given(instant=st.integers(0, 2**60), ahead=st.integers(-(2**50), 2**50))
def test_what_has_begun(instant: int, ahead: int) -> None:
    assert has_begun(instant + ahead, instant) == (ahead <= LEEWAY)
