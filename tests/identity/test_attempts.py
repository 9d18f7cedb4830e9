"""The lock on the fifth failure, whoever tries and however many at once."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from identity.people import PASSWORD, enter, person, refused, signed
from store.making import Clock

from fhirserver.identity import totp
from fhirserver.identity.attempts import LIMIT, pause
from fhirserver.identity.identity import Identity
from fhirserver.identity.sign_in import Passed, Refused, Visitor

MINUTE = 60_000_000


async def guess(identity: Identity, visitor: Visitor, name: str = "anna") -> Passed | Refused:
    return await identity.sign_in.by_password(name, f"Wrong-{secrets.token_hex(4)}", visitor)


@pytest.mark.check("OPS-1")
async def test_the_fifth_failure_locks(identity: Identity, visitor: Visitor) -> None:
    await person(identity)
    outcomes = [await guess(identity, visitor) for _ in range(5)]
    assert [one.locked for one in outcomes if isinstance(one, Refused)] == [False] * 4 + [True]
    assert refused(await identity.sign_in.by_password("anna", PASSWORD, visitor))


@pytest.mark.check("OPS-1")
async def test_parallel_guesses_are_never_more_than_five(
    identity: Identity, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = await person(identity)
    looked = 0
    fits = identity.credentials.fits

    async def counted(*args: object) -> bool:
        nonlocal looked
        looked += 1
        return await fits(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(identity.credentials, "fits", counted)
    outcomes = await asyncio.gather(
        *(guess(identity, replace(visitor, address=f"10.0.0.{n}")) for n in range(25))
    )
    assert all(refused(one) for one in outcomes)
    assert looked == LIMIT
    assert await identity.attempts.locked_until(account.name)


@pytest.mark.check("OPS-1")
async def test_the_pause_doubles_and_ends(
    identity: Identity, visitor: Visitor, clock: Clock
) -> None:
    await person(identity)
    for _ in range(5):
        await guess(identity, visitor)
    for minutes in (1, 2, 4):
        until = await identity.attempts.locked_until("anna")
        assert until == clock.now + minutes * MINUTE
        clock.now = until
        visitor = replace(visitor, address=f"192.0.2.{minutes + 10}")
        if minutes < 4:
            assert refused(await guess(identity, visitor))
    assert isinstance(await identity.sign_in.by_password("anna", PASSWORD, visitor), Passed)
    assert await identity.attempts.locked_until("anna") == 0


@given(st.integers(0, 10_000))
def test_no_pause_is_longer_than_an_hour_nor_shorter_than_the_one_before(failures: int) -> None:
    assert pause(failures) <= pause(failures + 1) <= 60 * MINUTE
    assert (pause(failures) > 0) == (failures >= LIMIT)


@pytest.mark.check("OPS-1")
async def test_the_second_factor_has_no_count_of_its_own(
    identity: Identity, visitor: Visitor, clock: Clock
) -> None:
    account = await person(identity)
    secret = await identity.factors.begin_totp(account)
    code = totp_code(secret, clock.now)
    assert await identity.factors.confirm_totp(account, code)
    for _ in range(4):
        passed = await enter(identity, visitor)  # a right password each time forgives nothing
        assert passed.stage == "factor"
        found = await identity.sign_in.by_code(signed(passed), "000000", visitor)
        assert isinstance(found, Refused)
        assert not found.locked
    passed = await enter(identity, visitor)
    found = await identity.sign_in.by_code(signed(passed), "000000", visitor)
    assert isinstance(found, Refused)
    assert found.locked
    clock.now += 30_000_000
    good = totp_code(secret, clock.now)
    assert refused(await identity.sign_in.by_code(signed(passed), good, visitor))
    assert refused(await identity.sign_in.by_password("anna", PASSWORD, visitor))


@pytest.mark.check("OPS-1")
async def test_strangers_do_not_lock_out_a_browser_that_was_here_before(
    identity: Identity, visitor: Visitor
) -> None:
    await person(identity)
    passed = await enter(identity, visitor)
    known = replace(visitor, device=passed.device)
    for n in range(8):
        await guess(identity, replace(visitor, address=f"10.0.0.{n}"))
    assert refused(await identity.sign_in.by_password("anna", PASSWORD, visitor))
    assert isinstance(await identity.sign_in.by_password("anna", PASSWORD, known), Passed)


@pytest.mark.check("OPS-1")
async def test_a_known_browser_has_five_tries_too_and_for_its_own_name_only(
    identity: Identity, visitor: Visitor
) -> None:
    await person(identity)
    await person(identity, "berta")
    passed = await enter(identity, visitor)
    known = replace(visitor, device=passed.device)
    for _ in range(5):
        await guess(identity, known)
    assert refused(await identity.sign_in.by_password("anna", PASSWORD, known))
    for _ in range(5):
        await guess(identity, replace(known, address="192.0.2.2"), "berta")
    berta = replace(visitor, address="192.0.2.3")
    assert refused(await identity.sign_in.by_password("berta", PASSWORD, berta))


@pytest.mark.check("OAU-13")
async def test_a_name_that_nobody_has_is_locked_like_any_other(
    identity: Identity, visitor: Visitor
) -> None:
    await person(identity)
    for name in ("anna", "nobody", "no name at all \N{SNOWMAN}"):
        somewhere = replace(visitor, address=f"name-{name}")
        outcomes = [await guess(identity, somewhere, name) for _ in range(6)]
        assert [one.locked for one in outcomes if isinstance(one, Refused)] == [
            *[False] * 4,
            True,
            True,
        ]


async def test_an_administrator_forgives(identity: Identity, visitor: Visitor) -> None:
    account = await person(identity)
    for _ in range(5):
        await guess(identity, visitor)
    await identity.administration.unlock(account.id)
    assert isinstance(await identity.sign_in.by_password("anna", PASSWORD, visitor), Passed)


def totp_code(secret: bytes, now: int) -> str:
    import pyotp

    return pyotp.TOTP(totp.spelled(secret).replace(" ", "")).at(now // 1_000_000)
