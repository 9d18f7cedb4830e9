"""The archive of one tenant in MongoDB, by single documents: no transaction is needed.

An instance is one document; that of its study is counted after it (`study`). A blob is freed by a
document of its own, which says whether it waits, is claimed or was deleted.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future
from typing import Any, Final

from bson import Int64
from pymongo.errors import DuplicateKeyError

from fhirserver.archive.mongo.document import HELD, held, instance_document
from fhirserver.archive.mongo.find import Finder
from fhirserver.archive.mongo.freed import FreedBlobs
from fhirserver.archive.mongo.study import Studies, all_keys, modalities
from fhirserver.archive.port import (
    Changed,
    Conflicts,
    Deleted,
    Held,
    Instance,
    Outcome,
    Series,
    Study,
)
from fhirserver.archive.query import Found, Question
from fhirserver.archive.veil import Veil
from fhirserver.errors import Gone, NotFound
from fhirserver.store.mongo.connection import Connection, translated
from fhirserver.store.mongo.document import Json
from fhirserver.store.mongo.indexes import GONE

_IN_PLACE: Final = [("se", 1), ("u", 1)]
_HEADERS: Final = 64
_ABANDONED: Final = 10 * 1_000_000
"""Microseconds after which a study is counted that its writer did not count."""


class MongoArchive:
    """A `fhirserver.archive.port.Archive`, of the loop that made it."""

    def __init__(
        self, url: str, *, tenant: str, clock: Callable[[], int], veil: Veil, patience: float
    ) -> None:
        self._connection = Connection(url)
        self._tenant = tenant
        self._clock = clock
        self._veil = veil
        self._loop = asyncio.get_running_loop()
        self._studies = Studies(self._connection, tenant, veil, clock)
        self._instances = self._studies.instances
        self._gone = self._connection.database[GONE]
        self._freed = FreedBlobs(self._connection, tenant, clock)
        self._finder = Finder(self._studies, tenant, veil, patience)

    # --- writing -----------------------------------------------------------------------------

    async def add(
        self,
        instances: Sequence[Instance],
        conflicts: Conflicts = "keep",
        *,
        verified: bool = False,
    ) -> Sequence[Outcome]:
        ready = [(one, instance_document(self._tenant, one, self._veil)) for one in instances]
        with translated():
            touched: dict[str, None] = {}
            try:
                return [
                    await self._add(one, document, conflicts, verified, touched)
                    for one, document in ready
                ]
            finally:
                for study in touched:
                    await self._studies.counted(study)

    def add_soon(
        self,
        instances: Sequence[Instance],
        conflicts: Conflicts = "keep",
        *,
        verified: bool = False,
    ) -> Future[Sequence[Outcome]]:
        return asyncio.run_coroutine_threadsafe(
            self.add(instances, conflicts, verified=verified), self._loop
        )

    async def _add(
        self,
        one: Instance,
        document: Json,
        conflicts: Conflicts,
        verified: bool,
        touched: dict[str, None],
    ) -> Outcome:
        found = await self._instances.find_one({"t": self._tenant, "u": one.instance})
        if found is not None:
            if (found["b"], found["st"], found["se"]) == (one.blob, one.study, one.series):
                return "same"
            if conflicts == "keep":
                return "kept"
        for study in {one.study} | ({found["st"]} if found is not None else set()):
            if study not in touched:
                touched[study] = None
                await self._studies.begin(study, one.received)
        query = {"t": self._tenant, "u": one.instance}
        if found is None:
            try:
                await self._instances.insert_one(dict(document))
            except DuplicateKeyError:  # another was faster
                return await self._add(one, document, conflicts, verified, touched)
        else:
            await self._instances.replace_one(query | {"b": found["b"]}, document)
        if not await self._freed.may_be_used(one.blob, verified=verified):
            if found is None:
                await self._instances.delete_one(query | {"b": one.blob})
            else:
                await self._instances.replace_one(query | {"b": one.blob}, found)
            return "again"
        if found is None:
            place = [f"{one.study}/{one.series}", f"{one.study}/{one.series}/{one.instance}"]
            await self._gone.delete_many({"t": self._tenant, "u": {"$in": place}})
            return "new"
        await self._free([found["b"]])
        return "replaced"

    async def delete(
        self, study: str, series: str | None = None, instance: str | None = None
    ) -> Deleted:
        with translated():
            query = self._where(study, [series] if series else (), [instance] if instance else ())
            found = await self._instances.find(query, {"_id": 0, "u": 1, "b": 1}).to_list(None)
            told = await self.study(study)
            if told is None or not found:
                if told is not None and await self.was_deleted(study, series, instance):
                    raise Gone("It was deleted.")
                raise NotFound("The archive has no such instances.")
            await self._studies.begin(study, None)
            if series is not None:
                uids = "/".join(filter(None, (study, series, instance)))
                gone = {"t": self._tenant, "u": uids}
                await self._gone.update_one(gone, {"$set": gone}, upsert=True)
            await self._instances.delete_many(query)
            await self._free([one["b"] for one in found])
            await self._studies.counted(study)
        return Deleted(study, len(found), told.imaging_study, told.subject)

    # --- asking ------------------------------------------------------------------------------

    async def find(self, question: Question, among: Sequence[str] | None = None) -> Found:
        with translated():
            return await self._finder.page(question, among)

    async def study(self, uid: str) -> Study | None:
        with translated():
            found = await self._studies.studies.find_one({"t": self._tenant, "u": uid})
            if found is None:
                return None
            header = await self._studies.header(found["l"]) if found["n"] else b""
        return Study(
            uid=uid,
            revision=int(found["r"]),
            projected=int(found["p"]),
            series=len(found["s"]),
            instances=int(found["n"]),
            modalities=modalities(found["s"]),
            header=header,
            subject=found["subject"],
            imaging_study=found["img"],
            first=int(found["first"]),
            last=int(found["last"]),
        )

    async def series(self, study: str) -> Sequence[Series]:
        with translated():
            found = await self._studies.studies.find_one({"t": self._tenant, "u": study}, {"s": 1})
            return [
                Series(
                    study,
                    one["u"],
                    one["m"],
                    int(one["n"]),
                    await self._studies.header(one["l"]),
                )
                for one in (found or {"s": ()})["s"]
            ]

    async def held(
        self, study: str, series: Sequence[str] = (), instances: Sequence[str] = ()
    ) -> Sequence[Held]:
        query = self._where(study, series, instances)
        with translated():
            cursor = self._instances.find(query, HELD).sort(_IN_PLACE)
            return [held(found) async for found in cursor]

    async def held_by_uid(self, instances: Sequence[str]) -> Sequence[Held]:
        with translated():
            query: Json = {"t": self._tenant, "u": {"$in": list(instances)}}
            return [held(found) async for found in self._instances.find(query, HELD)]

    async def held_by_blob(self, digests: Sequence[str]) -> Sequence[Held]:
        with translated():
            query: Json = {"t": self._tenant, "b": {"$in": list(digests)}}
            return [held(found) async for found in self._instances.find(query, HELD)]

    async def headers(
        self, study: str, series: Sequence[str] = (), instances: Sequence[str] = ()
    ) -> AsyncIterator[tuple[Held, bytes]]:
        query = self._where(study, series, instances)
        with translated():
            cursor = self._instances.find(query, {"_id": 0, "t": 0, "a": 0}).sort(_IN_PLACE)
            async for found in cursor.batch_size(_HEADERS):
                one = held(found)
                yield one, self._veil.open(bytes(found["h"]), f"header|{one.instance}")

    async def was_deleted(
        self, study: str, series: str | None = None, instance: str | None = None
    ) -> bool:
        with translated():
            found = await self._studies.studies.find_one({"t": self._tenant, "u": study}, {"n": 1})
            if found is None or not found["n"] or series is None:
                return found is not None and not found["n"]
            uids = [f"{study}/{series}"] + ([f"{study}/{series}/{instance}"] if instance else [])
            gone: Json = {"t": self._tenant, "u": {"$in": uids}}
            return await self._gone.find_one(gone, {"_id": 1}) is not None

    async def count(self) -> tuple[int, int, int]:
        steps: list[Json] = [
            {"$match": {"t": self._tenant, "n": {"$gt": 0}}},
            {"$project": {"n": 1, "series": {"$size": "$s"}}},
            {
                "$group": {
                    "_id": None,
                    "studies": {"$sum": 1},
                    "series": {"$sum": "$series"},
                    "instances": {"$sum": "$n"},
                }
            },
        ]
        with translated():
            for found in await (await self._studies.studies.aggregate(steps)).to_list(1):
                return int(found["studies"]), int(found["series"]), int(found["instances"])
        return 0, 0, 0

    # --- the projection ------------------------------------------------------------------------

    async def changed(self, limit: int = 100) -> Sequence[Changed]:
        with translated():
            await self._count_abandoned()
            query: Json = {"t": self._tenant, "since": {"$exists": True}}
            cursor = self._studies.studies.find(query).sort([("since", 1), ("u", 1)]).limit(limit)
            return [
                Changed(
                    study=found["u"],
                    revision=int(found["r"]),
                    since=int(found["since"]),
                    last=int(found["touched"]),
                    instances=int(found["n"]),
                    imaging_study=found["img"],
                    subject=found["subject"],
                )
                async for found in cursor
            ]

    async def _count_abandoned(self) -> None:
        """Counts studies whose writers ended before they did."""
        before = Int64(self._clock() - _ABANDONED)
        query: Json = {"t": self._tenant, "since": {"$exists": True}, "w": {"$lt": before}}
        async for found in self._studies.studies.find(query, {"u": 1}):
            await self._studies.counted(found["u"])

    async def projected(
        self, study: str, revision: int, imaging_study: str | None, subject: str | None
    ) -> None:
        with translated():
            while True:
                found = await self._studies.studies.find_one({"t": self._tenant, "u": study})
                if found is None:
                    return
                keys = all_keys(found["k"], found["s"], imaging_study) if found["n"] else []
                fields: Json = {"img": imaging_study, "subject": subject, "q": keys}
                fields["p"] = Int64(max(int(found["p"]), revision))
                change: Json = {"$set": fields}
                if revision >= found["r"]:
                    change["$unset"] = {"since": ""}
                query = {"_id": found["_id"], "r": found["r"]}
                if (await self._studies.studies.update_one(query, change)).matched_count:
                    return

    # --- blobs ---------------------------------------------------------------------------------

    async def free(self, digests: Sequence[str]) -> None:
        with translated():
            await self._free(digests)

    async def _free(self, digests: Sequence[str]) -> None:
        for digest in digests:
            if not await self._is_used(digest):
                await self._freed.add(digest)

    async def _is_used(self, digest: str) -> bool:
        query = {"t": self._tenant, "b": digest}
        return await self._instances.find_one(query, {"_id": 1}) is not None

    async def freed(self, limit: int = 100) -> Sequence[str]:
        with translated():
            claimed = await self._freed.claim(limit)
            used = [digest for digest in claimed if await self._is_used(digest)]
            await self._freed.forget(used)  # a row came before the claim
        return [digest for digest in claimed if digest not in used]

    async def dropped(self, digests: Sequence[str]) -> None:
        with translated():
            await self._freed.drop(digests)

    async def blobs(self) -> AsyncIterator[str]:
        with translated():
            query = {"t": self._tenant}
            async for found in self._instances.find(query, {"_id": 0, "b": 1}):
                yield found["b"]

    async def close(self) -> None:
        await self._connection.close()

    def _where(self, study: str, series: Sequence[str], instances: Sequence[str]) -> dict[str, Any]:
        query: dict[str, Any] = {"t": self._tenant, "st": study}
        if series:
            query["se"] = {"$in": list(series)}
        if instances:
            query["u"] = {"$in": list(instances)}
        return query
