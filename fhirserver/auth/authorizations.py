"""Authorizations as records: granted, redeemed, refreshed, revoked.

RFC 6749 sections 4.1 and 6; RFC 9700 sections 2.1.1, 4.14. Every change is a compare-and-set of
the one document: of many who present the same code, one gets tokens.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, NamedTuple

import msgspec

from fhirserver.auth.authorization import (
    DAY,
    MINUTE,
    SECOND,
    Approved,
    Authorization,
    decode,
    encode,
)
from fhirserver.auth.oauth_error import OAuthError
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
from fhirserver.identity.clocks import LEEWAY, has_begun
from fhirserver.store.port import Stale
from fhirserver.store.records import ABSENT, MAX_LISTED, Records

COLLECTION: Final = "auth.grant"
OF_USER: Final = "auth.grant-of-user"
"""Which authorizations a user has given: `[user]/[id]`, with an empty body."""

_FAMILY_BYTES: Final = 16
_REFRESH_BYTES: Final = _FAMILY_BYTES + SECRET_BYTES
_REMEMBERED: Final = 24 * 60 * MINUTE  # for which a code that comes again is known as used
_MARGIN: Final = SECOND  # by which an authorization outlasts the one access token that it has
_BAD_CODE: Final = "The code is not valid: it is unknown, used, or expired."
_BAD_REFRESH: Final = "The refresh token is not valid. Ask the user again."


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """In microseconds. `refresh` begins anew with each use, `absolute` ends all.

    Within `grace` of its rotation a refresh token gives the same successor again, for a client
    that did not get the answer.
    """

    code: int = 60 * SECOND
    access: int = 15 * MINUTE
    system_access: int = 5 * MINUTE
    refresh: int = 100 * DAY
    absolute: int = 730 * DAY
    grace: int = 20 * SECOND


class Held(NamedTuple):
    """An authorization as it was read, with the revision of its record."""

    authorization: Authorization
    revision: int


class Granted(NamedTuple):
    """A new authorization, and the code that the client redeems."""

    authorization: Authorization
    code: str


class Refreshed(NamedTuple):
    """The authorization after a refresh, and the refresh token that is now in force."""

    authorization: Authorization
    refresh_token: str


class Authorizations:
    """`now` gives microseconds since 1970, `random` that many random bytes."""

    def __init__(
        self,
        records: Records,
        *,
        now: Callable[[], int],
        random: RandomBytes,
        lifetimes: Lifetimes | None = None,
    ) -> None:
        self._records = records
        self._random = random
        self.now = now
        self.lifetimes = lifetimes or Lifetimes()

    async def grant(self, approved: Approved) -> Granted:
        """A new authorization with a code, which is good for a minute and for one use."""
        secret = self._random(SECRET_BYTES)
        now = self.now()
        authorization = Authorization(
            id=text_of(self._random(ID_BYTES)),
            created=now,
            until=now + self.lifetimes.absolute,
            code=hash_of(secret),
            code_until=now + self.lifetimes.code,
            **{name: getattr(approved, name) for name in approved.__struct_fields__},
        )
        of_user = f"{approved.user}/{authorization.id}"
        await self._records.put(OF_USER, of_user, b"", expires=authorization.until)
        expires = authorization.code_until + _REMEMBERED
        await self._put(authorization, ABSENT, expires=expires)
        return Granted(authorization, named(authorization.id, secret))

    async def grant_system(
        self, tenant: str, client: str, scopes: tuple[str, ...], audience: str
    ) -> Authorization:
        """The authorization of a client that acts for itself; it ends with its access token."""
        now = self.now()
        authorization = Authorization(
            id=text_of(self._random(ID_BYTES)),
            tenant=tenant,
            client=client,
            scopes=scopes,
            audience=audience,
            created=now,
            until=now + self.lifetimes.system_access + _MARGIN,
        )
        await self._put(authorization, ABSENT, expires=authorization.until)
        return authorization

    async def get(self, id: str) -> Held | None:
        """The authorization of an id, revoked ones included; None where there is none."""
        record = await self._records.get(COLLECTION, id)
        return None if record is None else Held(decode(record.body), record.revision)

    async def of_user(self, user: str) -> list[Authorization]:
        """The live authorizations that a user gave and whose code was redeemed."""
        prefix = f"{user}/"
        after = ""
        found = []
        while True:
            records = await self._records.list(OF_USER, prefix=prefix, after=after)
            for record in records:
                held = await self.get(record.key.removeprefix(prefix))
                if held and held.authorization.used and held.authorization.is_live(self.now()):
                    found.append(held.authorization)
            if len(records) < MAX_LISTED:
                return found
            after = records[-1].key

    async def of_code(self, code: str) -> Held:
        """The authorization of a code, used ones included. Raises `invalid_grant`."""
        parts = parts_of(code, SECRET_BYTES)
        held = await self.get(parts.id) if parts else None
        if parts is None or held is None:
            raise OAuthError("invalid_grant", _BAD_CODE)
        if not same(held.authorization.code, hash_of(parts.secret)):
            raise OAuthError("invalid_grant", _BAD_CODE)
        return held

    async def redeem(self, held: Held, *, thumbprint: str | None = None) -> Refreshed:
        """Uses the code of an authorization up; `refresh_token` is empty where none is granted.

        `thumbprint` is that of the DPoP key that its tokens are bound to from now on.

        Raises `invalid_grant` where that was done before, and then ends the authorization: the
        code is in two hands. What the code is bound to, the caller has compared.
        """
        now = self.now()
        found = held.authorization
        if found.used:
            await self.revoke(found.id, "code-replay")
            raise OAuthError("invalid_grant", _BAD_CODE)
        if not found.is_live(now) or not has_begun(found.created, now) or now >= found.code_until:
            raise OAuthError("invalid_grant", _BAD_CODE)
        fields: dict[str, Any] = {"used": True, "thumbprint": thumbprint}
        token = ""
        if "offline_access" in found.scopes or "online_access" in found.scopes:
            family, secret = self._random(_FAMILY_BYTES), self._random(SECRET_BYTES)
            token = named(found.id, family + secret)
            fields |= {
                "family": hash_of(family),
                "refresh": hash_of(secret),
                "refresh_until": now + self.lifetimes.refresh,
            }
        else:
            fields |= {"until": now + self.lifetimes.access + _MARGIN}
        redeemed = msgspec.structs.replace(found, **fields)
        try:
            await self._put(redeemed, held.revision)
        except Stale:
            await self.revoke(found.id, "code-replay")
            raise OAuthError("invalid_grant", _BAD_CODE) from None
        return Refreshed(redeemed, token)

    async def of_refresh_token(self, token: str) -> Held | None:
        """The authorization that a refresh token, in force or not, belongs to; else None."""
        parts = parts_of(token, _REFRESH_BYTES)
        held = await self.get(parts.id) if parts else None
        if parts is None or held is None or not held.authorization.family:
            return None
        family = parts.secret[:_FAMILY_BYTES]
        return held if same(held.authorization.family, hash_of(family)) else None

    async def refresh(self, token: str, *, rotates: bool) -> Refreshed:
        """Uses a refresh token. Raises `invalid_grant`.

        Where it `rotates`, the token is replaced, and the use of one that was replaced longer
        than `grace` ago ends the authorization: one of two holders is a thief.
        """
        parts = parts_of(token, _REFRESH_BYTES)
        while parts is not None:
            held = await self.of_refresh_token(token)
            now = self.now()
            if held is None or not _refreshable(held.authorization, now):
                break
            secret = parts.secret[_FAMILY_BYTES:]
            found, hashed = held.authorization, hash_of(secret)
            if same(found.refresh, hashed):
                changed, answer = self._used(found, parts.secret, rotates=rotates)
            elif same(found.previous, hashed) and self._is_lost(found, now):
                family = parts.secret[:_FAMILY_BYTES]
                changed, answer = found, family + _successor(secret, found.salt)
            else:
                await self.revoke(found.id, "refresh-replay")
                break
            try:
                # Written also where nothing changes: a revocation meanwhile makes it stale.
                await self._put(changed, held.revision)
            except Stale:
                continue
            return Refreshed(changed, named(found.id, answer))
        raise OAuthError("invalid_grant", _BAD_REFRESH)

    def _is_lost(self, found: Authorization, now: int) -> bool:
        """Whether the answer of the last rotation may have been lost: it was a moment ago."""
        return -LEEWAY <= now - found.rotated < self.lifetimes.grace

    def _used(
        self, found: Authorization, secret: bytes, *, rotates: bool
    ) -> tuple[Authorization, bytes]:
        now = self.now()
        until = min(now + self.lifetimes.refresh, found.until)
        if not rotates:
            return msgspec.structs.replace(found, refresh_until=until), secret
        salt = self._random(SECRET_BYTES)
        family, current = secret[:_FAMILY_BYTES], secret[_FAMILY_BYTES:]
        successor = _successor(current, salt)
        rotated = msgspec.structs.replace(
            found,
            refresh=hash_of(successor),
            previous=found.refresh,
            salt=salt,
            rotated=now,
            refresh_until=until,
        )
        return rotated, family + successor

    async def revoke(self, id: str, reason: str) -> bool:
        """Ends an authorization with all its tokens, at once; False where it was not live."""
        while True:
            held = await self.get(id)
            if held is None or held.authorization.revoked:
                return False
            revoked = msgspec.structs.replace(held.authorization, revoked=self.now(), reason=reason)
            try:
                await self._put(revoked, held.revision)
            except Stale:
                continue
            return True

    async def _put(
        self, authorization: Authorization, expected: int, *, expires: int | None = None
    ) -> None:
        kept = max(authorization.until, self.now() + _REMEMBERED) if expires is None else expires
        body = encode(authorization)
        await self._records.put(COLLECTION, authorization.id, body, expected=expected, expires=kept)


def _refreshable(found: Authorization, now: int) -> bool:
    return found.is_live(now) and now < found.refresh_until


def _successor(secret: bytes, salt: bytes) -> bytes:
    """The secret that follows another: whoever has only what is kept cannot make it."""
    return hmac.digest(secret, salt, sha256)
