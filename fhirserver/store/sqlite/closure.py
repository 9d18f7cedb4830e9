"""Closure tables: which codes a client has added, and in which version of its table.

A table that was begun has a row without system and code. Its name stands behind its owner's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import apsw

from fhirserver.errors import TooCostly
from fhirserver.store.concepts import ClosureCode, ClosureTable

_SEPARATOR: Final = "\x1f"  # in no string of FHIR
_AFTER: Final = "\x20"
_OTHERS = "SELECT count(*) FROM closure WHERE name>? AND name<? AND name<>? AND system=''"


def begin(connection: apsw.Connection, owner: str, name: str, most: int) -> None:
    """As `ConceptStore.begin_closure`."""
    name = f"{owner}{_SEPARATOR}{name}"
    bounds = (f"{owner}{_SEPARATOR}", f"{owner}{_AFTER}", name)
    if (connection.execute(_OTHERS, bounds).get or 0) >= most:
        raise TooCostly(f"You may have at most {most} closure tables: begin one anew.")
    connection.execute("DELETE FROM closure WHERE name=?", (name,))
    connection.execute("INSERT INTO closure VALUES (?, '', '', 0)", (name,))


def extend(
    connection: apsw.Connection,
    owner: str,
    name: str,
    codes: Sequence[tuple[str, str]],
    most: int,
) -> ClosureTable | None:
    """As `ConceptStore.extend_closure`."""
    name = f"{owner}{_SEPARATOR}{name}"
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
