"""EHR launches: the context that an app is started with, behind an opaque value.

SMART App Launch 2.2, "Launch App: EHR Launch". The value is good for one user, one client and one
tenant, for a short while and for one authorization; what it stands for stays here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from fhirserver.auth.authorization import MINUTE
from fhirserver.auth.secret import (
    ID_BYTES,
    SECRET_BYTES,
    RandomBytes,
    hash_of,
    named,
    parts_of,
    same,
    text_of,
)
from fhirserver.store.port import Stale
from fhirserver.store.records import ABSENT, Records

COLLECTION: Final = "auth.launch"
LIFETIME: Final = 10 * MINUTE


class Launch(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The context of a launch. `user` is the account that it is for.

    `patient` and `encounter` are ids, `fhir_context` the further resources, `intent` a word that
    the app knows. `banner`: the app must show whose record it is.
    """

    tenant: str
    client: str
    user: str
    patient: str | None = None
    encounter: str | None = None
    intent: str | None = None
    fhir_context: tuple[dict[str, Any], ...] = ()
    banner: bool = True


class _Kept(msgspec.Struct, frozen=True):
    secret: bytes
    launch: Launch


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(_Kept).decode


class Launches:
    """`now` gives microseconds since 1970, `random` that many random bytes."""

    def __init__(self, records: Records, *, now: Callable[[], int], random: RandomBytes) -> None:
        self._records = records
        self._now = now
        self._random = random

    async def begin(self, launch: Launch) -> str:
        """The value to start the app with; it ends after `LIFETIME`."""
        id, secret = text_of(self._random(ID_BYTES)), self._random(SECRET_BYTES)
        body = _encode(_Kept(hash_of(secret), launch))
        expires = self._now() + LIFETIME
        await self._records.put(COLLECTION, id, body, expected=ABSENT, expires=expires)
        return named(id, secret)

    async def find(self, value: str, *, tenant: str, client: str) -> Launch | None:
        """The context of a value; None where it is unknown, used, expired or another client's."""
        parts = parts_of(value, SECRET_BYTES)
        record = await self._records.get(COLLECTION, parts.id) if parts else None
        if parts is None or record is None:
            return None
        kept = _decode(record.body)
        if not same(kept.secret, hash_of(parts.secret)):
            return None
        found = kept.launch
        return found if (found.tenant, found.client) == (tenant, client) else None

    async def use(self, value: str) -> bool:
        """Ends the value; True for the one of many that does it first."""
        parts = parts_of(value, SECRET_BYTES)
        record = await self._records.get(COLLECTION, parts.id) if parts else None
        if parts is None or record is None:
            return False
        try:
            await self._records.delete(COLLECTION, parts.id, expected=record.revision)
        except Stale:
            return False
        return True
