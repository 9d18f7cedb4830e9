"""How a study's document follows from its instances: counted anew, and set if nobody was faster.

Whoever changes instances raises the study's revision before and has the study counted after it.
A count holds only if the revision is still the one that it began with, so of counts that overlap
the last one saw all. One that was broken off is made up for by whoever looks for changes.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any, Final

from bson import Binary, Int64
from pymongo import ReturnDocument
from pymongo.asynchronous.collection import AsyncCollection

from fhirserver.archive.facts import read, series_facts, study_facts
from fhirserver.archive.mongo.document import (
    EMPTY,
    IMAGING,
    MODALITY,
    SERIES,
    key,
    study_fields,
)
from fhirserver.archive.veil import Veil
from fhirserver.errors import Conflict
from fhirserver.store.mongo.connection import Connection
from fhirserver.store.mongo.document import Json
from fhirserver.store.mongo.indexes import INSTANCE, STUDY

_ATTEMPTS: Final = 50


class Studies:
    """The documents of studies of one tenant."""

    def __init__(
        self, connection: Connection, tenant: str, veil: Veil, clock: Callable[[], int]
    ) -> None:
        self.studies: AsyncCollection[Json] = connection.database[STUDY]
        self.instances: AsyncCollection[Json] = connection.database[INSTANCE]
        self._tenant = tenant
        self._veil = veil
        self._clock = clock
        self._locks: dict[str, asyncio.Lock] = {}
        self._waiting: dict[str, asyncio.Future[None]] = {}

    async def begin(self, uid: str, received: int | None) -> None:
        """Says that instances of a study are about to change."""
        now = Int64(self._clock())
        first = Int64(received or now)
        made: Json = EMPTY | {"p": Int64(0), "n": Int64(0), "first": first, "last": first}
        made |= {"subject": None, "img": None}
        change: Json = {
            "$inc": {"r": Int64(1)},
            "$min": {"since": now},
            "$set": {"touched": now, "w": now},
            "$setOnInsert": made,
        }
        await self.studies.update_one(self._key(uid), change, upsert=True)

    async def counted(self, uid: str) -> None:
        """Has the study counted after what was written so far; with others that wait for it."""
        waiting = self._waiting.get(uid)
        if waiting is None:
            waiting = self._waiting[uid] = asyncio.ensure_future(self._count_next(uid))
        await asyncio.shield(waiting)

    async def _count_next(self, uid: str) -> None:
        lock = self._locks.setdefault(uid, asyncio.Lock())
        async with lock:
            del self._waiting[uid]  # what is written from now on needs another count
            await self.count(uid)
        if not lock.locked() and uid not in self._waiting:
            self._locks.pop(uid, None)

    async def count(self, uid: str) -> None:
        """Counts it. Raises `Conflict` when others never stop changing it."""
        for attempt in range(_ATTEMPTS):
            found = await self.studies.find_one(self._key(uid))
            if found is None:
                return
            fields = await self._fields(uid, found)
            now = Int64(self._clock())
            done = await self.studies.find_one_and_update(
                self._key(uid) | {"r": found["r"]},
                {
                    "$set": fields | {"touched": now},
                    "$unset": {"w": ""},
                    "$inc": {"r": Int64(1)},
                    "$min": {"since": now},
                },
                projection={"_id": 1},
                return_document=ReturnDocument.AFTER,
            )
            if done is not None:
                return
            await asyncio.sleep(random.random() * 0.01 * min(attempt + 1, 10))  # noqa: S311
        raise Conflict("Others keep changing the study. Try again.")

    async def _fields(self, uid: str, before: Json) -> Json:
        steps: list[Json] = [
            {"$match": {"t": self._tenant, "st": uid}},
            {
                "$group": {
                    "_id": "$se",
                    "n": {"$sum": 1},
                    "l": {"$min": "$u"},
                    "first": {"$min": "$d"},
                    "last": {"$max": "$d"},
                }
            },
            {"$sort": {"_id": 1}},
        ]
        groups = await (await self.instances.aggregate(steps)).to_list(None)
        if not groups:
            return EMPTY | {"n": Int64(0)}
        digests = await self._digests([group["l"] for group in groups])
        old = {series["u"]: series for series in before.get("s") or ()}
        series = [
            await self._series(uid, group, digests, old.get(group["_id"])) for group in groups
        ]
        first = series[0]
        fields: Json = {
            "n": Int64(sum(int(group["n"]) for group in groups)),
            "first": Int64(min(int(group["first"]) for group in groups)),
            "last": Int64(max(int(group["last"]) for group in groups)),
            "s": series,
            "l": first["l"],
            "lb": first["lb"],
        }
        keys = before.get("k") or []
        if (before.get("l"), before.get("lb")) != (first["l"], first["lb"]):
            facts = study_facts(uid, read(await self.header(first["l"])))
            told = study_fields(uid, facts, self._veil)
            keys = told["k"]
            fields |= told
        fields["q"] = all_keys(keys, series, before.get("img"))
        return fields

    async def _series(self, uid: str, group: Json, digests: Json, old: Json | None) -> Json:
        lead = group["l"]
        if old is not None and (old["l"], old["lb"]) == (lead, digests.get(lead)):
            return old | {"n": Int64(group["n"])}
        facts = series_facts(group["_id"], read(await self.header(lead)))
        about = self._veil.seal(facts.series, f"series|{uid}|{group['_id']}")
        return {
            "u": group["_id"],
            "m": facts.modality,
            "n": Int64(group["n"]),
            "l": lead,
            "lb": digests.get(lead),
            "a": Binary(about),
        }

    async def _digests(self, uids: list[str]) -> Json:
        query = {"t": self._tenant, "u": {"$in": uids}}
        cursor = self.instances.find(query, {"_id": 0, "u": 1, "b": 1})
        return {found["u"]: found["b"] async for found in cursor}

    async def header(self, uid: str) -> bytes:
        """The header of an instance; an empty one of what is gone by now."""
        found = await self.instances.find_one({"t": self._tenant, "u": uid}, {"h": 1})
        if found is None:
            return b"{}"
        return self._veil.open(bytes(found["h"]), f"header|{uid}")

    def _key(self, uid: str) -> dict[str, Any]:
        return {"t": self._tenant, "u": uid}


def all_keys(keys: list[str], series: list[Json], imaging: str | None) -> list[str]:
    """The texts of `q`: of its facts, its series, and its ImagingStudy."""
    found = [*keys, *(key(SERIES, one["u"]) for one in series)]
    found += [key(MODALITY, name) for name in modalities(series)]
    return [*found, key(IMAGING, imaging)] if imaging else found


def modalities(series: list[Json]) -> tuple[str, ...]:
    """The modalities of a study."""
    return tuple(sorted({one["m"] for one in series if one["m"]}))
