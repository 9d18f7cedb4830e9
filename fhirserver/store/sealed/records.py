"""The server's own records, sealed. Keys that may name somebody are kept as hashes.

A key that is hashed stands in the sealed body as well, so that a listing tells it. Each part
between slashes is hashed by itself: a listing by whole parts reads what it lists, one of all or
of less than a part reads all.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeVar

from fhirserver.store.records import MAX_LISTED, Place, Record, Records
from fhirserver.store.sealed.blind import Blind
from fhirserver.store.sealed.cipher import Cipher
from fhirserver.store.sealed.keys import COLLECTION

CLEAR_KEYS: Final = frozenset(
    {"job", "index", "tenant", "audit.checkpoint", "identity.account", "identity.session"}
    | {"access.break-glass", "auth.client", "auth.grant", "auth.grant-of-user", "auth.signing-key"}
)
"""Collections whose keys are random ids or fixed names; those of all others are hashed."""

_PART: Final = "/"

T = TypeVar("T")


class Sealing(Protocol):
    """What seals here: the newest cipher, the hashes, and a second try when a key is new."""

    @property
    def blind(self) -> Blind: ...

    async def cipher(self) -> Cipher: ...

    async def opened(self, opens: Callable[[Cipher], T]) -> T: ...


class SealedRecords:
    """A `fhirserver.store.records.Records` over those of a store."""

    def __init__(self, inner: Records, sealing: Sealing) -> None:
        self._inner = inner
        self._sealing = sealing

    async def get(self, collection: str, key: str) -> Record | None:
        kept = self._kept(collection, key)
        found = await self._inner.get(collection, kept)
        return None if found is None else (await self._open(collection, [found]))[0]

    async def get_many(self, keys: Sequence[Place]) -> Sequence[Record | None]:
        kept = [Place(collection, self._kept(collection, key)) for collection, key in keys]
        found = await self._inner.get_many(kept)

        def opens(cipher: Cipher) -> builtins.list[Record | None]:
            return [
                None if record is None else opened(cipher, place.collection, record)
                for place, record in zip(kept, found, strict=True)
            ]

        return await self._sealing.opened(opens)

    async def put(
        self,
        collection: str,
        key: str,
        body: bytes,
        *,
        expected: int | None = None,
        expires: int | None = None,
    ) -> int:
        kept = self._kept(collection, key)
        sealed = (await self._sealing.cipher()).seal(_packed(key, body), _place(collection, kept))
        return await self._inner.put(collection, kept, sealed, expected=expected, expires=expires)

    async def delete(self, collection: str, key: str, *, expected: int | None = None) -> None:
        await self._inner.delete(collection, self._kept(collection, key), expected=expected)

    async def list(
        self, collection: str, *, prefix: str = "", after: str = "", count: int = MAX_LISTED
    ) -> Sequence[Record]:
        if collection in CLEAR_KEYS:
            found = await self._inner.list(
                collection, prefix=prefix, after=after, count=min(count, MAX_LISTED)
            )
            return await self._open(collection, found)
        begun = "".join(prefix.rpartition(_PART)[:2])  # what is left of it is no whole part
        found = await self._all(collection, self._kept(collection, begun))
        wanted = [one for one in found if one.key > after and one.key.startswith(prefix)]
        return sorted(wanted)[: min(count, MAX_LISTED)]

    async def collections(self) -> Sequence[str]:
        return [name for name in await self._inner.collections() if name != COLLECTION]

    async def _all(self, collection: str, prefix: str) -> builtins.list[Record]:
        found: builtins.list[Record] = []
        after = ""
        while page := await self._inner.list(collection, prefix=prefix, after=after):
            found += await self._open(collection, page)
            after = page[-1].key
        return found

    async def _open(self, collection: str, kept: Sequence[Record]) -> builtins.list[Record]:
        def opens(cipher: Cipher) -> builtins.list[Record]:
            return [opened(cipher, collection, record) for record in kept]

        return await self._sealing.opened(opens)

    def _kept(self, collection: str, key: str) -> str:
        if collection in CLEAR_KEYS:
            return key
        hashed = self._sealing.blind.token
        return _PART.join(hashed(f"record|{collection}", part) for part in key.split(_PART))


def opened(cipher: Cipher, collection: str, kept: Record) -> Record:
    """A record as its owner wrote it."""
    content = cipher.open(kept.body, _place(collection, kept.key))
    size = int.from_bytes(content[:4], "big")
    return kept._replace(key=content[4 : 4 + size].decode(), body=content[4 + size :])


def resealed(cipher: Cipher, collection: str, kept: Record) -> bytes:
    """The body of a kept record under the newest key."""
    place = _place(collection, kept.key)
    return cipher.seal(cipher.open(kept.body, place), place)


def _packed(key: str, body: bytes) -> bytes:
    encoded = key.encode()
    return len(encoded).to_bytes(4, "big") + encoded + body


def _place(collection: str, kept: str) -> str:
    return f"record|{collection}|{kept}"
