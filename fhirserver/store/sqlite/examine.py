"""A look at a store file from outside, which changes nothing in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import apsw

from fhirserver.store.sqlite.connection import translated
from fhirserver.store.sqlite.schema import MIGRATIONS, schema_version

INDEX_TABLES = (
    "token",
    "string",
    "date",
    "number",
    "quantity",
    "reference",
    "uri",
    "composite",
    "position",
)

_COUNTS = """SELECT t.name, count(*) FROM resource r JOIN type t ON t.tid=r.tid
    WHERE r.live AND substr(t.name, 1, 1)<>'#' GROUP BY r.tid ORDER BY t.name"""


@dataclass(frozen=True, slots=True)
class Examination:
    """`damage` are SQLite's words on what is broken; `counts` and `versions` what it holds.

    `entries` are the rows of each index table, `size` the bytes of the file without its log.
    """

    schema: int
    newest_schema: int
    damage: tuple[str, ...]
    counts: dict[str, int]
    versions: int
    entries: dict[str, int]
    size: int


def examine(path: Path) -> Examination:
    """What a store file is and holds. Raises `Unavailable` for a file that is none."""
    with translated():
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            schema = schema_version(connection)
            found = [str(row[0]) for row in connection.execute("PRAGMA quick_check(20)")]
            damage = () if found == ["ok"] else tuple(found)
            if damage or not schema:
                return Examination(schema, len(MIGRATIONS), damage, {}, 0, {}, path.stat().st_size)
            return Examination(
                schema,
                len(MIGRATIONS),
                damage,
                dict(connection.execute(_COUNTS)),
                connection.execute("SELECT count(*) FROM version").get,
                {
                    table: connection.execute(f"SELECT count(*) FROM {table}").get
                    for table in INDEX_TABLES
                },
                path.stat().st_size,
            )
        finally:
            connection.close()
