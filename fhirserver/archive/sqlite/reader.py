"""Reading on one connection of one thread at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from fhirserver.archive.port import Changed, Held, Series, Source, Study
from fhirserver.archive.sqlite.find import Finder
from fhirserver.archive.veil import Veil
from fhirserver.store.sqlite.connection import Connection

_STUDY: Final = """SELECT s.uid, s.revision, s.projected, s.series, s.instances, s.modalities,
    s.subject, s.imaging_study, s.first, s.last, i.uid, h.body
    FROM study s LEFT JOIN instance i ON i.iid=s.lead LEFT JOIN header h ON h.iid=s.lead
    WHERE s.uid=?"""
_SERIES: Final = """SELECT r.uid, r.modality, r.instances, i.uid, h.body
    FROM study s CROSS JOIN series r ON r.sid=s.sid
    JOIN instance i ON i.iid=r.lead JOIN header h ON h.iid=r.lead
    WHERE s.uid=? ORDER BY r.uid"""
_COLUMNS: Final = """s.uid, r.uid, i.uid, i.sop_class, i.transfer_syntax, i.blob, i.size,
    i.received, i.number, i.frames, i.aet, i.address"""
_OF_STUDY: Final = """study s CROSS JOIN series r ON r.sid=s.sid
    CROSS JOIN instance i ON i.rid=r.rid"""
_BY_UID: Final = f"""SELECT {_COLUMNS} FROM json_each(?) k CROSS JOIN instance i ON i.uid=k.value
    CROSS JOIN series r ON r.rid=i.rid CROSS JOIN study s ON s.sid=i.sid"""
_BY_BLOB: Final = f"""SELECT {_COLUMNS} FROM instance i CROSS JOIN series r ON r.rid=i.rid
    CROSS JOIN study s ON s.sid=i.sid WHERE i.blob=?"""
_CHANGED: Final = """SELECT uid, revision, since, touched, instances, imaging_study, subject
    FROM study INDEXED BY study_behind WHERE since IS NOT NULL ORDER BY since LIMIT ?"""
_COUNT: Final = """SELECT (SELECT count(*) FROM study WHERE present=1),
    (SELECT count(*) FROM series), (SELECT coalesce(sum(instances), 0) FROM study)"""
_BLOBS: Final = "SELECT iid, blob FROM instance WHERE iid>? ORDER BY iid LIMIT ?"
_HEADERS: Final = 64
"""Headers that are read at once."""


class Reader:
    """The questions but for `Finder`'s, which has the same connection."""

    def __init__(self, path: Path, veil: Veil) -> None:
        self.connection = Connection(path)
        self.finder = Finder(self.connection, veil)
        self._veil = veil

    def study(self, uid: str) -> Study | None:
        row: Any = self.connection.execute(_STUDY, (uid,)).fetchone()
        if row is None:
            return None
        *told, modalities, subject, imaging_study, first, last, lead, body = row
        header = b"" if body is None else self._veil.open(body, f"header|{lead}")
        names = tuple(modalities.split("\\")) if modalities else ()
        return Study._make((*told, names, header, subject, imaging_study, first, last))

    def series(self, study: str) -> list[Series]:
        return [
            Series(study, uid, modality, instances, self._veil.open(body, f"header|{lead}"))
            for uid, modality, instances, lead, body in self.connection.execute(_SERIES, (study,))
        ]

    def held(self, study: str, series: Sequence[str], instances: Sequence[str]) -> list[Held]:
        sql, bound = _selected(f"SELECT {_COLUMNS}", study, series, instances)
        return [held(row) for row in self.connection.execute(sql, bound)]

    def held_by_uid(self, instances: Sequence[str]) -> list[Held]:
        bound = (msgspec.json.encode(instances).decode(),)
        return [held(row) for row in self.connection.execute(_BY_UID, bound)]

    def held_by_blob(self, digests: Sequence[str]) -> list[Held]:
        found: list[Held] = []
        for digest in digests:
            rows = self.connection.execute(_BY_BLOB, (bytes.fromhex(digest),))
            found += [held(row) for row in rows]
        return found

    def numbers(
        self, study: str, series: Sequence[str], instances: Sequence[str]
    ) -> list[tuple[int]]:
        """The numbers of instances, whose headers are read by them."""
        sql, bound = _selected("SELECT i.iid", study, series, instances)
        found: Any = self.connection.execute(sql, bound).fetchall()
        return list(found)

    def headers(self, numbers: Sequence[tuple[int]]) -> list[tuple[Held, bytes]]:
        """Those that are still there."""
        sql = f"""SELECT {_COLUMNS}, h.body FROM json_each(?) k
            CROSS JOIN instance i ON i.iid=k.value CROSS JOIN series r ON r.rid=i.rid
            CROSS JOIN study s ON s.sid=i.sid CROSS JOIN header h ON h.iid=i.iid"""
        bound = (msgspec.json.encode([number for (number,) in numbers]).decode(),)
        return [
            (one := held(row), self._veil.open(body, f"header|{one.instance}"))
            for *row, body in self.connection.execute(sql, bound)
        ]

    def was_deleted(self, study: str, series: str | None, instance: str | None) -> bool:
        sql = "SELECT instances FROM study WHERE uid=?"
        instances: int | None = self.connection.execute(sql, (study,)).get
        if not instances or series is None:
            return instances == 0
        uids = [f"{study}/{series}"] + ([f"{study}/{series}/{instance}"] if instance else [])
        gone = "SELECT 1 FROM gone WHERE uids=?"
        return any(self.connection.execute(gone, (one,)).get for one in uids)

    def count(self) -> tuple[int, int, int]:
        row: Any = self.connection.execute(_COUNT).fetchone()
        return row[0], row[1], row[2]

    def changed(self, limit: int) -> list[Changed]:
        return [Changed(*row) for row in self.connection.execute(_CHANGED, (limit,))]

    def blobs(self, after: int, limit: int) -> list[tuple[int, bytes]]:
        found: Any = self.connection.execute(_BLOBS, (after, limit)).fetchall()
        return list(found)


def portions(numbers: Sequence[tuple[int]]) -> Iterator[Sequence[tuple[int]]]:
    """The numbers, as many at once as there are headers in memory."""
    for start in range(0, len(numbers), _HEADERS):
        yield numbers[start : start + _HEADERS]


def held(row: Any) -> Held:
    """An instance of a row of `_COLUMNS`."""
    *uids, blob, size, received, number, frames, aet, address = row
    told = (blob.hex(), size, received, number, frames, Source(aet, address))
    return Held._make((*uids, *told))


def _selected(
    select: str, study: str, series: Sequence[str], instances: Sequence[str]
) -> tuple[str, list[str]]:
    sql, bound = f"{select} FROM {_OF_STUDY} WHERE s.uid=?", [study]
    for column, uids in (("r.uid", series), ("i.uid", instances)):
        if uids:
            sql += f" AND {column} IN (SELECT value FROM json_each(?))"
            bound.append(msgspec.json.encode(uids).decode())
    return f"{sql} ORDER BY r.uid, i.uid", bound
