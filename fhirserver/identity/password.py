"""Passwords: hashed by argon2id (RFC 9106) in a few threads, and what one must be like.

Hashes of bcrypt are accepted, since other systems' accounts come with them, and become argon2id
at the first sign-in.
"""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeVar

import argon2
import bcrypt
from argon2.exceptions import InvalidHashError, VerificationError

from fhirserver.errors import Invalid, Throttled

SHORTEST: Final = 8
LONG: Final = 16
"""From that many characters on it is a pass phrase, which may be of any kind of characters."""

LONGEST: Final = 512
_BCRYPT: Final = ("$2a$", "$2b$", "$2y$")
_BCRYPT_BYTES: Final = 72  # it never looked at more
_LOOKED_AT: Final = 72  # characters that the estimate takes
_EASY: Final = 2  # the estimate's score below which a guesser needs less than a million tries

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Cost:
    """What one hash costs; `memory` in KiB. The second recommendation of RFC 9106 section 4."""

    time: int = 3
    memory: int = 65_536
    lanes: int = 4


class Verdict(NamedTuple):
    """`fits`: it is the password. `outdated`: it should be hashed anew."""

    fits: bool
    outdated: bool


class Hasher:
    """Hashes in `threads` threads, each with its own memory; more than `waiting` are refused.

    `random` gives that many bytes nobody can guess.
    """

    def __init__(
        self,
        *,
        random: Callable[[int], bytes],
        cost: Cost | None = None,
        threads: int = 2,
        waiting: int = 32,
    ) -> None:
        cost = cost or Cost()
        self._argon2 = argon2.PasswordHasher(cost.time, cost.memory, cost.lanes)
        self._random = random
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="password")
        self._most = threads + waiting
        self._under_way = 0
        self._nobody = ""

    async def hash(self, password: str) -> str:
        """The hash in PHC form. Raises `Throttled` when too many wait."""
        return await self._run(lambda: self._argon2.hash(_bytes(password), salt=self._random(16)))

    async def verify(self, stored: str, password: str, *, bcrypt_rounds: int = 0) -> Verdict:
        """Whether the password is that of a hash; an empty hash has none.

        It takes as long whatever the hash is: one of nobody is looked at instead of an empty
        one, and while there are hashes of bcrypt (`bcrypt_rounds` > 0) one of those as well.
        """
        return await self._run(lambda: self._verify(stored, password, bcrypt_rounds))

    def close(self) -> None:
        """Waits for what is under way."""
        self._pool.shutdown()

    def _verify(self, stored: str, password: str, rounds: int) -> Verdict:
        given = _bytes(password)
        if stored.startswith(_BCRYPT):
            fits = bcrypt.checkpw(given[:_BCRYPT_BYTES], stored.encode())
            if not fits:
                self._fits(self._hash_of_nobody(), given)
            return Verdict(fits, fits)
        fits = self._fits(stored or self._hash_of_nobody(), given) and bool(stored)
        if not fits and rounds:
            bcrypt.hashpw(given[:_BCRYPT_BYTES], bcrypt.gensalt(rounds))
        return Verdict(fits, fits and self._argon2.check_needs_rehash(stored))

    def _fits(self, stored: str, given: bytes) -> bool:
        try:
            return self._argon2.verify(stored, given)
        except (VerificationError, InvalidHashError):
            return False

    def _hash_of_nobody(self) -> str:
        if not self._nobody:
            self._nobody = self._argon2.hash(self._random(32), salt=self._random(16))
        return self._nobody

    async def _run(self, work: Callable[[], _T]) -> _T:
        if self._under_way >= self._most:
            raise Throttled("Too many sign in at once. Try again.", headers={"Retry-After": "2"})
        self._under_way += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._under_way -= 1


def check_hash(stored: str) -> int:
    """The rounds of a bcrypt hash, 0 for one of argon2id. Raises `Invalid` for any other."""
    if stored.startswith("$argon2id$"):
        try:
            argon2.extract_parameters(stored)
        except InvalidHashError as error:
            raise Invalid("The argon2id hash is damaged.") from error
        return 0
    parts = stored.split("$")
    fits = stored.startswith(_BCRYPT) and len(stored) == 60 and len(parts) == 4
    if not fits or not parts[2].isdigit() or not 4 <= int(parts[2]) <= 16:
        raise Invalid("A password hash is of argon2id, or of bcrypt with 4 to 16 rounds.")
    return int(parts[2])


def weakness(password: str, *about: str) -> str | None:
    """Why a password is refused; None for a good one. `about` are the user name and the like.

    NIST SP 800-63B section 5.1.1.2 and A4: all four kinds of characters, or a pass phrase; none
    of the commonest, nor what contains the user name.
    """
    text = unicodedata.normalize("NFKC", password)
    if len(text) > LONGEST:
        return f"It is too long: {LONGEST} characters are the most."
    if len(text) < LONG and not (len(text) >= SHORTEST and _kinds(text) == 4):
        return (
            f"It needs {SHORTEST} characters or more with capital and small letters, digits and "
            f"other signs; or, as a pass phrase, {LONG} characters of any kind."
        )
    folded = text.casefold()
    if any(len(word) > 2 and word.casefold() in folded for word in about):
        return "It contains your user name or your name."
    return "It is among the first that somebody would try." if _is_easy(text, about) else None


def _kinds(text: str) -> int:
    capital = any(mark.isupper() for mark in text)
    small = any(mark.islower() for mark in text)
    digit = any(mark.isdigit() for mark in text)
    return capital + small + digit + any(not mark.isalnum() for mark in text)


def _is_easy(text: str, about: tuple[str, ...]) -> bool:
    from zxcvbn import zxcvbn  # its lists are large, and needed seldom

    found: int = zxcvbn(text[:_LOOKED_AT], user_inputs=[*about])["score"]
    return found < _EASY


def _bytes(password: str) -> bytes:
    """NFKC first, so that it is the same from every keyboard (NIST SP 800-63B 5.1.1.2)."""
    return unicodedata.normalize("NFKC", password[: 2 * LONGEST]).encode(errors="replace")
