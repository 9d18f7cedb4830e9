"""Closure tables: which codes a client has added, and in which version of its table.

A table that was begun has a row without system and code.
"""

from __future__ import annotations

from collections.abc import Sequence

import apsw

from fhirserver.errors import TooCostly
from fhirserver.store.concepts import ClosureCode, ClosureTable


def begin(connection: apsw.Connection, name: str) -> None:
    """As `ConceptStore.begin_closure`."""
    connection.execute("DELETE FROM closure WHERE name=?", (name,))
    connection.execute("INSERT INTO closure VALUES (?, '', '', 0)", (name,))


def extend(
    connection: apsw.Connection, name: str, codes: Sequence[tuple[str, str]], most: int
) -> ClosureTable | None:
    """As `ConceptStore.extend_closure`."""
    rows = connection.execute("SELECT system, code, version FROM closure WHERE name=?", (name,))
    known = [ClosureCode(*row) for row in rows]
    if not known:
        return None
    found = {(item.system, item.code): item for item in known if item.system}
    before = max(item.version for item in known)
    new = [ClosureCode(*pair, before + 1) for pair in codes if pair not in found]
    if len(found) + len(new) > most:
        raise TooCostly(f"A closure table has at most {most} codes: begin another.")
    connection.executemany("INSERT INTO closure VALUES (?,?,?,?)", [(name, *item) for item in new])
    return ClosureTable([*found.values(), *new], before)
