"""Versions that another store numbered and dated, written as they were; and bytes in place of
others that mean the same."""

from __future__ import annotations

from collections.abc import Sequence

import apsw

from fhirserver.model.resource import redrafted
from fhirserver.store.port import Change, Kept, Rewritten
from fhirserver.store.sqlite.changes import Batch
from fhirserver.store.sqlite.connection import Connection
from fhirserver.store.sqlite.dictionary import Interning


def restore(versions: Sequence[Kept], connection: Connection, names: Interning) -> int:
    """As `Store.restore`, in one transaction; how many they were."""
    names.mark()
    connection.execute("BEGIN IMMEDIATE")
    batch = Batch(connection, names)
    changes = [_change(kept) for kept in versions]
    batch.known.expect(changes)
    for change, (version, _, _) in zip(changes, versions, strict=True):
        batch.restore(change, version.last_updated // 1000)
    batch.flush()
    connection.execute("COMMIT")
    return len(versions)


def _change(kept: Kept) -> Change:
    (type, id, number, instant, method, body), entries, other = kept
    draft = None if body is None else redrafted(body, type, id, number, instant)
    return Change(type, id, number, method, other or draft, entries)


_REWRITE = """UPDATE version SET body=? WHERE version=? AND body=? AND rid=
    (SELECT rid FROM resource WHERE id=? AND tid=(SELECT tid FROM type WHERE name=?))"""


def rewrite(connection: apsw.Connection, bodies: Sequence[Rewritten]) -> int:
    """As `Store.rewrite`, in the transaction that has begun."""
    count = 0
    for type, id, version, before, after in bodies:
        connection.execute(_REWRITE, (after, version, before, id, type))
        count += connection.changes()
    return count
