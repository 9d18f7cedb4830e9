"""The tables of a store file, and how an older file becomes a newer one.

docs/adr/0002-sqlite-layout.md has the reasons. Names are short because they stand in every
statement: a resource is `rid`, a version `vid` (in commit order, so that it also numbers the
commits), a type `tid`, a search parameter of a type `pid`, an interned text (system, unit)
`sid`. Instants are in milliseconds, bounds of dates in microseconds.
"""

from __future__ import annotations

from pathlib import Path

import apsw

from fhirserver.store.sqlite import migration
from fhirserver.store.sqlite.concept_schema import CONCEPTS
from fhirserver.store.sqlite.connection import Connection

APPLICATION_ID = 0x46484952  # "FHIR"
_KIND = migration.Kind(APPLICATION_ID, "store file", "Name another data folder.")

_SLOTS = ",\n    ".join(
    f"text{k} TEXT, sid{k} INTEGER, low{k} ANY, high{k} ANY, extra{k} ANY, unit{k} INTEGER"
    for k in range(3)
)

_FIRST = f"""
CREATE TABLE type(tid INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
INSERT INTO type VALUES (0, '');
CREATE TABLE param(
    pid INTEGER PRIMARY KEY, tid INTEGER NOT NULL, code TEXT NOT NULL, UNIQUE(tid, code)
) STRICT;
CREATE TABLE symbol(sid INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT;
INSERT INTO symbol VALUES (0, '');

CREATE TABLE resource(
    rid INTEGER PRIMARY KEY, tid INTEGER NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL,
    vid INTEGER, created INTEGER, instant INTEGER, live INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX resource_id ON resource(tid, id);
CREATE INDEX resource_live ON resource(tid) WHERE live;
CREATE INDEX resource_instant ON resource(tid, instant) WHERE live;
CREATE TABLE version(
    vid INTEGER PRIMARY KEY, rid INTEGER NOT NULL, version INTEGER NOT NULL,
    tid INTEGER NOT NULL, instant INTEGER NOT NULL, method INTEGER NOT NULL, body BLOB
) STRICT;
CREATE UNIQUE INDEX version_number ON version(rid, version);
CREATE INDEX version_type ON version(tid);

CREATE TABLE token(
    rid INTEGER, pid INTEGER, code TEXT, sid INTEGER, PRIMARY KEY(rid, pid, code, sid)
) STRICT, WITHOUT ROWID;
CREATE INDEX token_value ON token(pid, code, rid, sid);

CREATE TABLE string(
    rid INTEGER, pid INTEGER, n INTEGER, folded TEXT NOT NULL, exact TEXT NOT NULL,
    hash INTEGER NOT NULL, PRIMARY KEY(rid, pid, n)
) STRICT, WITHOUT ROWID;
CREATE INDEX string_value ON string(pid, folded, rid);
CREATE INDEX string_exact ON string(pid, hash, rid) WHERE exact <> '';

CREATE TABLE date(
    rid INTEGER, pid INTEGER, low INTEGER, high INTEGER, PRIMARY KEY(rid, pid, low, high)
) STRICT, WITHOUT ROWID;
CREATE INDEX date_value ON date(pid, low, rid, high);
CREATE INDEX date_long ON date(pid, high, rid, low) WHERE high - low > 86400000000;

CREATE TABLE number(
    rid INTEGER, pid INTEGER, low REAL, high REAL, PRIMARY KEY(rid, pid, low, high)
) STRICT, WITHOUT ROWID;
CREATE INDEX number_value ON number(pid, low, rid, high);
CREATE INDEX number_long ON number(pid, high, rid, low) WHERE high > low;

CREATE TABLE quantity(
    rid INTEGER, pid INTEGER, low REAL, high REAL, sid INTEGER, extra INTEGER, unit INTEGER,
    PRIMARY KEY(rid, pid, low, high, sid, extra, unit)
) STRICT, WITHOUT ROWID;
CREATE INDEX quantity_value ON quantity(pid, low, rid, high, sid, extra, unit);
CREATE INDEX quantity_long ON quantity(pid, high, rid, low) WHERE high > low;

CREATE TABLE reference(
    rid INTEGER, pid INTEGER, target INTEGER, PRIMARY KEY(rid, pid, target)
) STRICT, WITHOUT ROWID;
CREATE INDEX reference_target ON reference(target, pid, rid);

CREATE TABLE uri(
    rid INTEGER, pid INTEGER, value TEXT, PRIMARY KEY(rid, pid, value)
) STRICT, WITHOUT ROWID;
CREATE INDEX uri_value ON uri(pid, value, rid);

CREATE TABLE composite(
    rid INTEGER, pid INTEGER, n INTEGER,
    {_SLOTS},
    PRIMARY KEY(rid, pid, n)
) STRICT, WITHOUT ROWID;
CREATE INDEX composite_value ON composite(pid, text0, low0, text1, low1, rid);
CREATE INDEX composite_long ON composite(pid, text0, low0, text1, high1, rid) WHERE high1 > low1;

CREATE TABLE position(
    rid INTEGER, pid INTEGER, latitude REAL, longitude REAL,
    PRIMARY KEY(rid, pid, latitude, longitude)
) STRICT, WITHOUT ROWID;
CREATE INDEX position_value ON position(pid, latitude, longitude, rid);

CREATE VIRTUAL TABLE narrative USING fts5(
    words, content='', contentless_delete=1, detail=none, tokenize="ascii tokenchars '$+<=>^|~'"
);
CREATE VIRTUAL TABLE content USING fts5(
    words, content='', contentless_delete=1, detail=none, tokenize="ascii tokenchars '$+<=>^|~'"
);
"""

_RECORDS = """
CREATE TABLE record(
    revision INTEGER PRIMARY KEY AUTOINCREMENT, collection TEXT NOT NULL, key TEXT NOT NULL,
    body BLOB NOT NULL, expires INTEGER, UNIQUE(collection, key)
) STRICT;
CREATE INDEX record_expires ON record(expires) WHERE expires IS NOT NULL;
"""

_FLOOR = """
CREATE TABLE floor(
    vid INTEGER NOT NULL, rid INTEGER NOT NULL, instant INTEGER NOT NULL, traces INTEGER NOT NULL
) STRICT;
INSERT INTO floor VALUES (0, 0, 0, 0);
"""
"""The last numbers given before the last expunge, and whether it left traces in the file."""

_SEVERAL = """
CREATE TABLE several(pid INTEGER PRIMARY KEY) STRICT;
INSERT INTO several SELECT DISTINCT pid
    FROM (SELECT pid FROM date GROUP BY rid, pid HAVING count(*)>1);
"""
"""The parameters under which some resource has, or once had, more than one date."""

_NOTE = "CREATE TABLE note(vid INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;"
"""What whoever made a commit keeps with it, by the number of its last version, until it is
forgotten: few rows."""

MIGRATIONS: tuple[str, ...] = (_FIRST, _FLOOR, _RECORDS, CONCEPTS, _SEVERAL, _NOTE)
"""The script at place n brings a file from schema n to n + 1."""


def prepare(path: Path) -> None:
    """Makes the file when missing and brings it to the newest schema."""
    connection = Connection(path)
    try:
        migrate(connection)
    finally:
        connection.close()


def migrate(connection: apsw.Connection) -> None:
    """Brings the file to the newest schema. Raises `Unavailable` for one that is not ours."""
    migration.migrate(connection, _KIND, MIGRATIONS)


def schema_version(connection: apsw.Connection) -> int:
    """The schema of a file, 0 for an empty one. Raises `Unavailable` as `migrate` does."""
    return migration.schema_version(connection, _KIND, len(MIGRATIONS))
