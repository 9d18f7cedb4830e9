"""Authorization requests that a client pushed beforehand (RFC 9126)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from fhirserver.auth.authorization import SECOND
from fhirserver.auth.client import Client
from fhirserver.auth.oauth_error import OAuthError
from fhirserver.auth.parameters import Parameters
from fhirserver.auth.secret import SECRET_BYTES, RandomBytes, bytes_of, hash_of, text_of
from fhirserver.store.port import Stale
from fhirserver.store.records import ABSENT, Records

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
        self._records = records
        self._now = now
        self._random = random

    async def push(self, client: Client, parameters: Parameters) -> str:
        """The request_uri of a request, whose parameters have been checked."""
        secret = self._random(SECRET_BYTES)
        body = _encode(_Pushed(client.id, dict(parameters)))
        expires = self._now() + LIFE * SECOND
        await self._records.put(COLLECTION, _key(secret), body, expected=ABSENT, expires=expires)
        return PREFIX + text_of(secret)

    async def take(self, request_uri: str, client_id: str) -> dict[str, str]:
        """The parameters of a client's pushed request, which are given once.

        Raises `invalid_request_uri` for one that is unknown, used, too old, or another's.
        """
        refused = OAuthError("invalid_request_uri", "The request_uri is not valid (any more).")
        secret = bytes_of(request_uri.removeprefix(PREFIX))
        if not request_uri.startswith(PREFIX) or not secret or len(secret) != SECRET_BYTES:
            raise refused
        record = await self._records.get(COLLECTION, _key(secret))
        pushed = _decode(record.body) if record else None
        if record is None or pushed is None or pushed.client != client_id:
            raise refused
        try:
            await self._records.delete(COLLECTION, record.key, expected=record.revision)
        except Stale:
            raise refused from None
        return pushed.parameters


def _key(secret: bytes) -> str:
    return text_of(hash_of(secret))
