"""The log: versions in the order of commits, oldest first, a page at a time."""

from __future__ import annotations

from typing import Any, Final

from bson import Int64

from fhirserver.store.log import LogPage, Place
from fhirserver.store.mongo.connection import Connection
from fhirserver.store.mongo.document import SHOWN, version_of
from fhirserver.store.mongo.guard import Guard
from fhirserver.store.port import LogQuery

_PAGE: Final = 200


async def log_page(
    query: LogQuery, place: Place, connection: Connection, tenant: str, guard: Guard
) -> LogPage:
    """The versions from a place on, as `Store.log`; the first page chooses the snapshot."""
    until = (await guard.position()).number if place.until is None else place.until
    wanted: dict[str, Any] = {
        "t": tenant,
        "n": {"$gt": Int64(place.after), "$lte": Int64(until)},
    }
    if query.types:
        wanted["k"] = query.types[0] if len(query.types) == 1 else {"$in": list(query.types)}
    if query.since is not None:
        wanted["u"] = {"$gte": Int64(query.since)}
    if query.current:
        wanted["b"] = {"$exists": True}
        wanted["$or"] = [{"x": {"$exists": False}}, {"x": {"$gt": Int64(until)}}]
    cursor = connection.version.find(wanted, SHOWN, sort=[("n", 1)], limit=_PAGE)
    found = await cursor.to_list(None)
    versions = [version_of(one) for one in found]
    if len(found) < _PAGE:
        return LogPage(versions, None)
    return LogPage(versions, Place(int(found[-1]["n"]), until))
