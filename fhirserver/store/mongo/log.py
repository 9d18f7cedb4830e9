"""The log: versions in the order of commits, oldest first, a page at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

from bson import Int64

from fhirserver.store.mongo.connection import Connection, translated
from fhirserver.store.mongo.document import version_of
from fhirserver.store.mongo.guard import Guard
from fhirserver.store.port import LogQuery, Version

_PAGE: Final = 200


async def log(
    query: LogQuery, connection: Connection, tenant: str, guard: Guard
) -> AsyncIterator[Version]:
    """As `Store.log`. A page is sought by the number that the last one ended with."""
    with translated():
        until = (await guard.position()).number
    last = 0
    while True:
        wanted: dict[str, Any] = {"t": tenant, "n": {"$gt": Int64(last), "$lte": Int64(until)}}
        if query.types:
            wanted["k"] = {"$in": list(query.types)}
        if query.since is not None:
            wanted["u"] = {"$gte": Int64(query.since)}
        if query.current:
            wanted["b"] = {"$exists": True}
            wanted["$or"] = [{"x": {"$exists": False}}, {"x": {"$gt": Int64(until)}}]
        with translated():
            cursor = connection.version.find(wanted, sort=[("n", 1)], limit=_PAGE)
            found = await cursor.to_list(None)
        for one in found:
            yield version_of(one)
        if len(found) < _PAGE:
            return
        last = int(found[-1]["n"])
