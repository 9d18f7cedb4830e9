"""The public keys of clients: by value, or by the URL that they registered.

SMART App Launch 2.2, "Registering a client (communicating public keys)". A set that was fetched
is kept for as long as its Cache-Control allows and no longer; a key that is not in it is looked
for anew, but not at every request. What is fetched is bounded for each address and for all, since
anybody may send an assertion in a client's name.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey
from limits import parse

from fhirserver.auth.authorization import MINUTE, SECOND
from fhirserver.auth.client import Client
from fhirserver.auth.fetch import Fetcher, NotFetched
from fhirserver.auth.secret import bytes_of
from fhirserver.errors import FhirError
from fhirserver.identity.counting import IN_PROCESS, sliding
from fhirserver.model.json import decode

USUAL: Final = 5 * MINUTE
MOST: Final = 60 * MINUTE
"""How long a fetched set is kept that does not say it, and at the most."""

_AGAIN: Final = 30 * SECOND
_OF_ONE: Final = parse("60/minute")
_OF_ALL: Final = parse("600/minute")
_MAX_AGE = re.compile(r"(?:^|,)\s*max-age\s*=\s*\"?(\d{1,9})", re.IGNORECASE)
_NOT_KEPT = re.compile(r"(?:^|,)\s*(no-store|no-cache)\b", re.IGNORECASE)
_KINDS: Final[dict[str, tuple[str, str | None]]] = {
    "RS384": ("RSA", None),
    "ES384": ("EC", "P-384"),
}
_MOST_KEYS: Final = 100
RSA_BYTES: Final = 256  # RFC 7518 section 3.3: 2048 bits or more


class NoKey(Exception):
    """There is not exactly one key; the text says why, without naming any."""


class _Kept(NamedTuple):
    keys: list[dict[str, Any]]
    fetched: int
    until: int


class ClientKeys:
    """`now` gives microseconds since 1970."""

    def __init__(self, fetcher: Fetcher, *, now: Callable[[], int]) -> None:
        self._fetcher = fetcher
        self._now = now
        self._kept: dict[str, _Kept] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._fetches = sliding(IN_PROCESS)

    async def key(self, client: Client, kid: str, algorithm: str) -> RSAKey | ECKey:
        """The client's one key of that id which fits the algorithm. Raises `NoKey`."""
        if client.jwks_uri is None:
            return _only(key_list(client.jwks), kid, algorithm)
        keys, fetched = await self._fetched(client.jwks_uri, 0)
        if not _fitting(keys, kid, algorithm) and self._now() >= fetched + _AGAIN:
            keys, _ = await self._fetched(client.jwks_uri, fetched + 1)
        return _only(keys, kid, algorithm)

    async def _fetched(self, url: str, since: int) -> tuple[list[dict[str, Any]], int]:
        """The keys at a URL, fetched not before `since`, and when they were fetched."""
        asked = self._now()
        async with self._locks.setdefault(url, asyncio.Lock()):
            kept = self._kept.get(url)
            # What came while this waited is as fresh as what it would fetch.
            if (
                kept
                and kept.fetched >= since
                and (self._now() < kept.until or kept.fetched >= asked)
            ):
                return kept.keys, kept.fetched
            await self._check_bounds(url)
            try:
                found = await self._fetcher.get(url)
                keys = key_list(_json(found.body))
            except NotFetched as error:
                raise NoKey(f"The key set of the client: {error}") from None
            now = self._now()
            until = now + lifetime(found.headers.get("cache-control", ""))
            self._kept[url] = _Kept(keys, now, until)
            return keys, now

    async def _check_bounds(self, url: str) -> None:
        """Counts a fetch. Raises `NoKey` for one too many."""
        fetches = self._fetches
        if await fetches.hit(_OF_ONE, "keys", url) and await fetches.hit(_OF_ALL, "keys"):
            return
        raise NoKey("The key set of the client was asked for too often. Try again in a minute.")


def lifetime(cache_control: str) -> int:
    """For how many microseconds an answer with that Cache-Control may be kept."""
    if _NOT_KEPT.search(cache_control):
        return 0
    age = _MAX_AGE.search(cache_control)
    return min(int(age[1]) * SECOND, MOST) if age else USUAL


def key_list(jwks: Any) -> list[dict[str, Any]]:
    """The keys of a JWK Set (RFC 7517 section 5). Raises `NoKey` for what is none."""
    keys = jwks.get("keys") if isinstance(jwks, dict) else None
    if not isinstance(keys, list) or len(keys) > _MOST_KEYS:
        raise NoKey("The client has no key set.")
    return [key for key in keys if isinstance(key, dict)]


def public_key(value: dict[str, Any], algorithm: str) -> RSAKey | ECKey:
    """The public key that a JWK describes. Raises `NoKey` for one that does not fit."""
    kind, curve = _KINDS[algorithm]
    names = ("kty", "n", "e") if kind == "RSA" else ("kty", "crv", "x", "y")
    public = {name: value[name] for name in names if isinstance(value.get(name), str)}
    try:
        if kind == "RSA":
            if len(bytes_of(public["n"]) or b"") < RSA_BYTES:
                raise NoKey("The key is too short.")
            return RSAKey.import_key(public)
        ec = ECKey.import_key(public)
    except (JoseError, ValueError, TypeError, KeyError):
        raise NoKey("The key cannot be read.") from None
    if value.get("crv") != curve:
        raise NoKey("The key is of another curve.")
    return ec


def _fitting(keys: list[dict[str, Any]], kid: str, algorithm: str) -> list[dict[str, Any]]:
    kind = _KINDS[algorithm][0]
    return [
        key
        for key in keys
        if key.get("kid") == kid
        and key.get("kty") == kind
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
        and "verify" in key.get("key_ops", ["verify"])
    ]


def _only(keys: list[dict[str, Any]], kid: str, algorithm: str) -> RSAKey | ECKey:
    found = _fitting(keys, kid, algorithm)
    if len(found) != 1:
        raise NoKey(f"The client has {len(found)} keys that fit.")
    return public_key(found[0], algorithm)


def _json(body: bytes) -> Any:
    try:
        return decode(body)
    except FhirError:
        raise NoKey("The key set of the client is not JSON.") from None
