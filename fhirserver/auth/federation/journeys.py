"""Browsers that were sent to another provider, and are to come back: single-use records."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final

import msgspec

from fhirserver.store.port import Stale
from fhirserver.store.records import ABSENT, Records

COLLECTION: Final = "auth.federation"
_BACK_WITHIN: Final = 600_000_000  # microseconds


class Journey(msgspec.Struct, frozen=True, kw_only=True):
    """`visit` is the hash of the browser's visit; `next` where it wants to go in the end.

    `link` is the account that the person is to be linked to, `fresh` whether they have to
    prove who they are after `begun`.
    """

    provider: str
    visit: str
    nonce: str
    verifier: str
    redirect_uri: str
    next: str
    begun: int
    link: str = ""
    fresh: bool = False


class Journeys:
    """`now` is in microseconds since 1970."""

    def __init__(self, records: Records, *, now: Callable[[], int]) -> None:
        self._records = records
        self._now = now

    async def begin(self, state: str, journey: Journey) -> None:
        """Remembers a browser that leaves, by its state."""
        await self._records.put(
            COLLECTION,
            hash_of(state),
            msgspec.json.encode(journey),
            expected=ABSENT,
            expires=self._now() + _BACK_WITHIN,
        )

    async def back(self, state: str, visit: str) -> Journey | None:
        """The journey of a state, once, and of the browser that began it only."""
        record = await self._records.get(COLLECTION, hash_of(state))
        if record is None:
            return None
        journey = _decode(record.body)
        if journey.visit != hash_of(visit):
            return None
        try:
            await self._records.delete(COLLECTION, record.key, expected=record.revision)
        except Stale:
            return None
        return journey


def hash_of(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()


_decode: Final = msgspec.json.Decoder(Journey).decode
