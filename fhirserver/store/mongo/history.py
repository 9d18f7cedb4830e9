"""History: versions in the order of commits, newest first, within a snapshot.

Instants never decrease from one number to the next, and a superseded version knows when that
happened, so that every question about time is a range.
"""

from __future__ import annotations

from bson import Int64

from fhirserver.errors import Invalid
from fhirserver.model.temporal import ALWAYS
from fhirserver.search.expression import Cursor
from fhirserver.store.mongo.condition import Filter
from fhirserver.store.mongo.connection import Connection, within
from fhirserver.store.mongo.document import SHOWN, version_of
from fhirserver.store.mongo.guard import Guard
from fhirserver.store.port import HistoryPage, HistoryQuery


class Historian:
    """Answers history queries of one tenant."""

    def __init__(self, connection: Connection, tenant: str, guard: Guard, patience: float) -> None:
        self._connection = connection
        self._tenant = tenant
        self._guard = guard
        self._patience = patience

    async def page(self, query: HistoryQuery) -> HistoryPage:
        """As `Store.history`."""
        with within(self._patience):
            return await self._page(query)

    async def _page(self, query: HistoryQuery) -> HistoryPage:
        place = _place(query.after)
        snapshot = place[0] if place else (await self._guard.position()).number
        wanted = self._filter(query, snapshot)
        versions = self._connection.version
        total = place[1] if place else int(await versions.count_documents(wanted))
        if not query.count:
            return HistoryPage((), total, None)
        if place:
            wanted["n"] = {"$lt": Int64(place[2])}
        cursor = versions.find(wanted, SHOWN, sort=[("n", -1)], limit=query.count + 1)
        found = await cursor.to_list(None)
        shown = [version_of(one) for one in found[: query.count]]
        if len(found) <= query.count:
            return HistoryPage(shown, total, None)
        return HistoryPage(shown, total, (snapshot, total, int(found[query.count - 1]["n"])))

    def _filter(self, query: HistoryQuery, snapshot: int) -> Filter:
        wanted: Filter = {"t": self._tenant, "n": {"$lte": Int64(snapshot)}}
        if query.type is not None:
            wanted["k"] = query.type
        if query.id is not None:
            wanted["i"] = query.id
        instant = {}
        if query.since is not None:
            instant["$gte"] = Int64(query.since)
        if query.at.end < ALWAYS.end:
            instant["$lt"] = Int64(query.at.end)
        if instant:
            wanted["u"] = instant
        if query.at.start > ALWAYS.start:
            later = {"e": {"$gt": Int64(query.at.start)}}
            wanted["$or"] = [later, {"e": {"$exists": False}}]
        return wanted


def _place(cursor: Cursor | None) -> tuple[int, int, int] | None:
    match cursor:
        case None:
            return None
        case (int(snapshot), int(total), int(number)):
            return snapshot, total, number
        case _:
            raise Invalid("This page link is not one of a history. Begin again.")
