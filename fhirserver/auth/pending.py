"""Authorization requests under way: between the client's request and the answer to it.

The user signs in, chooses a patient, agrees; the request waits here meanwhile, so that nothing of
it travels through the pages. Once a user has taken it up it is that sign-in's alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec

from fhirserver.auth.authorization import MINUTE
from fhirserver.auth.authorization_request import AuthorizationRequest
from fhirserver.auth.launches import Launch
from fhirserver.auth.secret import SECRET_BYTES, RandomBytes, hash_of, text_of
from fhirserver.store.port import Stale
from fhirserver.store.records import ABSENT, Records

COLLECTION: Final = "auth.pending"
LIFETIME: Final = 30 * MINUTE


class Pending(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A request and how far it is. `created` is when it came, microseconds since 1970.

    `account` and `session` are whose it is, once somebody signed in. `patient` and `encounter`
    are ids of what was chosen, `chosen` tells that there is nothing left to choose.
    `launch` is the context of an EHR launch.
    """

    request: AuthorizationRequest
    created: int
    account: str = ""
    session: str = ""
    patient: str | None = None
    encounter: str | None = None
    chosen: bool = False
    launch: Launch | None = None


class Held(NamedTuple):
    """A pending request as it was read. `token` is what its pages name it by."""

    token: str
    pending: Pending
    revision: int


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Pending).decode


class PendingRequests:
    """`now` gives microseconds since 1970, `random` that many random bytes."""

    def __init__(self, records: Records, *, now: Callable[[], int], random: RandomBytes) -> None:
        self._records = records
        self._random = random
        self.now = now

    async def begin(self, request: AuthorizationRequest, launch: Launch | None) -> Held:
        """Keeps a request that was checked."""
        token = text_of(self._random(SECRET_BYTES))
        pending = Pending(request=request, created=self.now(), launch=launch)
        revision = await self._records.put(
            COLLECTION,
            _key(token),
            _encode(pending),
            expected=ABSENT,
            expires=pending.created + LIFETIME,
        )
        return Held(token, pending, revision)

    async def get(self, token: str) -> Held | None:
        """The request of a token; None where there is none or it has been answered."""
        record = await self._records.get(COLLECTION, _key(token))
        return None if record is None else Held(token, _decode(record.body), record.revision)

    async def change(self, held: Held, **fields: Any) -> Held:
        """The request with other fields. Raises `Stale` where it was changed or answered."""
        pending = msgspec.structs.replace(held.pending, **fields)
        revision = await self._records.put(
            COLLECTION,
            _key(held.token),
            _encode(pending),
            expected=held.revision,
            expires=pending.created + LIFETIME,
        )
        return Held(held.token, pending, revision)

    async def end(self, held: Held) -> bool:
        """Takes the request away; True for the one of many that does it first."""
        try:
            await self._records.delete(COLLECTION, _key(held.token), expected=held.revision)
        except Stale:
            return False
        return True

    async def drop(self, token: str) -> None:
        """Takes the request away, whatever became of it meanwhile."""
        await self._records.delete(COLLECTION, _key(token))


def _key(token: str) -> str:
    return text_of(hash_of(token.encode()))
