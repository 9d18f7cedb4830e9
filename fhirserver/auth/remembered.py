"""What users agreed to before, so that they are not asked the same again.

A remembered agreement is for one user, client and patient. It answers only a request for no more
than what was agreed, and never one for access that goes on when the user is away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Final

import msgspec

from fhirserver.access.scope import Scope, parse_scopes, within
from fhirserver.auth.authorization import DAY
from fhirserver.auth.client import Client
from fhirserver.store.records import MAX_LISTED, Records

COLLECTION: Final = "auth.remembered"
LIFETIME: Final = 180 * DAY


class Agreement(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was asked, and what of it was granted."""

    asked: tuple[str, ...]
    granted: tuple[str, ...]


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Agreement).decode


class Remembered:
    """`now` gives microseconds since 1970; `days` is how long, 0: nothing is remembered."""

    def __init__(self, records: Records, *, now: Callable[[], int], days: int = 180) -> None:
        self._records = records
        self._now = now
        self._days = days

    def may(self, client: Client, scopes: Iterable[Scope]) -> bool:
        """Whether agreeing to this can be remembered at all.

        Not for an app that anybody can pass for: one without a secret whose address is not of
        the web (RFC 8252, 8.6).
        """
        known = not client.is_public or all(
            uri.startswith("https://") for uri in client.redirect_uris
        )
        lasts = any(str(scope) == "offline_access" for scope in scopes)
        return bool(self._days) and known and not lasts

    async def keep(
        self, user: str, client: Client, patient: str | None, agreement: Agreement
    ) -> None:
        """Remembers what a user agreed to."""
        expires = self._now() + self._days * DAY
        key = _key(user, client.id, patient)
        await self._records.put(COLLECTION, key, _encode(agreement), expires=expires)

    async def answer(
        self, user: str, client: Client, patient: str | None, asked: tuple[Scope, ...]
    ) -> tuple[str, ...] | None:
        """What is granted without asking; None where the user has to be asked.

        An agreement answers the request that it was given to; of one that was granted whole, any
        that asks for less.
        """
        if not self.may(client, asked):
            return None
        record = await self._records.get(COLLECTION, _key(user, client.id, patient))
        if record is None:
            return None
        kept = _decode(record.body)
        texts = tuple(str(scope) for scope in asked)
        if texts == kept.asked:
            return kept.granted
        given = parse_scopes(kept.granted)
        return texts if all(within(scope, given) for scope in asked) else None

    async def forget(self, user: str, client: str) -> None:
        """Asks the user again from now on."""
        prefix = f"{user}/{_digest(client)}/"
        while records := await self._records.list(COLLECTION, prefix=prefix):
            for record in records:
                await self._records.delete(COLLECTION, record.key)
            if len(records) < MAX_LISTED:
                return


def _key(user: str, client: str, patient: str | None) -> str:
    return f"{user}/{_digest(client)}/{_digest(patient or '')}"


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:32]
