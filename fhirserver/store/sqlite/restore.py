"""Versions that another store numbered and dated, written as they were."""

from __future__ import annotations

from collections.abc import Sequence

from fhirserver.model.resource import redrafted
from fhirserver.store.port import Change, Kept
from fhirserver.store.sqlite.changes import Batch
from fhirserver.store.sqlite.connection import Connection
from fhirserver.store.sqlite.dictionary import Interning


def restore(versions: Sequence[Kept], connection: Connection, names: Interning) -> int:
    """As `Store.restore`, in one transaction; how many they were."""
    names.mark()
    connection.execute("BEGIN IMMEDIATE")
    batch = Batch(connection, names)
    for (type, id, number, instant, method, body), entries in versions:
        draft = None if body is None else redrafted(body, type, id, number, instant)
        change = Change(type, id, number, method, draft, entries)
        batch.restore(change, instant // 1000)
    batch.flush()
    connection.execute("COMMIT")
    return len(versions)
