"""Authorization requests that a client pushed beforehand (RFC 9126)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from fhirserver.auth.authorization import SECOND
from fhirserver.auth.client import Client
from fhirserver.auth.oauth_error import OAuthError
from fhirserver.auth.parameters import Parameters
from fhirserver.auth.secret import RandomBytes
from fhirserver.auth.slots import Full, Slots
from fhirserver.store.records import Records

COLLECTION: Final = "auth.pushed"
PREFIX: Final = "urn:ietf:params:oauth:request_uri:"
LIFE: Final = 90
"""Seconds in which a pushed request must be used."""


class _Pushed(msgspec.Struct, frozen=True):
    client: str
    parameters: dict[str, str]


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(_Pushed).decode


class PushedRequests:
    """`now` gives microseconds since 1970, `random` that many random bytes."""

    def __init__(self, records: Records, *, now: Callable[[], int], random: RandomBytes) -> None:
        self._slots = Slots(records, COLLECTION, random=random)
        self._now = now

    async def push(self, client: Client, parameters: Parameters) -> str:
        """The request_uri of a request, whose parameters have been checked.

        Raises `temporarily_unavailable` where too many are pushed at once.
        """
        body = _encode(_Pushed(client.id, dict(parameters)))
        try:
            token, _ = await self._slots.add(client.id, body, expires=self._now() + LIFE * SECOND)
        except Full:
            text = "Too many requests are pushed at once. Try again."
            raise OAuthError("temporarily_unavailable", text) from None
        return PREFIX + token

    async def take(self, request_uri: str, client_id: str) -> dict[str, str]:
        """The parameters of a client's pushed request, which are given once.

        Raises `invalid_request_uri` for one that is unknown, used, too old, or another's.
        """
        refused = OAuthError("invalid_request_uri", "The request_uri is not valid (any more).")
        if not request_uri.startswith(PREFIX):
            raise refused
        kept = await self._slots.get(request_uri.removeprefix(PREFIX))
        pushed = _decode(kept.body) if kept else None
        if kept is None or pushed is None or pushed.client != client_id:
            raise refused
        if not await self._slots.take(kept):
            raise refused
        return pushed.parameters
