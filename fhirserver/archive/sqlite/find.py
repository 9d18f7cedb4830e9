"""Finding: the most selective key gives studies, the others filter, then what is left is looked at.

How many studies a key gives is counted up to a bound. When all give more, studies are walked
through in the order of the answer until there are enough.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import apsw
import msgspec

from fhirserver.archive import place
from fhirserver.archive.facts import BELOW, INDEXED, counted_series, counted_study
from fhirserver.archive.query import Found, Question, Row
from fhirserver.archive.sqlite.lower import Lowered, Seek, among, lowered
from fhirserver.archive.veil import Veil
from fhirserver.dicom.matching import Key, matches
from fhirserver.errors import TooCostly

_FEW: Final = 2000
"""Studies that are sorted rather than walked through."""

_LEVELS: Final = {"patient": 0, "study": 0, "series": 1, "instance": 2}
_NEWEST: Final = "s.day DESC, s.hour DESC, s.uid DESC"
_ORDERS: Final = (_NEWEST, f"{_NEWEST}, r.uid", f"{_NEWEST}, r.uid, i.uid")
_OF_PATIENTS: Final = "s.patient_id, s.issuer, s.uid"
_JOINS: Final = (
    "",
    " CROSS JOIN series r ON r.sid=s.sid",
    " CROSS JOIN series r ON r.sid=s.sid CROSS JOIN instance i ON i.rid=r.rid",
)
_KEYS: Final = ("s.sid, s.lead", "s.sid, r.lead, r.rid", "s.sid, i.iid, r.rid")
_STUDY: Final = """SELECT uid, modalities, series, instances, patient, about,
    day, hour, patient_id, issuer, subject, imaging_study FROM study WHERE sid=?"""
_SERIES: Final = "SELECT uid, instances, about FROM series WHERE rid=?"
_INSTANCE: Final = "SELECT uid, about FROM instance WHERE iid=?"
_HEADER: Final = (
    "SELECT i.uid, h.body FROM header h CROSS JOIN instance i ON i.iid=h.iid WHERE h.iid=?"
)


class _Study(NamedTuple):
    """A study as rows need it."""

    uid: str
    day: str
    hour: str
    patient_id: str
    issuer: str
    subject: str | None
    imaging_study: str | None
    patient: bytes
    study: bytes


class _Series(NamedTuple):
    uid: str
    series: bytes


class Finder:
    """Answers questions on a connection, of one thread at a time."""

    def __init__(self, connection: apsw.Connection, veil: Veil) -> None:
        self._connection = connection
        self._veil = veil

    def page(self, question: Question, ids: Sequence[str] | None, until: float) -> Found:
        """As `Archive.find`; it ends at an instant of the monotonic clock with `TooCostly`."""
        return _Page(self._connection, self._veil, question, ids, until).found()


class _Page:
    """One question."""

    def __init__(
        self,
        connection: apsw.Connection,
        veil: Veil,
        question: Question,
        ids: Sequence[str] | None,
        until: float,
    ) -> None:
        self._connection = connection
        self._veil = veil
        self._question = question
        self._until = until
        self._level = _LEVELS[question.level]
        self._is_patient = question.level == "patient"
        self._after = () if question.after is None else place.read(question.after, self._level + 3)
        self._lowered: list[Lowered] = [] if ids is None else [among(ids)]
        self._again: list[Key] = []
        for key in question.keys:
            found = list(lowered(key, self._level, veil))
            self._lowered += found
            if question.combined or not all(one.is_exact for one in found):
                self._again.append(key)
        tags = {key.tag for key in self._again}
        self._reads_header = bool(tags - INDEXED) or bool(tags & BELOW[self._level])
        self._studies: dict[int, _Study] = {}
        self._series: dict[int, _Series] = {}

    def found(self) -> Found:
        question = self._question
        rows: list[Row] = []
        ends: list[tuple[str, ...]] = []
        skipped = 0
        for row, end in self._matching():
            if skipped < question.offset:
                skipped += 1
                continue
            if len(rows) == question.limit:
                return Found(tuple(rows), place.written(ends[-1]) if ends else None)
            rows.append(row)
            ends.append(end)
        return Found(tuple(rows), None)

    # --- the statement ---------------------------------------------------------------------------

    def _ids(self) -> Iterator[Any]:  # a cursor of rows
        """The numbers of what the statement selects, in order."""
        conditions = ["s.present=1"]
        bound: list[Any] = []
        lead = self._lead()
        if lead is None:
            index = "study_patient" if self._is_patient else "study_day"
            source = f"study s INDEXED BY {index}"
        else:
            source = f"(SELECT DISTINCT sid FROM ({lead.sql})) l CROSS JOIN study s ON s.sid=l.sid"
            bound += lead.bound
        for one in self._lowered:
            if one.sql:
                conditions.append(f"({one.sql})")
                bound += one.bound
        if self._after:
            sql, values = self._behind()
            conditions.append(sql)
            bound += values
        order = _OF_PATIENTS if self._is_patient else _ORDERS[self._level]
        sql = (
            f"SELECT {_KEYS[self._level]} FROM {source}{_JOINS[self._level]} "
            f"WHERE {' AND '.join(conditions)} ORDER BY {order}"
        )
        return self._connection.execute(sql, bound)

    def _lead(self) -> Seek | None:
        """What gives the fewest studies; None where all give many."""
        seeks = [one.seek for one in self._lowered if one.seek is not None]
        for seek in seeks:
            if seek.is_narrow:
                return seek
        best, least = None, _FEW + 1
        for seek in seeks:
            sql = f"SELECT count(*) FROM (SELECT 1 FROM ({seek.sql}) LIMIT {least})"
            number = self._connection.execute(sql, seek.bound).get
            if number < least:
                best, least = seek, max(number, 1)
        return best

    def _behind(self) -> tuple[str, Sequence[str]]:
        study, rest = self._after[:3], self._after[3:]
        if self._is_patient:
            return f"({_OF_PATIENTS})>(?,?,?)", study
        if not rest:
            return "(s.day, s.hour, s.uid)<(?,?,?)", study
        names = "(r.uid)" if len(rest) == 1 else "(r.uid, i.uid)"
        marks = "(?)" if len(rest) == 1 else "(?,?)"
        return (
            f"((s.day, s.hour, s.uid)<=(?,?,?) AND ((s.day, s.hour, s.uid)<(?,?,?) OR "
            f"{names}>{marks}))",
            (*study, *study, *rest),
        )

    # --- the rows --------------------------------------------------------------------------------

    def _matching(self) -> Iterator[tuple[Row, tuple[str, ...]]]:
        """The rows of what matches, each with its place in the order."""
        before = self._after[:2] if self._is_patient else ()
        for number, ids in enumerate(self._ids()):
            if number % 64 == 63 and time.monotonic() > self._until:
                raise TooCostly("The search takes too long. Add a more selective attribute.")
            study = self._study(ids[0])
            patient = (study.patient_id, study.issuer)
            if self._is_patient and patient == before and patient[0]:
                continue
            row, end = self._row(study, ids)
            if self._again and not self._matches(row, ids[1]):
                continue
            before = patient
            if self._question.headers:
                row = row._replace(header=self._header(ids[1]))
            yield row, end

    def _row(self, study: _Study, ids: Any) -> tuple[Row, tuple[str, ...]]:
        end: tuple[str, ...] = (study.day, study.hour, study.uid)
        series_uid = instance_uid = series = instance = None
        if self._is_patient:
            end = (study.patient_id, study.issuer, study.uid)
        if self._level > 0:
            series_uid, series = self._series_of(study, ids[2])
            end += (series_uid,)
        if self._level > 1:
            instance_uid, about = self._one(_INSTANCE, ids[1])
            instance = _object(self._veil.open(about, f"instance|{instance_uid}"))
            end += (instance_uid,)
        row = Row(
            study_uid=study.uid,
            series_uid=series_uid,
            instance_uid=instance_uid,
            patient=study.patient,
            study=None if self._is_patient else study.study,
            series=series,
            instance=instance,
            header=None,
            imaging_study=study.imaging_study,
            subject=study.subject,
        )
        return row, end

    def _study(self, sid: int) -> _Study:
        found = self._studies.get(sid)
        if found is not None:
            return found
        row = self._one(_STUDY, sid)
        uid, modalities, series, instances, patient, about, *rest = row
        names = tuple(modalities.split("\\")) if modalities else ()
        told = self._veil.open(about, f"study|{uid}")
        study = _object(told + b"," + counted_study(names, series, instances))
        opened = _object(self._veil.open(patient, f"patient|{uid}"))
        found = _Study._make((uid, *rest, opened, study))
        if self._level:  # else each comes once
            self._studies[sid] = found
        return found

    def _series_of(self, study: _Study, rid: int) -> _Series:
        found = self._series.get(rid)
        if found is None:
            uid, instances, about = self._one(_SERIES, rid)
            told = self._veil.open(about, f"series|{study.uid}|{uid}")
            found = _Series(uid, _object(told + b"," + counted_series(instances)))
            self._series[rid] = found
        return found

    def _one(self, sql: str, number: int) -> Any:
        return self._connection.execute(sql, (number,)).fetchone()

    def _header(self, iid: int) -> bytes:
        uid, body = self._one(_HEADER, iid)
        return self._veil.open(body, f"header|{uid}")

    def _matches(self, row: Row, iid: int) -> bool:
        data = msgspec.json.decode(self._header(iid)) if self._reads_header else {}
        for part in (row.patient, row.study, row.series, row.instance):
            if part is not None:
                data |= msgspec.json.decode(part)
        return matches(self._again, data, combined=self._question.combined)


def _object(inside: bytes) -> bytes:
    return b"{" + inside + b"}"
