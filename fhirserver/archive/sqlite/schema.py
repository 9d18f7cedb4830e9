"""The tables of the archive's file.

A study is `sid`, a series `rid`, an instance `iid`. `lead` is the instance that stands for a study
or series: the one with the lowest (series, instance) UID. `about` and `patient` are parts of DICOM
JSON objects, sealed where encryption is on. A study without instances was deleted.
"""

from __future__ import annotations

from pathlib import Path

import apsw

from fhirserver.errors import Unavailable
from fhirserver.store.sqlite import migration
from fhirserver.store.sqlite.connection import Connection

APPLICATION_ID = 0x4449434D  # "DICM"
_KIND = migration.Kind(APPLICATION_ID, "archive's file", "Name another folder.")

_FIRST = """
CREATE TABLE study(
    sid INTEGER PRIMARY KEY, uid TEXT NOT NULL UNIQUE,
    revision INTEGER NOT NULL, projected INTEGER NOT NULL, since INTEGER,
    touched INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
    series INTEGER NOT NULL, instances INTEGER NOT NULL, modalities TEXT NOT NULL, lead INTEGER,
    day TEXT NOT NULL, hour TEXT NOT NULL, patient_id TEXT NOT NULL, issuer TEXT NOT NULL,
    birth_date TEXT NOT NULL, sex TEXT NOT NULL, accession TEXT NOT NULL, study_id TEXT NOT NULL,
    subject TEXT, imaging_study TEXT, patient BLOB NOT NULL, about BLOB NOT NULL
) STRICT;
CREATE INDEX study_day ON study(day DESC, hour DESC, uid DESC, modalities) WHERE instances>0;
CREATE INDEX study_patient ON study(patient_id, issuer, uid) WHERE instances>0;
CREATE INDEX study_birth_date ON study(birth_date) WHERE instances>0;
CREATE INDEX study_accession ON study(accession) WHERE instances>0;
CREATE INDEX study_study_id ON study(study_id) WHERE instances>0;
CREATE INDEX study_imaging ON study(imaging_study) WHERE instances>0;
CREATE INDEX study_behind ON study(since) WHERE since IS NOT NULL;

CREATE TABLE series(
    rid INTEGER PRIMARY KEY, sid INTEGER NOT NULL, uid TEXT NOT NULL, modality TEXT NOT NULL,
    number INTEGER, instances INTEGER NOT NULL, lead INTEGER, about BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX series_study ON series(sid, uid);
CREATE INDEX series_uid ON series(uid);

CREATE TABLE instance(
    iid INTEGER PRIMARY KEY, uid TEXT NOT NULL UNIQUE, sid INTEGER NOT NULL, rid INTEGER NOT NULL,
    sop_class TEXT NOT NULL, transfer_syntax TEXT NOT NULL, blob BLOB NOT NULL,
    size INTEGER NOT NULL, received INTEGER NOT NULL, number INTEGER, frames BLOB,
    aet TEXT NOT NULL, address TEXT NOT NULL, about BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX instance_series ON instance(rid, uid);
CREATE INDEX instance_blob ON instance(blob);
CREATE TABLE header(iid INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;

CREATE TABLE term(
    kind INTEGER NOT NULL, text TEXT NOT NULL, sid INTEGER NOT NULL, PRIMARY KEY(kind, text, sid)
) STRICT, WITHOUT ROWID;
CREATE INDEX term_study ON term(sid, kind, text);
CREATE TABLE modality(
    name TEXT NOT NULL, sid INTEGER NOT NULL, PRIMARY KEY(name, sid)
) STRICT, WITHOUT ROWID;

CREATE TABLE gone(uids TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
CREATE TABLE freed(
    blob BLOB PRIMARY KEY, state INTEGER NOT NULL, at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE kept(name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
"""

# `present` says instances>0, and changes when that does: what SET names makes SQLite write the
# entries of each index on it anew, and `instances` is set with each one that comes.
_PRESENT = """
ALTER TABLE study ADD COLUMN present INTEGER NOT NULL DEFAULT 0;
UPDATE study SET present=1 WHERE instances>0;
DROP INDEX study_day;
DROP INDEX study_patient;
DROP INDEX study_birth_date;
DROP INDEX study_accession;
DROP INDEX study_study_id;
DROP INDEX study_imaging;
CREATE INDEX study_day ON study(day DESC, hour DESC, uid DESC, modalities) WHERE present=1;
CREATE INDEX study_patient ON study(patient_id, issuer, uid) WHERE present=1;
CREATE INDEX study_birth_date ON study(birth_date) WHERE present=1;
CREATE INDEX study_accession ON study(accession) WHERE present=1;
CREATE INDEX study_study_id ON study(study_id) WHERE present=1;
CREATE INDEX study_imaging ON study(imaging_study) WHERE present=1;
"""

MIGRATIONS: tuple[str, ...] = (_FIRST, _PRESENT)
"""The script at place n brings a file from schema n to n + 1."""


def prepare(path: Path, *, sealed: bool) -> None:
    """Makes the file when missing and brings it to the newest schema.

    Raises `Unavailable` for a file of another program, of a newer fhirserver, or one that was
    made with the other choice of `sealed`.
    """
    connection = Connection(path)
    try:
        migration.migrate(connection, _KIND, MIGRATIONS)
        _check_sealing(connection, "yes" if sealed else "no")
    finally:
        connection.close()


def schema_version(connection: apsw.Connection) -> int:
    """The schema of a file, 0 for an empty one. Raises `Unavailable` for one that is not ours."""
    return migration.schema_version(connection, _KIND, len(MIGRATIONS))


def _check_sealing(connection: apsw.Connection, sealed: str) -> None:
    connection.execute("INSERT OR IGNORE INTO kept VALUES ('sealed', ?)", (sealed,))
    if connection.execute("SELECT value FROM kept WHERE name='sealed'").get != sealed:
        raise Unavailable(
            "The archive of DICOM studies was made with the other setting of "
            "FHIRSERVER_ENCRYPTION. Set it as it was."
        )
