"""Browsers that were sent to another provider, and are to come back: single-use records.

So many for each provider and no more, since nobody has signed in for them: see `auth.slots`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final

import msgspec

from fhirserver.auth.secret import RandomBytes
from fhirserver.auth.slots import Full, Slots
from fhirserver.errors import Throttled
from fhirserver.store.records import Records

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
    """`now` is in microseconds since 1970, `random` gives that many random bytes."""

    def __init__(
        self,
        records: Records,
        *,
        now: Callable[[], int],
        random: RandomBytes,
        slots: int | None = None,
    ) -> None:
        self._slots = Slots(records, COLLECTION, random=random, slots=slots)
        self._now = now

    async def begin(self, journey: Journey) -> str:
        """Remembers a browser that leaves; the state that it is to come back with.

        Raises `Throttled` where too many leave at once.
        """
        body = msgspec.json.encode(journey)
        until = self._now() + _BACK_WITHIN
        try:
            state, _ = await self._slots.add(journey.provider, body, expires=until)
        except Full:
            raise Throttled("Too many sign in there at once. Try again.") from None
        return state

    async def back(self, state: str, visit: str) -> Journey | None:
        """The journey of a state, once, and of the browser that began it only."""
        kept = await self._slots.get(state)
        if kept is None:
            return None
        journey = _decode(kept.body)
        if journey.visit != hash_of(visit):
            return None
        return journey if await self._slots.take(kept) else None


def hash_of(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()


_decode: Final = msgspec.json.Decoder(Journey).decode
