"""Access tokens: opaque, kept as hashes, looked up with every request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from fhirserver.auth.secret import SECRET_BYTES, RandomBytes, bytes_of, hash_of, text_of
from fhirserver.store.records import ABSENT, Records

COLLECTION: Final = "auth.access-token"


class AccessToken(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is kept of one; `authorization`, `client` and `user` name what it depends on.

    `thumbprint` is that of the DPoP key which must be proved with it (RFC 9449 section 6).
    `issued` and `until` are microseconds since 1970.
    """

    authorization: str
    client: str
    scopes: tuple[str, ...]
    issued: int
    until: int
    user: str | None = None
    thumbprint: str | None = None


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(AccessToken).decode


class AccessTokens:
    """`now` gives microseconds since 1970, `random` that many random bytes."""

    def __init__(self, records: Records, *, now: Callable[[], int], random: RandomBytes) -> None:
        self._records = records
        self._now = now
        self._random = random

    async def issue(self, token: AccessToken) -> str:
        """The text of a new token, which is nowhere kept."""
        secret = self._random(SECRET_BYTES)
        await self._records.put(
            COLLECTION, _key(secret), _encode(token), expected=ABSENT, expires=token.until
        )
        return text_of(secret)

    async def get(self, text: str) -> AccessToken | None:
        """What is kept of a token; None for one that is unknown or expired."""
        secret = bytes_of(text)
        if secret is None or len(secret) != SECRET_BYTES:
            return None
        record = await self._records.get(COLLECTION, _key(secret))
        if record is None:
            return None
        token = _decode(record.body)
        return token if self._now() < token.until else None

    async def revoke(self, text: str) -> None:
        """Ends a token, if there is such a one."""
        secret = bytes_of(text)
        if secret is not None and len(secret) == SECRET_BYTES:
            await self._records.delete(COLLECTION, _key(secret))


def _key(secret: bytes) -> str:
    return text_of(hash_of(secret))
