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
from fhirserver.auth.oauth_error import OAuthError
from fhirserver.auth.secret import RandomBytes
from fhirserver.auth.slots import Full, Slots
from fhirserver.store.records import Records

COLLECTION: Final = "auth.pending"
LIFETIME: Final = 30 * MINUTE
UNTIL_SIGNED_IN: Final = 10 * MINUTE
"""The time in which somebody has to sign in."""


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
    """`now` gives microseconds since 1970, `random` that many random bytes.

    Of each client so many wait that nobody has signed in for: a slot that no user has taken up is
    given to another when there are more.
    """

    def __init__(self, records: Records, *, now: Callable[[], int], random: RandomBytes) -> None:
        self._slots = Slots(records, COLLECTION, random=random, may_go=_is_nobodys)
        self.now = now

    async def begin(self, request: AuthorizationRequest, launch: Launch | None) -> Held:
        """Keeps a request that was checked. Raises `temporarily_unavailable` for too many."""
        pending = Pending(request=request, created=self.now(), launch=launch)
        try:
            token, revision = await self._slots.add(
                request.client, _encode(pending), expires=_expires(pending)
            )
        except Full:
            text = "Too many people are signing in to this app. Try again later."
            raise OAuthError("temporarily_unavailable", text) from None
        return Held(token, pending, revision)

    async def get(self, token: str) -> Held | None:
        """The request of a token; None where there is none or it has been answered."""
        kept = await self._slots.get(token)
        return None if kept is None else Held(token, _decode(kept.body), kept.revision)

    async def change(self, held: Held, **fields: Any) -> Held:
        """The request with other fields. Raises `Stale` where it was changed or answered."""
        pending = msgspec.structs.replace(held.pending, **fields)
        revision = await self._slots.change(
            held.token, _encode(pending), expected=held.revision, expires=_expires(pending)
        )
        return Held(held.token, pending, revision)

    async def end(self, held: Held) -> bool:
        """Takes the request away; True for the one of many that does it first."""
        kept = await self._slots.get(held.token)
        if kept is None or kept.revision != held.revision:
            return False
        return await self._slots.take(kept)

    async def drop(self, token: str) -> None:
        """Takes the request away, whatever became of it meanwhile."""
        while (kept := await self._slots.get(token)) is not None:
            if await self._slots.take(kept):
                return


def _expires(pending: Pending) -> int:
    return pending.created + (LIFETIME if pending.account else UNTIL_SIGNED_IN)


def _is_nobodys(body: bytes) -> bool:
    return not _decode(body).account
