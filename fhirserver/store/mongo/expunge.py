"""Versions taken out of the database for good (docs/adr/0028-expunge.md).

An expunge is a commit of its own: it moves the head, so that a writer who started from the
state before it starts again. What the server itself keeps of deleted documents (its log of
operations, free blocks, backups) is not in reach of a client.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import Any, Final, NamedTuple

from bson import Int64

from fhirserver.store.mongo.batch import Batch, Gone
from fhirserver.store.mongo.connection import Connection, unavailable
from fhirserver.store.mongo.document import Json
from fhirserver.store.mongo.guard import Guard, Lost
from fhirserver.store.port import Expunge, Key

_AT_ONCE: Final = 1000  # versions of one commit
_LOSSES: Final = 60
_PATIENT_FOR: Final = 4
_PAUSE: Final = 0.02


class _Chosen(NamedTuple):
    versions: list[Json]
    resources: list[Json]


class Expunger:
    """Takes out what a tenant no longer is to have."""

    def __init__(self, connection: Connection, tenant: str, guard: Guard) -> None:
        self._connection = connection
        self._tenant = tenant
        self._guard = guard

    async def expunge(self, what: Expunge) -> int:
        """As `Store.expunge`."""
        gone = 0
        while gone < what.limit:
            wanted = min(_AT_ONCE, what.limit - gone)
            count = await self._expunge(what, wanted)
            gone += count
            if count < wanted:
                break
        return gone

    async def _expunge(self, what: Expunge, most: int) -> int:
        for losses in range(_LOSSES):
            if losses >= _PATIENT_FOR:
                await self._guard.ask_for_turn()
            head = await self._guard.settled()
            chosen = await self._chosen(what, most)
            if not chosen.versions:
                return 0
            batch = Batch(
                tenant=self._tenant,
                group=secrets.token_hex(8),
                head=head,
                instant=head.instant,
                known={},
                gone=Gone(tuple(chosen.versions), tuple(chosen.resources)),
            )
            try:
                await self._guard.write(batch)
            except Lost:
                await asyncio.sleep(_PAUSE)
                continue
            return len(chosen.versions)
        raise unavailable("Too many writers at once. Try again.")

    async def _chosen(self, what: Expunge, most: int) -> _Chosen:
        chosen = _Chosen([], [])
        if what.deleted:
            await self._choose_deleted(what, most, chosen)
        if what.previous and len(chosen.versions) < most:
            await self._choose_previous(what, most, chosen)
        return chosen

    def _scope(self, what: Expunge) -> Json:
        scope: Json = {"t": self._tenant}
        if what.type is not None:
            scope["k"] = what.type
        if what.id is not None:
            scope["i"] = what.id
        return scope

    async def _choose_deleted(self, what: Expunge, most: int, chosen: _Chosen) -> None:
        """Adds versions of deleted resources; a resource goes with its last one."""
        wanted = {**self._scope(what), "l": {"$exists": False}}
        deleted = self._connection.resource.find(wanted, {"_id": 0, "k": 1, "i": 1}, limit=most)
        for resource in await deleted.to_list(None):
            room = most - len(chosen.versions)
            if not room:
                return
            key = {"k": resource["k"], "i": resource["i"]}
            found = self._connection.version.find(
                {"t": self._tenant, **key},
                {"_id": 0, "v": 1},
                sort=[("v", 1)],
                limit=room + 1,
            )
            numbers = [one["v"] for one in await found.to_list(None)]
            chosen.versions.extend({**key, "v": Int64(number)} for number in numbers[:room])
            if len(numbers) <= room:
                chosen.resources.append(key)

    async def _choose_previous(self, what: Expunge, most: int, chosen: _Chosen) -> None:
        """Adds superseded versions of resources that are not deleted, the oldest first."""
        after = 0
        while True:
            wanted: dict[str, Any] = {
                **self._scope(what),
                "x": {"$exists": True},
                "n": {"$gt": Int64(after)},
            }
            shown = {"_id": 0, "k": 1, "i": 1, "v": 1, "n": 1}
            found = self._connection.version.find(wanted, shown, sort=[("n", 1)], limit=most)
            page = await found.to_list(None)
            live = await self._live({Key(one["k"], one["i"]) for one in page})
            for one in page:
                if Key(one["k"], one["i"]) in live:
                    chosen.versions.append({"k": one["k"], "i": one["i"], "v": one["v"]})
                    if len(chosen.versions) == most:
                        return
            if len(page) < most:
                return
            after = int(page[-1]["n"])

    async def _live(self, keys: set[Key]) -> set[Key]:
        by_type: dict[str, list[str]] = {}
        for key in keys:
            by_type.setdefault(key.type, []).append(key.id)
        live = set()
        for type_, ids in by_type.items():
            found = self._connection.resource.find(
                {"t": self._tenant, "k": type_, "i": {"$in": ids}, "l": True},
                {"_id": 0, "i": 1},
            )
            live |= {Key(type_, one["i"]) for one in await found.to_list(None)}
        return live
