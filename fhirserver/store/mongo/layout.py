"""The layout of a database: a number for what its documents and keys look like.

`fhirserver store init` writes it. A server does not touch a database of another layout: such
a one is moved by an export and a restore (docs/stores.md).
"""

from __future__ import annotations

from typing import Final

from bson import Int64
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError

from fhirserver.errors import Unavailable
from fhirserver.store.mongo.document import Json
from fhirserver.store.mongo.indexes import VERSION

NUMBER: Final = 1
"""The layout that this server reads and writes; another one is another number."""

COLLECTION: Final = "layout"
_DOCUMENT: Final = "store"


def layout_document() -> Json:
    """The one document of the collection."""
    return {"_id": _DOCUMENT, "n": Int64(NUMBER)}


async def layout_of(database: AsyncDatabase[Json]) -> int | None:
    """The layout of a database; None of one that has nothing yet.

    One that holds versions and no number, which no `store init` leaves, has layout 0.
    """
    found = await database[COLLECTION].find_one({"_id": _DOCUMENT})
    if found:
        return int(found["n"])
    return 0 if await database[VERSION].find_one({}, {"_id": 1}) else None


async def mark_layout(database: AsyncDatabase[Json]) -> None:
    """Gives a new database its number. Raises `Unavailable` for one of another layout."""
    check_layout(database.name, await layout_of(database))
    try:
        await database[COLLECTION].update_one(
            {"_id": _DOCUMENT}, {"$setOnInsert": {"n": Int64(NUMBER)}}, upsert=True
        )
    except DuplicateKeyError:  # another did so at the same time
        check_layout(database.name, await layout_of(database))


def check_layout(name: str, layout: int | None) -> None:
    """Raises `Unavailable` for another layout than that of this server."""
    if layout not in (None, NUMBER):
        raise Unavailable(
            f"The database '{name}' has layout {layout}, and this version of the server needs "
            f"layout {NUMBER}. Move it: 'fhirserver export --history' with the version that wrote "
            "it, then 'fhirserver load --restore' into a new database."
        )
