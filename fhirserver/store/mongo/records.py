"""The records of a tenant: one collection, a document for each key.

    t tenant, c collection, k key, r revision, b body, x expiry (microseconds)
    d true of one that was taken away, z the date after which the server may remove the document

What was taken away stays for a day, so that its revision does not come again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

from bson import Int64
from bson.binary import Binary
from pymongo.errors import DuplicateKeyError

from fhirserver.store.mongo.connection import Connection, translated
from fhirserver.store.mongo.document import Json
from fhirserver.store.port import Stale
from fhirserver.store.records import ABSENT, MAX_LISTED, Place, Record

_LAST: Final = "\U0010ffff"  # behind every character that a key can have
_DAY: Final = 24 * 3600
_SECOND: Final = 1_000_000


class MongoRecords:
    """A `fhirserver.store.records.Records`."""

    def __init__(self, connection: Connection, tenant: str, clock: Callable[[], int]) -> None:
        self._records = connection.record
        self._tenant = tenant
        self._clock = clock

    async def get(self, collection: str, key: str) -> Record | None:
        with translated():
            found = await self._records.find_one(self._key(collection, key))
        return _record(found) if self._is_there(found) and found else None

    async def get_many(self, keys: Sequence[Place]) -> Sequence[Record | None]:
        if not keys:
            return []
        wanted = {"$or": [self._key(collection, key) for collection, key in keys]}
        with translated():
            listed = await self._records.find(wanted).to_list(None)
        found = {Place(item["c"], item["k"]): item for item in listed if self._is_there(item)}
        return [_record(found[place]) if place in found else None for place in keys]

    async def put(
        self,
        collection: str,
        key: str,
        body: bytes,
        *,
        expected: int | None = None,
        expires: int | None = None,
    ) -> int:
        fields: Json = {"b": Binary(body)}
        if expires is not None:
            fields |= {"x": Int64(expires), "z": _date(expires)}
        revision = await self._write(collection, key, fields, expected)
        assert revision is not None
        return revision

    async def delete(self, collection: str, key: str, *, expected: int | None = None) -> None:
        fields = {"d": True, "z": _date(self._clock())}
        await self._write(collection, key, fields, expected)

    async def list(
        self, collection: str, *, prefix: str = "", after: str = "", count: int = MAX_LISTED
    ) -> Sequence[Record]:
        wanted = {
            "c": collection,
            "k": {"$gt": after, "$gte": prefix, "$lt": prefix + _LAST},
            **self._there(),
        }
        with translated():
            cursor = self._records.find(wanted, sort=[("k", 1)], limit=min(count, MAX_LISTED))
            return [_record(found) for found in await cursor.to_list(None)]

    async def collections(self) -> Sequence[str]:
        with translated():
            return sorted(await self._records.distinct("c", self._there()))

    async def _write(
        self, collection: str, key: str, fields: Json, expected: int | None
    ) -> int | None:
        """Puts the fields in place of the record's; its new revision, None if none was taken away.

        Raises `Stale` unless the record has the revision that is expected.
        """
        named = self._key(collection, key)
        while True:
            with translated():
                found = await self._records.find_one(named)
                is_there = self._is_there(found)
                revision = int(found["r"]) if found and is_there else ABSENT
                if expected is not None and revision != expected:
                    raise Stale("The record was changed meanwhile. Read it again.")
                if "d" in fields and not is_there:
                    return None
                following = max(int(found["r"]) + 1 if found else 1, self._clock())
                document = {**named, "r": Int64(following), **fields}
                if found is None:
                    try:
                        await self._records.insert_one(document)
                    except DuplicateKeyError:
                        continue
                    return following
                done = await self._records.replace_one({**named, "r": found["r"]}, document)
                if done.matched_count:
                    return following

    def _key(self, collection: str, key: str) -> Json:
        return {"t": self._tenant, "c": collection, "k": key}

    def _there(self) -> Json:
        """What holds of the tenant's records that are there."""
        now = Int64(self._clock())
        return {
            "t": self._tenant,
            "d": {"$exists": False},
            "$or": [{"x": {"$exists": False}}, {"x": {"$gt": now}}],
        }

    def _is_there(self, found: Json | None) -> bool:
        if found is None or "d" in found:
            return False
        return "x" not in found or int(found["x"]) > self._clock()


def _record(found: Json) -> Record:
    expires = found.get("x")
    return Record(
        found["k"], int(found["r"]), bytes(found["b"]), None if expires is None else int(expires)
    )


def _date(microseconds: int) -> datetime:
    return datetime.fromtimestamp(microseconds // _SECOND + _DAY, UTC)
