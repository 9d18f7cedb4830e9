"""How a file of ours is told from others, and brought to its newest schema."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final, NamedTuple

import apsw

from fhirserver.errors import Unavailable

PAGE_SIZE: Final = 8192
_PATIENCE: Final = 10.0  # seconds


class Kind(NamedTuple):
    """A kind of file: its mark in the header, and what refusals call it."""

    application_id: int
    name: str
    advice: str


def migrate(connection: apsw.Connection, kind: Kind, scripts: Sequence[str]) -> None:
    """Brings the file to the newest schema, in one transaction; safe when several start at once.

    The script at place n brings it from schema n to n + 1. Raises `Unavailable` for a file of
    another program or of a newer fhirserver.
    """
    if schema_version(connection, kind, len(scripts)) == len(scripts):
        return
    if connection.pragma("page_count") == 0:
        connection.pragma("page_size", PAGE_SIZE)
    _write_ahead(connection)
    connection.execute("BEGIN IMMEDIATE")
    try:
        for script in scripts[schema_version(connection, kind, len(scripts)) :]:
            connection.execute(script)
        connection.pragma("application_id", kind.application_id)
        connection.pragma("user_version", len(scripts))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _write_ahead(connection: apsw.Connection) -> None:
    """Switches to a write-ahead log; while another does, SQLite refuses that without waiting."""
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            connection.pragma("journal_mode", "wal")
            return
        except apsw.BusyError:
            if time.monotonic() > end:
                raise
            time.sleep(0.005)


def schema_version(connection: apsw.Connection, kind: Kind, newest: int) -> int:
    """The schema of a file, 0 for an empty one. Raises `Unavailable` as `migrate` does."""
    version = int(connection.pragma("user_version"))
    known = int(connection.pragma("application_id"))
    if known != kind.application_id and (known or version or _has_tables(connection)):
        raise Unavailable(f"The {kind.name} belongs to another program. {kind.advice}")
    if version > newest:
        raise Unavailable(
            f"The {kind.name} has schema {version}, and this fhirserver knows up to "
            f"{newest}. Start the newer fhirserver that wrote it."
        )
    return version


def _has_tables(connection: apsw.Connection) -> bool:
    return bool(connection.execute("SELECT count(*) FROM sqlite_schema").get)
