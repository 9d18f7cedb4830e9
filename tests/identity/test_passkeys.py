"""Passkeys of an authenticator in software."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest
from identity.authenticator import Authenticator
from identity.people import enter, person, refused, signed
from store.making import Clock

from fhirserver.errors import Invalid
from fhirserver.identity.account import Account
from fhirserver.identity.identity import Identity
from fhirserver.identity.passkeys import read_answer
from fhirserver.identity.sign_in import Passed, Visitor, about_second, about_visit

ORIGIN = "https://fhir.example.org"


async def with_passkey(identity: Identity, key: Authenticator) -> Account:
    """An account with the authenticator's key."""
    account = await person(identity)
    options = await identity.passkeys.ask_new(account, ORIGIN, "add")
    made = await identity.passkeys.made(key.create(options), "Phone", ORIGIN, "add")
    return await identity.factors.add_passkey(account.id, made)


async def second(
    identity: Identity, visitor: Visitor, key: Authenticator, options: str, passed: Passed
) -> bool:
    """Whether the authenticator's answer to a challenge lets in."""
    answer = read_answer(key.get(options))
    found = await identity.sign_in.by_second_passkey(signed(passed), answer, visitor)
    return isinstance(found, Passed) and found.stage == "full"


async def asked(identity: Identity, visitor: Visitor) -> tuple[Passed, str]:
    """After the password, what the second factor is asked for."""
    passed = await enter(identity, visitor)
    assert passed.stage == "factor"
    about = about_second(passed.begun.session)
    return passed, await identity.passkeys.ask(passed.account, ORIGIN, about)


@pytest.mark.check("OPS-2")
async def test_a_passkey_is_a_second_factor(identity: Identity, visitor: Visitor) -> None:
    key = Authenticator()
    await with_passkey(identity, key)
    passed, options = await asked(identity, visitor)
    told = json.loads(options)
    assert told["userVerification"] == "required"
    assert told["rpId"] == "fhir.example.org"
    assert await second(identity, visitor, key, options, passed)


@pytest.mark.check("OPS-2")
async def test_a_passkey_alone_is_both(identity: Identity, visitor: Visitor) -> None:
    key = Authenticator(counts=False)
    account = await with_passkey(identity, key)
    for _ in range(2):
        options = await identity.passkeys.ask(None, ORIGIN, about_visit(visitor))
        answer = read_answer(key.get(options, usernameless=True))
        found = await identity.sign_in.by_passkey(answer, visitor)
        assert isinstance(found, Passed)
        assert (found.account.id, found.begun.session.methods) == (account.id, ("hwk",))
    await identity.administration.lock(account.id)
    options = await identity.passkeys.ask(None, ORIGIN, about_visit(visitor))
    answer = read_answer(key.get(options, usernameless=True))
    assert refused(await identity.sign_in.by_passkey(answer, visitor))


@pytest.mark.check("OPS-2")
async def test_a_challenge_is_answered_once_and_within_five_minutes(
    identity: Identity, visitor: Visitor, clock: Clock
) -> None:
    key = Authenticator(counts=False)
    await with_passkey(identity, key)
    passed, options = await asked(identity, visitor)
    found = await asyncio.gather(
        *(second(identity, visitor, key, options, passed) for _ in range(4))
    )
    assert sorted(found) == [False, False, False, True]
    passed, options = await asked(identity, visitor)
    clock.now += 300_000_000
    assert not await second(identity, visitor, key, options, passed)


@pytest.mark.check("OPS-2")
async def test_a_challenge_is_of_one_browser_and_one_purpose(
    identity: Identity, visitor: Visitor
) -> None:
    key = Authenticator()
    await with_passkey(identity, key)
    passed, _ = await asked(identity, visitor)
    _, of_another = await asked(identity, visitor)
    assert not await second(identity, visitor, key, of_another, passed)
    to_sign_in = await identity.passkeys.ask(None, ORIGIN, about_visit(visitor))
    assert not await second(identity, visitor, key, to_sign_in, passed)
    options = await identity.passkeys.ask(None, ORIGIN, about_visit(visitor))
    answer = read_answer(key.get(options, usernameless=True))
    elsewhere = replace(visitor, visit="another-visit")
    assert refused(await identity.sign_in.by_passkey(answer, elsewhere))


@pytest.mark.check("OPS-2")
@pytest.mark.parametrize(
    "wrong",
    [
        {"verifies": False},
        {"origin": "https://evil.example.org"},
        {"origin": "https://fhir.example.org:8443"},
        {"site": "example.org"},
    ],
    ids=["not verified", "another origin", "another port", "another site"],
)
async def test_what_the_browser_or_the_key_says_must_fit(
    identity: Identity, visitor: Visitor, wrong: dict[str, object]
) -> None:
    key = Authenticator()
    account = await with_passkey(identity, key)
    passed, options = await asked(identity, visitor)
    assert not await second(identity, visitor, replace(key, **wrong), options, passed)  # type: ignore[arg-type]
    options = await identity.passkeys.ask_new(account, ORIGIN, "add")
    other = replace(Authenticator(), **wrong)  # type: ignore[arg-type]
    with pytest.raises(Invalid):
        await identity.passkeys.made(other.create(options), "Phone", ORIGIN, "add")


@pytest.mark.check("OPS-2")
async def test_a_counter_that_does_not_grow_is_refused(
    identity: Identity, visitor: Visitor
) -> None:
    key = Authenticator(count=7)
    await with_passkey(identity, key)
    copied = replace(key)
    passed, options = await asked(identity, visitor)
    assert await second(identity, visitor, key, options, passed)
    passed, options = await asked(identity, visitor)
    assert not await second(identity, visitor, copied, options, passed)
    passed, options = await asked(identity, visitor)
    assert await second(identity, visitor, key, options, passed)


async def test_another_key_is_refused(identity: Identity, visitor: Visitor) -> None:
    account = await with_passkey(identity, Authenticator())
    passed, options = await asked(identity, visitor)
    assert not await second(identity, visitor, Authenticator(), options, passed)
    with pytest.raises(Invalid, match="has that passkey"):
        await identity.factors.add_passkey(account.id, account.passkeys[0])


@pytest.mark.parametrize(
    "answer",
    ["", "null", "[]", "{}", '{"id":1}', '{"response":{"clientDataJSON":"AA"}}', "x" * 70_000],
)
async def test_answers_that_are_none(identity: Identity, answer: str) -> None:
    with pytest.raises(Invalid):
        read_answer(answer)
    with pytest.raises(Invalid):
        await identity.passkeys.made(answer, "", ORIGIN, "add")


async def test_with_the_last_factor_the_recovery_codes_go(identity: Identity) -> None:
    account = await with_passkey(identity, Authenticator())
    account, _ = await identity.factors.new_recovery_codes(account.id)
    assert account.recovery
    account = await identity.factors.remove_passkey(account.id, account.passkeys[0].id)
    assert not account.has_second_factor
    assert not account.recovery
