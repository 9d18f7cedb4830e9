"""Access tokens: opaque, kept as hashes, looked up with every request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from fhirserver.auth.secret import SECRET_BYTES, RandomBytes, hash_of, text_of
from fhirserver.identity.clocks import has_begun
from fhirserver.store.records import ABSENT, Records

COLLECTION: Final = "auth.access-token"
_LENGTH: Final = 43  # characters of the secret's bytes


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
decode: Final = msgspec.json.Decoder(AccessToken).decode


class AccessTokens:
    """`now` gives microseconds since 1970, `random` that many random bytes."""

    def __init__(self, records: Records, *, now: Callable[[], int], random: RandomBytes) -> None:
        self._records = records
        self._now = now
        self._random = random

    async def issue(self, token: AccessToken) -> str:
        """The text of a new token, which is nowhere kept."""
        text = text_of(self._random(SECRET_BYTES))
        await self._records.put(
            COLLECTION, _key(text), _encode(token), expected=ABSENT, expires=token.until
        )
        return text

    async def get(self, text: str) -> AccessToken | None:
        """What is kept of a token; None for one that is unknown or expired."""
        key = key_of(text)
        record = await self._records.get(COLLECTION, key) if key else None
        token = None if record is None else decode(record.body)
        return token if token is not None and self.is_good(token) else None

    def is_good(self, token: AccessToken) -> bool:
        """Whether it is its time."""
        now = self._now()
        return has_begun(token.issued, now) and now < token.until

    async def revoke(self, text: str) -> None:
        """Ends a token, if there is such a one."""
        await self._records.delete(COLLECTION, _key(text))


def key_of(text: str) -> str | None:
    """The key of a token's record; None for what is no token."""
    return _key(text) if len(text) == _LENGTH else None


def _key(text: str) -> str:
    return text_of(hash_of(text.encode()))
