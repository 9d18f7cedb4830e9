"""What an archive's file holds, to be compared with a copy of it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

import apsw
import msgspec

from fhirserver.archive.sqlite.schema import schema_version
from fhirserver.store.sqlite.connection import translated

_STUDIES: Final = """SELECT uid, revision, projected, series, instances, subject, imaging_study,
    patient, about FROM study ORDER BY sid"""
_INSTANCES: Final = """SELECT i.uid, r.uid, i.sop_class, i.transfer_syntax, i.blob, i.size,
    i.received, i.frames, i.aet, i.address, i.about, h.body
    FROM instance i JOIN series r ON r.rid=i.rid JOIN header h ON h.iid=i.iid ORDER BY i.iid"""


class Content(msgspec.Struct, frozen=True):
    """Numbers of studies (deleted ones as well) and instances, and a SHA-256 over all of them with
    their headers, as they are kept."""

    schema: int
    studies: int
    instances: int
    digest: str


def content(path: Path) -> Content:
    """What a file holds, in one state of it. Raises `Unavailable` for one that is damaged."""
    with translated():
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            connection.execute("BEGIN")
            digest = hashlib.sha256()
            numbers = []
            for sql in (_STUDIES, _INSTANCES):
                number = 0
                for row in connection.execute(sql):
                    number += 1
                    encoded = msgspec.msgpack.encode(row)
                    digest.update(len(encoded).to_bytes(8, "big"))
                    digest.update(encoded)
                numbers.append(number)
            studies, instances = numbers
            return Content(schema_version(connection), studies, instances, digest.hexdigest())
        finally:
            connection.close()
