"""Takes all that a tenant has out of a database."""

from __future__ import annotations

from typing import Final

from fhirserver.store.mongo.connection import Connection, translated
from fhirserver.store.mongo.indexes import (
    CLOSURE,
    CODE_SYSTEM,
    CONCEPT,
    CONCEPT_WORD,
    FREED,
    GONE,
    INSTANCE,
    RECORD,
    RESOURCE,
    STUDY,
    TENANT,
    VERSION,
)

_BY_TENANT: Final = (RECORD, RESOURCE, VERSION, CLOSURE, STUDY, INSTANCE, FREED, GONE)


async def remove(url: str, tenant: str) -> int:
    """Removes every document of the tenant; how many there were. Its head goes last.

    Raises `Unavailable`. Broken off, it goes on when it is called again.
    """
    connection = Connection(url, waits=True)
    database = connection.database
    removed = 0
    try:
        with translated():
            for collection in _BY_TENANT:
                removed += (await database[collection].delete_many({"t": tenant})).deleted_count
            for item in await database[CODE_SYSTEM].find({"t": tenant}, {"_id": 1}).to_list(None):
                for collection in (CONCEPT, CONCEPT_WORD):
                    await database[collection].delete_many({"s": item["_id"]})
                await database[CODE_SYSTEM].delete_one(item)
                removed += 1
            removed += (await database[TENANT].delete_one({"_id": tenant})).deleted_count
    finally:
        await connection.close()
    return removed
