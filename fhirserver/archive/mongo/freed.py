"""Blobs that no instance has: a document each, `s` its state and `d` since when."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from bson import Int64
from pymongo.errors import DuplicateKeyError

from fhirserver.store.mongo.connection import Connection
from fhirserver.store.mongo.document import Json
from fhirserver.store.mongo.indexes import FREED

_WAITING, _CLAIMED, _DROPPED = 0, 1, 2
_REMEMBERED: Final = 24 * 3600 * 1_000_000
"""Microseconds for which a deleted blob is remembered."""
_ABANDONED: Final = 600 * 1_000_000
"""Microseconds after which a claim is nobody's any more."""


class FreedBlobs:
    """Those of one tenant."""

    def __init__(self, connection: Connection, tenant: str, clock: Callable[[], int]) -> None:
        self._freed = connection.database[FREED]
        self._tenant = tenant
        self._clock = clock

    async def may_be_used(self, digest: str, *, verified: bool) -> bool:
        """Whether a row that is there now can rely on its blob."""
        query: Json = {"t": self._tenant, "b": digest}
        states = [_WAITING, _DROPPED] if verified else [_WAITING]
        await self._freed.delete_one(query | {"s": {"$in": states}})
        return await self._freed.find_one(query, {"_id": 1}) is None

    async def add(self, digest: str) -> None:
        """Says that no row has it. Who claimed it deletes it, whatever is found meanwhile."""
        query: Json = {"t": self._tenant, "b": digest, "s": {"$ne": _CLAIMED}}
        fields: Json = {"s": _WAITING, "d": Int64(self._clock())}
        with suppress(DuplicateKeyError):  # it is claimed
            await self._freed.update_one(query, {"$set": fields}, upsert=True)

    async def claim(self, limit: int) -> list[str]:
        """Claims some; each is claimed by one process at a time."""
        now = self._clock()
        old: Json = {"t": self._tenant, "s": _DROPPED, "d": {"$lt": Int64(now - _REMEMBERED)}}
        await self._freed.delete_many(old)
        query: Json = {
            "t": self._tenant,
            "$or": [
                {"s": _WAITING},
                {"s": _CLAIMED, "d": {"$lt": Int64(now - _ABANDONED)}},
            ],
        }
        claimed: list[str] = []
        while len(claimed) < limit:
            change = {"$set": {"s": _CLAIMED, "d": Int64(now)}}
            found = await self._freed.find_one_and_update(query, change)
            if found is None:
                break
            claimed.append(found["b"])
        return claimed

    async def drop(self, digests: Sequence[str]) -> None:
        """Says that they are deleted."""
        query: Json = {"t": self._tenant, "b": {"$in": list(digests)}, "s": _CLAIMED}
        fields: Json = {"s": _DROPPED, "d": Int64(self._clock())}
        await self._freed.update_many(query, {"$set": fields})

    async def forget(self, digests: Sequence[str]) -> None:
        """Takes them out: a row has them."""
        await self._freed.delete_many({"t": self._tenant, "b": {"$in": list(digests)}})
