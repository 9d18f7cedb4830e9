"""Files of earlier schemas."""

from __future__ import annotations

from pathlib import Path

import apsw

from fhirserver.archive.sqlite.schema import APPLICATION_ID, MIGRATIONS, prepare

_STUDY = """INSERT INTO study VALUES (NULL, ?, 1, 1, NULL, 1, 1, 1, 1, ?, 'CT', NULL,
    '20240131', '', '', '', '', '', '', '', NULL, NULL, x'', x'')"""


def test_studies_of_the_first_schema_are_present_if_they_have_instances(tmp_path: Path) -> None:
    path = tmp_path / "imaging.db"
    connection = apsw.Connection(str(path))
    connection.execute(MIGRATIONS[0])
    connection.execute(_STUDY, ("1.1", 3))
    connection.execute(_STUDY, ("1.2", 0))
    connection.pragma("application_id", APPLICATION_ID)
    connection.pragma("user_version", 1)
    connection.close()
    prepare(path, sealed=False)
    connection = apsw.Connection(str(path))
    assert connection.execute("SELECT uid, present FROM study ORDER BY uid").fetchall() == [
        ("1.1", 1),
        ("1.2", 0),
    ]
    ((*_, plan),) = connection.execute(
        "EXPLAIN QUERY PLAN SELECT sid FROM study WHERE present=1 AND day>='20240101'"
    ).fetchall()
    assert "study_day" in plan
    connection.close()
