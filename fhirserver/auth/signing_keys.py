"""The keys that id_tokens are signed with, in one record: made, rotated with overlap, published.

OpenID Connect Core 1.0 section 10.1.1. A new key is published before it signs, and an old one
goes on being published until what it signed has expired.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

import msgspec
from joserfc import jwt
from joserfc.jwk import RSAKey

from fhirserver.auth.authorization import DAY, MINUTE
from fhirserver.store.port import Stale
from fhirserver.store.records import ABSENT, Records

COLLECTION: Final = "auth.signing-key"
KEY: Final = "ring"
ALGORITHM: Final = "RS256"

LEAD: Final = 15 * MINUTE
"""How long a key is published before it signs; clients keep the set for less."""

OVERLAP: Final = DAY
KEPT_SECONDS: Final = 600
"""How long clients may keep the published set."""

_BITS: Final = 2048


class SigningKey(msgspec.Struct, frozen=True, kw_only=True):
    """`jwk` is the private key (RFC 7517). Instants are microseconds since 1970.

    It signs from `signs_from` on, and is published until `until` (0: no end is set).
    """

    kid: str
    jwk: dict[str, Any]
    created: int
    signs_from: int
    until: int = 0


class _Ring(msgspec.Struct, frozen=True):
    keys: tuple[SigningKey, ...] = ()


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(_Ring).decode


class SigningKeys:
    """`now` gives microseconds since 1970."""

    def __init__(self, records: Records, *, now: Callable[[], int]) -> None:
        self._records = records
        self._now = now

    async def all(self) -> tuple[SigningKey, ...]:
        """The keys that are published, oldest first; the first is made when it is asked for."""
        found, revision = await self._read()
        if found:
            return found
        made = await _made(self._now(), 0)
        try:
            await self._write((made,), revision)
        except Stale:
            return (await self._read())[0]
        return (made,)

    async def rotate(self, *, at_once: bool = False) -> SigningKey:
        """A new key, which signs after `LEAD`; older ones are published for a day more.

        `at_once`, for a key that has leaked: it signs now, and older ones are gone, with
        whatever they have signed.
        """
        now = self._now()
        made = await _made(now, 0 if at_once else LEAD)
        while True:
            found, revision = await self._read()
            until = made.signs_from + OVERLAP
            older = () if at_once else tuple(_ending(key, until) for key in found)
            try:
                await self._write((*older, made), revision)
            except Stale:
                continue
            return made

    async def jwks(self) -> dict[str, Any]:
        """The JWK Set of the public keys."""
        return {"keys": [_public(key) for key in await self.all()]}

    async def sign(self, claims: dict[str, Any]) -> str:
        """The claims as a signed JWT, by the youngest key that may sign."""
        now = self._now()
        keys = await self.all()
        signing = [key for key in keys if key.signs_from <= now] or list(keys)
        key = max(signing, key=lambda key: key.signs_from)
        header = {"alg": ALGORITHM, "kid": key.kid, "typ": "JWT"}
        return jwt.encode(header, claims, _loaded(key.kid, _text(key.jwk)), algorithms=[ALGORITHM])

    async def _read(self) -> tuple[tuple[SigningKey, ...], int]:
        record = await self._records.get(COLLECTION, KEY)
        if record is None:
            return (), ABSENT
        now = self._now()
        keys = _decode(record.body).keys
        return tuple(key for key in keys if not key.until or now < key.until), record.revision

    async def _write(self, keys: tuple[SigningKey, ...], expected: int) -> None:
        await self._records.put(COLLECTION, KEY, _encode(_Ring(keys)), expected=expected)


async def _made(now: int, lead: int) -> SigningKey:
    key = await asyncio.to_thread(RSAKey.generate_key, _BITS)
    kid = key.thumbprint()
    return SigningKey(
        kid=kid, jwk=dict(key.as_dict(private=True)), created=now, signs_from=now + lead
    )


def _ending(key: SigningKey, until: int) -> SigningKey:
    return msgspec.structs.replace(key, until=min(key.until or until, until))


def _public(key: SigningKey) -> dict[str, Any]:
    names = ("kty", "n", "e")
    return {name: key.jwk[name] for name in names} | {
        "kid": key.kid,
        "use": "sig",
        "alg": ALGORITHM,
    }


def _text(jwk: dict[str, Any]) -> bytes:
    return msgspec.json.encode(jwk, order="sorted")


@lru_cache(maxsize=16)
def _loaded(kid: str, jwk: bytes) -> RSAKey:
    return RSAKey.import_key(msgspec.json.decode(jwk))
