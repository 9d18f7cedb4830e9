"""Versions taken out for good (docs/adr/0028-expunge.md), as a commit of its own.

It takes a number of the head, so that nothing is written meanwhile; what it is to remove stands
in the head of a store without transactions as a commit does. The server gives the space back
to later documents; what its files still hold is its own business (docs/stores.md).
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, Final

from bson import Int64

from fhirserver.store.mongo.batch import Head, Writing
from fhirserver.store.mongo.connection import Connection, unavailable
from fhirserver.store.mongo.document import Json, keyed
from fhirserver.store.mongo.guard import Guard, Lost
from fhirserver.store.port import Expunge, Key

_PAGE: Final = 500
_AT_ONCE: Final = 1000  # versions of one commit
_LOSSES: Final = 60
_KEY: Final = {"_id": 0, "k": 1, "i": 1, "v": 1}


class Expunger:
    """Expunges in one tenant."""

    def __init__(self, connection: Connection, tenant: str, guard: Guard) -> None:
        self._versions = connection.version
        self._resources = connection.resource
        self._tenant = tenant
        self._guard = guard

    async def expunge(self, what: Expunge) -> int:
        """As `Store.expunge`, in commits of bounded size."""
        count = 0
        while count < what.limit:
            most = min(_AT_ONCE, what.limit - count)
            went = await self._expunge(replace(what, limit=most))
            count += went
            if went < most:
                break
        return count

    async def _expunge(self, what: Expunge) -> int:
        for losses in range(_LOSSES):
            if losses:
                await self._guard.ask_for_turn()
            head = await self._guard.settled()
            chosen, gone = await self._chosen(what)
            if not chosen:
                return 0
            try:
                await self._guard.write(
                    _writing(head, chosen, gone), head._replace(number=head.number + 1)
                )
            except Lost:
                continue
            return len(chosen)
        raise unavailable("Too many writers at once. Try again.")

    async def _chosen(self, what: Expunge) -> tuple[list[Json], list[Json]]:
        """The versions to remove, and the resources of which none is left."""
        chosen: list[Json] = []
        gone: list[Json] = []
        if what.deleted:
            async for resource in self._deleted(what):
                left = what.limit - len(chosen)
                if left <= 0:
                    break
                wanted = {"t": self._tenant, "k": resource["k"], "i": resource["i"]}
                cursor = self._versions.find(wanted, _KEY, sort=[("v", 1)], limit=left)
                versions = await cursor.to_list(None)
                chosen += versions
                if not versions or versions[-1]["v"] == resource["v"]:
                    gone.append({name: resource[name] for name in ("k", "i", "m")})
        if what.previous:
            async for version in self._previous(what):
                if len(chosen) >= what.limit:
                    break
                chosen.append(version)
        return chosen, gone

    def _deleted(self, what: Expunge) -> Any:
        wanted = self._scope(what) | {"l": None}
        return self._resources.find(wanted, {**_KEY, "m": 1}, sort=[("n", 1)], limit=what.limit)

    async def _previous(self, what: Expunge) -> AsyncIterator[Json]:
        """Superseded versions of resources that are not deleted, the oldest first."""
        last = 0
        while True:
            wanted = self._scope(what) | {"x": {"$exists": True}, "n": {"$gt": Int64(last)}}
            cursor = self._versions.find(wanted, {**_KEY, "n": 1}, sort=[("n", 1)], limit=_PAGE)
            found = await cursor.to_list(None)
            live = await self._live({Key(one["k"], one["i"]) for one in found})
            for one in found:
                if Key(one["k"], one["i"]) in live:
                    yield one
            if len(found) < _PAGE:
                return
            last = int(found[-1]["n"])

    async def _live(self, keys: set[Key]) -> set[Key]:
        wanted = keyed(self._tenant, keys)
        if not wanted:
            return set()
        cursor = self._resources.find({"l": True, "$or": wanted}, _KEY)
        return {Key(one["k"], one["i"]) for one in await cursor.to_list(None)}

    def _scope(self, what: Expunge) -> Json:
        named = {"k": what.type, "i": what.id}
        return {"t": self._tenant} | {name: value for name, value in named.items() if value}


def _writing(head: Head, chosen: list[Json], gone: list[Json]) -> Writing:
    expunged = [{name: one[name] for name in ("k", "i", "v")} for one in chosen]
    return Writing(
        secrets.token_hex(8),
        head.number,
        head.number + 1,
        head.instant,
        {},
        {},
        gone=gone,
        expunged=expunged,
    )
