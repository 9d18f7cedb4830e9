"""What passwords must be like, and how they are hashed."""

from __future__ import annotations

import asyncio
import secrets
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fhirserver.errors import Throttled
from fhirserver.identity.password import Cost, Hasher, weakness

CHEAP = Cost(time=1, memory=8, lanes=1)


@pytest.mark.parametrize(
    "password",
    [
        "Xk9#mmPq",
        "Weather-Vane 42",
        "four words make sense",
        "тихая погода в июле",
        "Grün&Blau7!",
        "x" * 3 + " fjord mackerel tundra",
    ],
)
def test_good_ones(password: str) -> None:
    assert weakness(password, "anna", "Anna", "Berg") is None


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("Xk9#mmP", "needs 8"),
        ("xk9#mmpq", "capital"),
        ("XK9#MMPQ", "small"),
        ("Xkk#mmPq", "digits"),
        ("Xk9ammPq", "other signs"),
        ("fifteen letters", "16 characters"),
        ("P@ssw0rd1!", "first that somebody would try"),
        ("Welcome1!", "first that somebody would try"),
        ("passwordpassword1", "first that somebody would try"),
        ("aaaaaaaaaaaaaaaaaaaaaa", "first that somebody would try"),
        ("1234567890123456", "first that somebody would try"),
        ("Xk9#ANNA!q", "contains your"),
        ("my friends call me berg", "contains your"),
        ("x y" * 200, "too long"),
    ],
)
def test_weak_ones(password: str, why: str) -> None:
    found = weakness(password, "anna", "Dr", "Anna", "Berg")
    assert found is not None
    assert why in found


@given(st.text(max_size=7))
@example("000Aa\u00bc")  # a sign that NFKC writes as three
def test_short_ones_are_never_good(password: str) -> None:
    counted = unicodedata.normalize("NFKC", password)  # as it is hashed
    assert weakness(password) is not None or len(counted) >= 8


@given(st.text(min_size=1, max_size=40), st.text(min_size=1, max_size=40))
def test_a_hash_fits_its_password_alone(password: str, other: str) -> None:
    same = unicodedata.normalize("NFKC", password) == unicodedata.normalize("NFKC", other)

    async def work() -> None:
        hasher = Hasher(random=secrets.token_bytes, cost=CHEAP)
        stored = await hasher.hash(password)
        assert stored.startswith("$argon2id$")
        assert (await hasher.verify(stored, password)).fits
        assert (await hasher.verify(stored, other)).fits is same
        assert not (await hasher.verify("", password)).fits
        hasher.close()

    if "\ufffd" not in password + other and "?" not in password + other:
        asyncio.run(work())


async def test_the_form_of_letters_does_not_matter() -> None:
    hasher = Hasher(random=secrets.token_bytes, cost=CHEAP)
    stored = await hasher.hash("Caf\u00e9 am Meer")
    assert (await hasher.verify(stored, "Cafe\u0301 am Meer")).fits
    hasher.close()


async def test_a_weaker_hash_is_outdated() -> None:
    weak = Hasher(random=secrets.token_bytes, cost=CHEAP)
    strong = Hasher(random=secrets.token_bytes, cost=Cost(time=2, memory=16, lanes=1))
    verdict = await strong.verify(await weak.hash("a"), "a")
    assert verdict.fits
    assert verdict.outdated
    assert not (await weak.verify(await weak.hash("a"), "a")).outdated
    for hasher in (weak, strong):
        hasher.close()


async def test_no_more_wait_than_there_is_room_for() -> None:
    hasher = Hasher(random=secrets.token_bytes, cost=CHEAP, threads=1, waiting=2)
    found = await asyncio.gather(*(hasher.hash("a") for _ in range(8)), return_exceptions=True)
    assert sum(isinstance(one, Throttled) for one in found) == 5
    assert await hasher.hash("a")
    hasher.close()


@pytest.mark.check("OAU-13")
async def test_nobody_costs_what_somebody_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same hashes are computed for a wrong password, whatever was kept."""
    import argon2
    import bcrypt

    hasher = Hasher(random=secrets.token_bytes, cost=CHEAP)
    strong = await hasher.hash("right")
    old = bcrypt.hashpw(b"right", bcrypt.gensalt(4)).decode()
    await hasher.verify("", "warm up")
    done: list[str] = []
    verify, check, hashed = argon2.PasswordHasher.verify, bcrypt.checkpw, bcrypt.hashpw

    def counted(name: str, work: object) -> object:
        def run(*arguments: object) -> object:
            done.append(name)
            return work(*arguments)  # type: ignore[operator]

        return run

    monkeypatch.setattr(argon2.PasswordHasher, "verify", counted("argon2id", verify))
    monkeypatch.setattr(bcrypt, "checkpw", counted("bcrypt", check))
    monkeypatch.setattr(bcrypt, "hashpw", counted("bcrypt", hashed))
    for rounds, expected in ((0, ["argon2id"]), (4, ["argon2id", "bcrypt"])):
        for stored in ["", strong] + [old] * (rounds > 0):
            done.clear()
            assert not (await hasher.verify(stored, "wrong", bcrypt_rounds=rounds)).fits
            assert sorted(done) == expected
    hasher.close()
