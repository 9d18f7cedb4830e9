"""What is kept for people who have not signed in: so many records of each client, and no more.

A record lies in a slot that is picked at random, so that no count is needed. Where none of some is
free, one that may be given up is: whoever floods the server pushes out a record at random, and
mostly their own. RFC 6819 section 4.4.1.11.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Final, NamedTuple

from fhirserver.auth.secret import SECRET_BYTES, RandomBytes, bytes_of, hash_of, same, text_of
from fhirserver.store.port import Stale
from fhirserver.store.records import ABSENT, Records

SLOTS: Final = 1024
"""Of each client; a hospital's busiest app has some dozens of sign-ins under way."""

_OWNER_BYTES: Final = 16
_SLOT_BYTES: Final = 2
_HASH_BYTES: Final = 32
_FREE_TRIES: Final = 4
_TRIES: Final = 16


class Full(Exception):
    """None of the slots that were tried can be had."""


class Kept(NamedTuple):
    """A record that was found by its token. `key` is that of the slot."""

    key: str
    body: bytes
    revision: int


class Slots:
    """`random` gives that many random bytes; `may_go` tells whether a record may be given up."""

    def __init__(
        self,
        records: Records,
        collection: str,
        *,
        random: RandomBytes,
        may_go: Callable[[bytes], bool] = lambda body: True,
        slots: int | None = None,
    ) -> None:
        self._records = records
        self._collection = collection
        self._random = random
        self._may_go = may_go
        self._slots = SLOTS if slots is None else slots

    async def add(self, client: str, body: bytes, *, expires: int) -> tuple[str, int]:
        """Keeps a record; gives the token that it is found by, and its revision. Raises `Full`."""
        owner, secret = sha256(client.encode()).digest()[:_OWNER_BYTES], self._random(SECRET_BYTES)
        for tried in range(_TRIES):
            slot = int.from_bytes(self._random(4)) % self._slots
            place = owner + slot.to_bytes(_SLOT_BYTES)
            expected = ABSENT
            if tried >= _FREE_TRIES:
                there = await self._records.get(self._collection, text_of(place))
                if there is not None:
                    if not self._may_go(there.body[_HASH_BYTES:]):
                        continue
                    expected = there.revision
            try:
                revision = await self._put(place, secret, body, expected, expires)
            except Stale:
                continue
            return text_of(place + secret), revision
        raise Full

    async def get(self, token: str) -> Kept | None:
        """The record of a token; None where there is none (any more)."""
        parts = _parts(token)
        record = await self._records.get(self._collection, text_of(parts[0])) if parts else None
        if parts is None or record is None:
            return None
        if not same(record.body[:_HASH_BYTES], hash_of(parts[1])):
            return None
        return Kept(record.key, record.body[_HASH_BYTES:], record.revision)

    async def change(self, token: str, body: bytes, *, expected: int, expires: int) -> int:
        """The record with another body; its revision. Raises `Stale`."""
        parts = _parts(token)
        assert parts is not None
        return await self._put(*parts, body, expected, expires)

    async def take(self, kept: Kept) -> bool:
        """Takes a record away; True for the one of many that does it first."""
        try:
            await self._records.delete(self._collection, kept.key, expected=kept.revision)
        except Stale:
            return False
        return True

    async def _put(
        self, place: bytes, secret: bytes, body: bytes, expected: int, expires: int
    ) -> int:
        return await self._records.put(
            self._collection,
            text_of(place),
            hash_of(secret) + body,
            expected=expected,
            expires=expires,
        )


def _parts(token: str) -> tuple[bytes, bytes] | None:
    """Place and secret of a token; None where it is none."""
    value = bytes_of(token)
    if value is None or len(value) != _OWNER_BYTES + _SLOT_BYTES + SECRET_BYTES:
        return None
    split = _OWNER_BYTES + _SLOT_BYTES
    return value[:split], value[split:]
