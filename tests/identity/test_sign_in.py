"""Passwords, codes and other providers, at the door."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import bcrypt
import pytest
from identity.people import PASSWORD, enter, person, refused, signed
from identity.test_attempts import totp_code
from store.making import Clock

from fhirserver.errors import Conflict, Invalid, Throttled
from fhirserver.identity.account import Account, Link
from fhirserver.identity.identity import Identity
from fhirserver.identity.sign_in import Passed, Refused, Visitor
from fhirserver.store.port import ServerStore

DAY = 24 * 3600 * 1_000_000


async def with_app(identity: Identity, clock: Clock) -> tuple[Account, bytes]:
    """An account with an authenticator app, and the app's secret."""
    account = await person(identity)
    secret = await identity.factors.begin_totp(account)
    found = await identity.factors.confirm_totp(account, totp_code(secret, clock.now))
    assert found is not None
    clock.now += 60_000_000
    return found, secret


async def test_the_right_password_lets_in(identity: Identity, visitor: Visitor) -> None:
    account = await person(identity)
    passed = await enter(identity, visitor, "  ANNA ")
    assert (passed.stage, passed.account.id) == ("full", account.id)
    assert passed.begun.session.methods == ("pwd",)
    found = await identity.sessions.find(passed.begun.cookie)
    assert found is not None
    assert found.account.roles == ("doctor",)


async def test_a_locked_account_is_refused_like_a_wrong_password(
    identity: Identity, visitor: Visitor
) -> None:
    account = await person(identity)
    await identity.administration.lock(account.id)
    assert refused(await identity.sign_in.by_password("anna", PASSWORD, visitor))
    await identity.administration.unlock(account.id)
    assert isinstance(await identity.sign_in.by_password("anna", PASSWORD, visitor), Passed)


async def test_a_one_time_password_lets_choose_another_and_no_more(
    identity: Identity, visitor: Visitor, clock: Clock
) -> None:
    _, once = await identity.administration.add("anna", roles=("nurse",))
    assert once is not None
    passed = await identity.sign_in.by_password("anna", once, visitor)
    assert isinstance(passed, Passed)
    assert passed.stage == "password"
    assert await identity.sessions.find(passed.begun.cookie) is None
    pending = await identity.sessions.find(passed.begun.cookie, stage="password")
    assert pending is not None
    with pytest.raises(Invalid, match="the password that you had"):
        await identity.sign_in.with_new_password(pending, once, visitor)
    done = await identity.sign_in.with_new_password(pending, PASSWORD, visitor)
    assert isinstance(done, Passed)
    assert done.stage == "full"
    assert refused(await identity.sign_in.by_password("anna", once, visitor))
    assert await identity.sessions.find(passed.begun.cookie, stage="password") is None


async def test_a_one_time_password_ends_after_a_week(
    identity: Identity, visitor: Visitor, clock: Clock
) -> None:
    _, once = await identity.administration.add("anna")
    assert once is not None
    clock.now += 7 * DAY
    assert refused(await identity.sign_in.by_password("anna", once, visitor))


async def test_nobody_gets_two_first_administrators(identity: Identity, visitor: Visitor) -> None:
    made = await asyncio.gather(*(identity.administration.first() for _ in range(5)))
    found = [one for one in made if one is not None]
    assert len(found) == 1
    account, once = found[0]
    assert account.roles == ("admin",)
    assert isinstance(await identity.sign_in.by_password("admin", once, visitor), Passed)
    assert [one.id async for one in identity.accounts.all()] == [account.id]
    assert await identity.administration.first() is None


async def test_a_hash_of_bcrypt_is_taken_over_and_becomes_argon2id(
    identity: Identity, visitor: Visitor
) -> None:
    old = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    account, once = await identity.administration.add("anna", password_hash=old)
    assert once is None
    assert refused(await identity.sign_in.by_password("anna", "Wrong-Vane 42", visitor))
    assert refused(await identity.sign_in.by_password("nobody", PASSWORD, visitor))
    first = await enter(identity, visitor)
    now = await identity.accounts.get(account.id)
    assert now is not None
    assert now.password.startswith("$argon2id$")
    assert await identity.sessions.find(first.begun.cookie)  # a better hash ends nothing
    await enter(identity, visitor)


@pytest.mark.parametrize("damaged", ["", "secret", "$1$abc$def", "$2b$31$" + "a" * 53, "$2b$xx$"])
async def test_other_hashes_are_refused_and_leave_no_account(
    identity: Identity, damaged: str
) -> None:
    with pytest.raises(Invalid):
        await identity.administration.add("anna", password_hash=damaged)
    assert not await identity.accounts.are_there()
    await person(identity)


@pytest.mark.check("OPS-2")
async def test_a_code_counts_once_however_many_use_it_at_once(
    identity: Identity, visitor: Visitor, clock: Clock
) -> None:
    _, secret = await with_app(identity, clock)
    pending = [signed(await enter(identity, visitor)) for _ in range(4)]
    code = totp_code(secret, clock.now)
    found = await asyncio.gather(*(identity.sign_in.by_code(one, code, visitor) for one in pending))
    passed = [one for one in found if isinstance(one, Passed)]
    assert len(passed) == 1
    assert passed[0].begun.session.methods == ("pwd", "otp")


@pytest.mark.check("OPS-2")
async def test_codes_of_the_steps_beside_count_and_others_do_not(
    identity: Identity, visitor: Visitor, clock: Clock
) -> None:
    account, secret = await with_app(identity, clock)
    step = 30_000_000
    for offset, good in ((-2, False), (2, False), (-1, True), (-1, False), (0, True), (1, True)):
        code = totp_code(secret, clock.now + offset * step)
        used = await identity.factors.use_code(account.id, code)
        assert (used == "otp") is good, offset


@pytest.mark.check("OPS-2")
async def test_a_recovery_code_is_good_once(
    identity: Identity, visitor: Visitor, clock: Clock, store: ServerStore
) -> None:
    account, _ = await with_app(identity, clock)
    account, codes = await identity.factors.new_recovery_codes(account.id)
    assert len(set(codes)) == 10
    pending = [signed(await enter(identity, visitor)) for _ in range(3)]
    typed = codes[0].upper().replace("-", " ")
    found = await asyncio.gather(
        *(identity.sign_in.by_code(one, typed, visitor) for one in pending)
    )
    assert sum(isinstance(one, Passed) for one in found) == 1
    kept = await store.records.get("identity.account", account.id)
    assert kept is not None
    assert not any(code.encode() in kept.body for code in codes)


@pytest.mark.check("OPS-2")
async def test_the_secret_of_an_app_is_sealed(
    identity: Identity, clock: Clock, store: ServerStore
) -> None:
    account, secret = await with_app(identity, clock)
    kept = await store.records.get("identity.account", account.id)
    assert kept is not None
    assert account.totp is not None
    assert secret not in account.totp.secret


async def test_who_has_a_second_factor_is_not_in_before_it(
    identity: Identity, visitor: Visitor, clock: Clock
) -> None:
    _, secret = await with_app(identity, clock)
    passed = await enter(identity, visitor)
    assert await identity.sessions.find(passed.begun.cookie) is None
    assert await identity.sessions.get(passed.begun.session.key) is None
    code = totp_code(secret, clock.now)
    done = await identity.sign_in.by_code(signed(passed), code, visitor)
    assert isinstance(done, Passed)
    assert done.begun.cookie != passed.begun.cookie
    assert await identity.sessions.find(passed.begun.cookie, stage="factor") is None


async def test_another_provider_lets_in_who_is_linked(identity: Identity, visitor: Visitor) -> None:
    account = await person(identity)
    link = Link("https://id.example.org", "4711")
    assert refused(await identity.sign_in.by_provider(link, visitor))
    await identity.accounts.link(account.id, link)
    passed = await identity.sign_in.by_provider(link, visitor)
    assert isinstance(passed, Passed)
    assert passed.begun.session.methods == ("fed",)
    other = Link("https://other.example.org", "4711")
    assert refused(await identity.sign_in.by_provider(other, visitor))
    berta = await person(identity, "berta")
    with pytest.raises(Conflict):
        await identity.accounts.link(berta.id, link)
    await identity.accounts.unlink(account.id, link)
    assert refused(await identity.sign_in.by_provider(link, visitor))
    await identity.accounts.link(berta.id, link)


async def test_one_address_is_slowed_down_whatever_names_it_tries(
    identity: Identity, visitor: Visitor
) -> None:
    await person(identity)
    with pytest.raises(Throttled):
        for n in range(30):
            found = await identity.sign_in.by_password(f"name{n}", "Wrong-Vane 42", visitor)
            assert isinstance(found, Refused)
            assert n < 20
    elsewhere = replace(visitor, address="2001:db8::1")
    assert isinstance(await identity.sign_in.by_password("anna", PASSWORD, elsewhere), Passed)


async def test_to_sign_in_anew_somebody_else_is_not_enough(
    identity: Identity, visitor: Visitor, clock: Clock
) -> None:
    await person(identity)
    await person(identity, "berta")
    session = (await enter(identity, visitor)).begun.session
    clock.now += 10 * 60_000_000
    again = replace(visitor, renews=session)
    assert refused(await identity.sign_in.by_password("berta", PASSWORD, again))
    done = await identity.sign_in.by_password("anna", PASSWORD, again)
    assert isinstance(done, Passed)
    assert done.begun.session.key != session.key
    assert done.begun.session.until == session.until
    assert done.begun.session.is_recent(clock.now)
    assert not session.is_recent(clock.now)
    assert await identity.sessions.get(session.key) is None
